#!/bin/sh
# Start a container engine where none answers, on Debian and Ubuntu, as root.
#
#   docker/engine.sh             installs docker.io if need be and starts dockerd; does nothing where an engine answers
#   ENGINE=never docker/engine.sh    only prints the commands and exits 3
#
# No systemd needed: where it runs, it is used; elsewhere (a container, a chroot, a small machine) dockerd starts by hand.
set -eu

socket=/var/run/docker.sock
log=/var/log/overnight-appliance-dockerd.log
say() { echo "engine: $*" >&2; }

answers() {
    python3 - "${DOCKER_HOST:-unix://$socket}" <<'PY' 2>/dev/null
import http.client, socket, sys, urllib.parse
url = urllib.parse.urlparse(sys.argv[1])
link = http.client.HTTPConnection("localhost", timeout=5)
if url.scheme == "unix":
    link.sock = socket.socket(socket.AF_UNIX)
    link.sock.settimeout(5)
    link.sock.connect(url.path)
else:
    link.sock = socket.create_connection((url.hostname, url.port or 2375), timeout=5)
link.request("GET", "/_ping")
sys.exit(link.getresponse().status != 200)
PY
}

if answers; then
    say "an engine answers at ${DOCKER_HOST:-$socket}"
    exit 0
fi
if [ -n "${DOCKER_HOST:-}" ]; then
    say "no engine answers at DOCKER_HOST=$DOCKER_HOST; start it, or unset DOCKER_HOST"
    exit 3
fi

manual() {
    say "$1. As root:"
    cat >&2 <<TEXT
    apt-get update
    apt-get install -y docker.io
    setsid dockerd >$log 2>&1 &
TEXT
    exit 3
}

id=unknown
# shellcheck disable=SC1091
[ -r /etc/os-release ] && . /etc/os-release && id="${ID:-} ${ID_LIKE:-}"
[ "${ENGINE:-auto}" != never ] || manual "no container engine answers, and ENGINE=never says not to install one"
[ "$(id -u)" = 0 ] || manual "no container engine answers, and only root can start one"
case "$id" in
*debian* | *ubuntu*) ;;
*)
    say "no container engine answers, and this is no Debian or Ubuntu; install Docker or Podman and start its service"
    exit 3
    ;;
esac

export DEBIAN_FRONTEND=noninteractive
if ! command -v dockerd >/dev/null; then
    say "no container engine here: installing the package docker.io with apt-get"
    apt-get update -qq >&2
    apt-get install -y -qq --no-install-recommends docker.io iptables ca-certificates >&2
fi

if [ -d /run/systemd/system ] && command -v systemctl >/dev/null; then
    say "starting the docker service"
    systemctl start docker >&2 || true
else
    say "starting dockerd by hand; its log is $log"
    setsid dockerd >"$log" 2>&1 </dev/null &
fi

tries=0
while [ $tries -lt 60 ]; do
    if answers; then
        say "the engine answers"
        exit 0
    fi
    tries=$((tries + 1))
    sleep 1
done
say "dockerd did not answer within a minute; the end of $log:"
tail -n 5 "$log" >&2 2>/dev/null || true
exit 3
