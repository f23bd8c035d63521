"""Images: seconds to build them all without cached layers, their sizes, the quickstart in them.

``python benchmarks/images.py [build] [quickstart]``, both by default. The base image
python:3.11-slim must be there; wheels come over the network or from ``PIP_FIND_LINKS``.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from quickstart import digests

ROOT = Path(__file__).parent.parent
DOCKER = os.environ.get("DOCKER") or "docker"
TAG = "benchmark"


def size(reference: str) -> float:
    """Return the size of an image in MB (10^6 bytes), all layers unpacked."""
    command = [DOCKER, "image", "inspect", "--format", "{{.Size}}", reference]
    return int(subprocess.run(command, check=True, capture_output=True).stdout) / 1e6


def build() -> None:
    """Build everything without the cache and print seconds and sizes."""
    start = time.monotonic()
    command = [sys.executable, "images/build.py", "--no-cache", "--tag", TAG]
    subprocess.run(command, cwd=ROOT, check=True)
    print(f"all images without cached layers: {time.monotonic() - start:.0f} s")
    base = size("python:3.11-slim")
    for name in ("core", "vllm", "train"):
        print(f"{name}: {size(f'refine-af-{name}:{TAG}') - base:.0f} MB above its base")


def run(folder: Path, *arguments: str) -> float:
    """Run the quickstart and return its seconds."""
    start = time.monotonic()
    command = [sys.executable, "-m", "refine_af", "run", "--preset", "quickstart"]
    command += ["--output-dir", str(folder), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - start


def quickstart(folder: Path) -> None:
    """Run the quickstart in containers and as subprocesses; print seconds and compare bytes."""
    inside = run(folder / "inside", "--runner", "docker")
    outside = run(folder / "outside")
    first, second = digests(folder / "inside"), digests(folder / "outside")
    different = {name for name, _ in first.items() ^ second.items()}
    result = {
        "seconds in containers": round(inside, 1),
        "seconds as subprocesses": round(outside, 1),
        "artifacts": len(first),
        "different": sorted(different),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    chosen = sys.argv[1:] or ["build", "quickstart"]
    if "build" in chosen:
        build()
    if "quickstart" in chosen:
        with tempfile.TemporaryDirectory() as place:
            quickstart(Path(place))
