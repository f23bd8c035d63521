"""A stage's container that is asked to end, by ``docker stop`` as by Kubernetes: SIGTERM."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker_engine import built_images, docker

from refine_af import __version__

pytestmark = pytest.mark.docker

NAME = "refine-af-test-stop"
LOCKED_DOWN = ("--read-only", "--tmpfs", "/tmp:exec", "--cap-drop", "ALL")  # noqa: S108
INTERRUPTED = "130"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that the images' user may write to; end a container that is left over."""
    tmp_path.chmod(0o777)
    yield tmp_path
    docker("rm", "--force", NAME, check=False)


def container(place: Path, stage: str, *options: str) -> list[str]:
    image = f"refine-af-{stage}:{__version__}"
    mount = ("--volume", f"{place}:/data", "--workdir", "/data")
    return [*LOCKED_DOWN, *mount, image, "refine-af", stage.replace("_", "-"), *options]


def expiry(work: Path) -> float:
    """Return when the one lease below a work directory ends: 0 once it was given back."""
    leases = list(work.glob("*/lease.json"))
    return float(json.loads(leases[0].read_text())["expires_at"]) if leases else 0.0


def stop_when(ready: Callable[[], bool], work: Path, *command: str) -> None:
    """Start a container, stop it once it is ``ready``, and see that it unwound."""
    docker("run", "--detach", "--name", NAME, *command)
    until = time.monotonic() + 300
    while not ready():
        assert time.monotonic() < until, docker("logs", NAME).stderr
        time.sleep(0.1)
    assert expiry(work) > time.time()
    docker("stop", "--time", "60", NAME)
    log = docker("logs", NAME).stderr
    assert docker("inspect", "--format", "{{.State.ExitCode}}", NAME).stdout.strip() == INTERRUPTED
    assert "interrupted" in log
    assert expiry(work) == 0
    docker("rm", NAME)


@pytest.mark.short
def test_a_stopped_filter_gives_its_lease_back_and_runs_again(place: Path) -> None:
    built_images()
    # enough that reading them takes seconds
    words = range(1, 40)
    rows = [{"instruction": " ".join(str(n * k % 99991) for k in words)} for n in range(60_000)]
    (place / "rows").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def command(kept: str, work: str) -> list[str]:
        files = ("--candidates", "rows", "--kept", kept, "--rejected", f"{kept}.rejected")
        return container(place, "dedup_filter", *files, "--work-dir", work)

    stopped = place / "stopped"
    stop_when(
        lambda: "rows read," in docker("logs", NAME).stderr, stopped, *command("again", "stopped")
    )
    assert not (place / "again").exists()
    docker("run", "--rm", *command("again", "stopped"))
    docker("run", "--rm", *command("whole", "other"))
    assert (place / "again").read_bytes() == (place / "whole").read_bytes()
    assert (place / "again.rejected").read_bytes() == (place / "whole.rejected").read_bytes()


def test_a_stopped_bootstrap_continues_where_it_was(place: Path) -> None:
    built_images()
    ingest = container(place, "seed_ingest", "--seeds", "seeds")
    docker("run", "--rm", *ingest)

    def command(folder: str, work: str) -> list[str]:
        given = {"seeds": "seeds", "outputs-dir": folder, "work-dir": work}
        given |= {"model": "builtin:fixture", "engine": "transformers", "target": "500"}
        given |= {"round-size": "8", "max-requests": "64", "max-tokens": "64"}
        options = [f"--{name}={value}" for name, value in given.items()]
        return container(place, "generate_instructions", *options)

    def written() -> dict[str, int]:
        steps = (place / "stopped").glob("*/steps/*")
        return {path.name: path.stat().st_mtime_ns for path in steps}

    stop_when(lambda: len(written()) > 2, place / "stopped", *command("again", "stopped"))
    before = written()
    docker("run", "--rm", *command("again", "stopped"))
    assert len(written()) > len(before)
    assert before.items() <= written().items()  # not done again
    docker("run", "--rm", *command("whole", "other"))
    for name in ("instructions", "rejected", "rounds", "calls", "metrics", "provenance"):
        assert (place / "again" / name).read_bytes() == (place / "whole" / name).read_bytes(), name
