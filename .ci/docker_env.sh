#!/bin/sh
# Make a Docker engine with a python:3.11-slim for `make test-docker`:
#   docker_env.sh [start|stop]
#   docker_env.sh run COMMAND...   start, run it with CI=1 and, where this started a daemon, end that
# Idempotent. Uses the engine that answers already; else, as root on Debian, installs docker.io and
# starts a daemon of its own on a private socket under DOCKER_ENV_DIR (default:
# /tmp/refine-af-docker), where it runs until `docker_env.sh stop`. Writes .docker-engine.mk, which
# the Makefile includes and a shell can read:  . ./.docker-engine.mk
#
# Where no registry can be reached, a stand-in for the base image python:3.11-slim is made of
# Debian packages. PIP_CERT, if set, names the certificates that pip needs; they go into it.
#
# Exit status 77: no engine answers and none may be started here, for lack of privilege (not root, or
# a root that may not mount or set up networks). All else that is missing is a failure.
set -eu
cd "$(dirname "$0")/.."

home=${DOCKER_ENV_DIR:-/tmp/refine-af-docker}
mark=.docker-engine.mk
base=python:3.11-slim
started=
suite=bookworm # Debian's release with Python 3.11

own_engine() {
  [ -S "$home/docker.sock" ] && DOCKER_HOST="unix://$home/docker.sock" docker version >/dev/null 2>&1
}

unprivileged() {
  echo "docker_env.sh: no Docker engine answers, and none can be started: $1" >&2
  exit 77
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
  # shellcheck disable=SC2086 # two words are two packages
  if ! { apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >/dev/null
  then
    echo "docker_env.sh:$missing cannot be installed by apt-get; install them, or start a Docker engine" >&2
    exit 1
  fi
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
  daemon=$!
  for _ in $(seq 120); do
    own_engine && { started=yes; return 0; }
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.5
  done
  if ! kill -0 "$daemon" 2>/dev/null; then
    refused=$(grep -i -E "operation not permitted|permission denied" "$home/log" | tail -1)
    [ -z "$refused" ] || unprivileged "$refused"
  fi
  echo "docker_env.sh: dockerd does not answer; the end of $home/log:" >&2
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
  "$docker" run --rm "$base" python3 -m pip --version >/dev/null && return 0
  "$docker" image rm "$base" >/dev/null
  echo "docker_env.sh: no registry answers and $base could not be made of Debian's packages" >&2
  exit 1
}

case ${1:-start} in
  stop) stop; exit 0 ;;
  start) ;;
  run) trap '[ -z "$started" ] || stop' EXIT ;;
  *) echo "docker_env.sh: '$1' is neither start nor stop nor run" >&2; exit 64 ;;
esac

docker=docker
if docker version >/dev/null 2>&1; then
  : >"$mark"
else
  [ "$(id -u)" = 0 ] || unprivileged "the user $(id -u) is not root"
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
[ "${1:-start}" = run ] || exit 0
shift
CI=1 "$@"
