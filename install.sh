#!/bin/sh
# Makes the virtual environment with the pinned dependencies: install.sh [PYTHON] [FOLDER].
# `make install` calls it; without make, call it yourself and then .venv/bin/refine-af.
set -eu
python=${1:-python3}
folder=${2:-.venv}
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || {
    echo "install.sh: $python is not Python 3.11 or 3.12; give one: install.sh python3.11" >&2
    exit 64
}
[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
install() { "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
# Every file's sha256 is compared; then comes torch, whose build (CPU, CUDA) depends on the machine.
install --require-hashes --no-deps -r requirements/dev.hashes.txt
install -r requirements/dev.txt
install --no-deps --no-build-isolation -e .
touch "$folder/installed"
