#!/bin/sh
# Make a base image for the appliance from the distribution's own packages, for machines that can pull none.
#
#   docker/base.sh IMAGE:TAG     prints what it does on stderr and the image's id on stdout
#
# Needs root, apt and an engine that answers. The essential variant would lack libstdc++6, without which torch does not import; g++ and
# Python's headers are there for torch.compile.
set -eu

image=${1:?"usage: base.sh IMAGE:TAG"}
say() { echo "base: $*" >&2; }
fail() { say "$*"; exit 3; }

[ -r /etc/os-release ] || fail "no /etc/os-release; pull an image of Python 3.11 or newer and name it with --base-image"
# shellcheck disable=SC1091
. /etc/os-release
case "${ID:-} ${ID_LIKE:-}" in
*debian* | *ubuntu*) ;;
*) fail "this is ${PRETTY_NAME:-no Debian}; pull an image of Python 3.11 or newer and name it with --base-image" ;;
esac
[ "$(id -u)" = 0 ] || fail "not root; run as root: $0 $image"

# Distributions older than these have a Python below 3.11: build the image of a newer one instead.
suite=${SUITE:-${VERSION_CODENAME:-bookworm}}
case "$suite" in
buster | bullseye | focal | jammy) suite=bookworm ;;
esac

if ! command -v mmdebstrap >/dev/null; then
    say "installing mmdebstrap with apt-get"
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap >&2
fi
if [ "$suite" = bookworm ] && [ ! -e /usr/share/keyrings/debian-archive-keyring.gpg ]; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debian-archive-keyring >&2
fi

docker=${DOCKER:-docker}
command -v "$docker" >/dev/null || fail "no $docker command; install docker.io"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM

say "making $image from $suite's packages with mmdebstrap (about a minute, 0.5 GB)"
mmdebstrap --quiet --variant=minbase --components=main \
    --include=python3,python3-venv,libpython3-dev,libstdc++6,libgomp1,g++ \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    "$suite" "$folder/base.tar" >&2
"$docker" import --change 'CMD ["python3"]' --change 'ENV LANG=C.UTF-8' \
    --change "LABEL overnight-appliance=1" "$folder/base.tar" "$image"
