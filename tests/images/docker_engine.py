"""A Docker engine with the images of this tree, for tests marked ``docker``."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from refine_af import __version__
from refine_af.stages import STAGES

ROOT = Path(__file__).parent.parent.parent
DOCKER = os.environ.get("DOCKER") or "docker"
BASES = ("core", "vllm", "train")
NAMES = [f"refine-af-{name}" for name in (*BASES, *(stage.name for stage in STAGES))]


def docker(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run the Docker client."""
    done = subprocess.run([DOCKER, *arguments], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def need_engine() -> None:
    """Skip where no Docker engine answers; in CI that is a failure, or these tests would rot."""
    try:
        answer = docker("version", "--format", "{{.Server.Version}}", check=False).stderr
    except FileNotFoundError:
        answer = f"{DOCKER} is not installed"
    if not answer:
        return
    reason = f"no Docker engine answers: {answer.strip()}; `sh .ci/docker_env.sh` makes one"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@cache
def built_images() -> dict[str, dict[str, Any]]:
    """Build all images for CPUs from this tree, once; return what Docker says of each, by name."""
    need_engine()
    subprocess.run([sys.executable, "images/build.py"], cwd=ROOT, check=True)
    references = [f"{name}:{__version__}" for name in NAMES]
    found = json.loads(docker("image", "inspect", *references).stdout)
    return dict(zip(NAMES, found, strict=True))
