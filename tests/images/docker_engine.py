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
SHORT = bool(os.environ.get("REFINE_AF_SHORT"))
"""Whether only the images on the base core are built, as `make test-docker-short` asks."""
SHORT_STAGES = ("check_inputs", "dedup_filter", "notify")
CHOSEN = [stage for stage in STAGES if not SHORT or stage.name in SHORT_STAGES]
BASES = [base for base in ("core", "vllm", "train") if base in {item.image for item in CHOSEN}]
NAMES = [f"refine-af-{name}" for name in (*BASES, *(stage.name for stage in CHOSEN))]


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
    """Build the images for CPUs from this tree, once; return what Docker says of each, by name."""
    need_engine()
    only = [word for stage in CHOSEN if SHORT for word in ("--only", stage.name)]
    subprocess.run([sys.executable, "images/build.py", *only], cwd=ROOT, check=True)
    references = [f"{name}:{__version__}" for name in NAMES]
    found = json.loads(docker("image", "inspect", *references).stdout)
    return dict(zip(NAMES, found, strict=True))
