#!/bin/sh
# Write requirements/dev.hashes.txt: the pins of dev.txt with the sha256 of their files. Needs uv.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
grep -v -e '^#' -e '^torch==' dev.txt >"$work/dev.in"
uv pip compile --quiet --no-deps --generate-hashes --no-annotate --no-header --universal \
  --python-version 3.11 -o "$work/dev.txt" "$work/dev.in" >/dev/null
{
  echo "# The pins of dev.txt, torch left out, with the sha256 of every file that may be installed: written by"
  echo "# \`make lock\`, read by install.sh. torch is left out because its builds differ by machine."
  cat "$work/dev.txt"
} >dev.hashes.txt
