#!/bin/sh
# Make a Docker engine with a python:3.11-slim for `make test-docker`: docker_env.sh [start|stop].
# Idempotent. Uses the engine that answers already; else, as root on Debian, installs docker.io and
# starts a daemon of its own on a private socket under DOCKER_ENV_DIR (default:
# /tmp/refine-af-docker), where it runs until `docker_env.sh stop`. Writes .docker-engine.mk, which
# the Makefile includes and a shell can read:  . ./.docker-engine.mk
#
# Where no registry can be reached, a stand-in for the base image python:3.11-slim is made of
# Debian packages. PIP_CERT, if set, names the certificates that pip needs; they go into it.
set -eu
cd "$(dirname "$0")/.."

home=${DOCKER_ENV_DIR:-/tmp/refine-af-docker}
mark=.docker-engine.mk
base=python:3.11-slim
suite=bookworm # Debian's release with Python 3.11

own_engine() {
  [ -S "$home/docker.sock" ] && DOCKER_HOST="unix://$home/docker.sock" docker version >/dev/null 2>&1
}

stop() {
  rm -f "$mark"
  [ -f "$home/pid" ] || return 0
  pid=$(cat "$home/pid")
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 60); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.5
  done
  echo "docker_env.sh: the daemon $pid did not end; see $home/log" >&2
  exit 1
}

install_packages() {
  missing=
  for package in docker.io mmdebstrap; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  apt-get update -qq
  # shellcheck disable=SC2086 # two words are two packages
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

start_daemon() {
  mkdir -p -m 700 "$home"
  [ -O "$home" ] || { echo "docker_env.sh: $home is another user's; set DOCKER_ENV_DIR" >&2; exit 1; }
  rm -f "$home/pid"
  # In a session of its own and without open files: the engine outlives this script and what
  # called it, and must not hold their locks.
  setsid dockerd --data-root "$home/data" --exec-root "$home/exec" --pidfile "$home/pid" \
    --host "unix://$home/docker.sock" --storage-driver overlay2 \
    >"$home/log" 2>&1 </dev/null 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
  for _ in $(seq 120); do
    own_engine && return 0
    sleep 0.5
  done
  echo "docker_env.sh: dockerd does not answer after 60 s; the end of $home/log:" >&2
  tail -20 "$home/log" >&2
  exit 1
}

make_base() {
  "$docker" image inspect "$base" >/dev/null 2>&1 && return 0
  "$docker" pull --quiet "$base" >/dev/null 2>&1 && return 0
  set -- --quiet --variant=minbase --include=python3,python3-pip,python3-venv,ca-certificates
  if [ -n "${PIP_CERT:-}" ]; then
    set -- "$@" --customize-hook='cp "$PIP_CERT" "$1/etc/ssl/certs/ca-certificates.crt"'
  fi
  mmdebstrap "$@" \
    --customize-hook='printf "[global]\ncert = /etc/ssl/certs/ca-certificates.crt\nroot-user-action = ignore\n" >"$1/etc/pip.conf"' \
    --customize-hook='rm -f "$1"/usr/lib/python3.11/EXTERNALLY-MANAGED; ln -sf python3 "$1/usr/bin/python"' \
    "$suite" - | "$docker" import -c 'ENV LANG=C.UTF-8' -c 'CMD ["python3"]' - "$base" >/dev/null
}

case ${1:-start} in
  stop) stop; exit 0 ;;
  start) ;;
  *) echo "docker_env.sh: '$1' is neither start nor stop" >&2; exit 64 ;;
esac

docker=docker
if docker version >/dev/null 2>&1; then
  : >"$mark"
else
  [ "$(id -u)" = 0 ] || { echo "docker_env.sh: no Docker engine answers; start one, or be root" >&2; exit 1; }
  install_packages
  own_engine || start_daemon
  # Debian's own client has BuildKit inside; another one on the PATH may lack its plugin.
  docker=/usr/bin/docker
  DOCKER_HOST="unix://$home/docker.sock"
  export DOCKER_HOST
  printf 'export DOCKER_HOST=%s\nexport DOCKER=%s\n' "$DOCKER_HOST" "$docker" >"$mark"
fi
make_base
"$docker" version --format 'docker {{.Server.Version}}'
