#!/bin/sh
# Make the root filesystem of a base image from the distribution's own packages, for machines that can pull no image.
#
#   docker/base.sh FILE.tar      says on stderr what it does; `docker import FILE.tar NAME` makes it an image
#
# Needs root and apt. The essential variant would lack libstdc++6, without which torch does not import; g++ and Python's headers are there for
# torch.compile.
set -eu

target=${1:?"usage: base.sh FILE.tar"}
say() { echo "base: $*" >&2; }
fail() {
    say "$*"
    exit 3
}

[ -r /etc/os-release ] || fail "no /etc/os-release; pull an image with Python 3.11 or newer and name it with --base-image"
# shellcheck disable=SC1091
. /etc/os-release
case "${ID:-} ${ID_LIKE:-}" in
*debian* | *ubuntu*) ;;
*) fail "this is ${PRETTY_NAME:-no Debian}; pull an image with Python 3.11 or newer and name it with --base-image" ;;
esac
[ "$(id -u)" = 0 ] || fail "not root; run as root: $0 $target"

# Distributions older than these have a Python below 3.11: use the packages of a newer one instead.
suite=${SUITE:-${VERSION_CODENAME:-bookworm}}
case "$suite" in
buster | bullseye | focal | jammy) suite=bookworm ;;
esac

export DEBIAN_FRONTEND=noninteractive
needed=
command -v mmdebstrap >/dev/null || needed="mmdebstrap"
[ "$suite" != bookworm ] || [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || needed="$needed debian-archive-keyring"
if [ -n "$needed" ]; then
    say "installing $needed with apt-get"
    apt-get update -qq >&2
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $needed >&2
fi

say "collecting $suite's packages with mmdebstrap (about a minute, 0.5 GB)"
trap 'rm -f "$target.part"' EXIT INT TERM
mmdebstrap --quiet --variant=minbase --components=main --format=tar \
    --include=python3,python3-venv,libpython3-dev,libstdc++6,libgomp1,g++ \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    "$suite" "$target.part" >&2
mv "$target.part" "$target"
