"""Components run in their images: a whole run, a foreign pipeline; same bytes as without Docker."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from docker_engine import ROOT, built_images, docker, need_engine
from kfp import components, dsl, local

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("threads_of_a_container")]

RUN = [sys.executable, "-m", "refine_af", "run", "--preset"]


def run(folder: Path, *arguments: str, preset: str = "smoke") -> "subprocess.CompletedProcess[str]":
    command = [*RUN, preset, "--output-dir", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of every artifact but telemetry, which alone may differ."""
    root = folder / "artifacts"
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "telemetry"
    }


def containers(folder: Path) -> str:
    """Return the running ones; a finished one is listed for a moment longer with --all."""
    return docker("ps", "--quiet", "--filter", f"label=refine-af.run={folder}").stdout


def test_the_quickstart_in_containers_writes_the_bytes_of_a_local_run(tmp_path: Path) -> None:
    built_images()
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    done = run(inside, "--runner", "docker", preset="quickstart")
    assert done.returncode == 0, done.stderr
    log = (inside / "run.log").read_text(encoding="utf-8")
    assert "Found image 'refine-af-train_ppo:" in log
    assert not containers(inside)
    assert not (inside / "tmp").exists()
    done = run(outside, preset="quickstart")
    assert done.returncode == 0, done.stderr
    found = digests(inside)
    assert len(found) > 70
    assert found == digests(outside)


def test_a_failing_container_fails_the_run_with_its_message(tmp_path: Path) -> None:
    built_images()
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text("no JSON\n", encoding="utf-8")
    arguments = ("--runner", "docker", "--set", f"seeds_uri={seeds}")
    done = run(tmp_path / "run", *arguments)
    assert done.returncode == 65, done.stderr
    assert "seeds.jsonl" in done.stderr


def test_asked_to_end_leaves_no_container_and_no_lease(tmp_path: Path) -> None:
    built_images()
    command = [*RUN, "smoke", "--output-dir", str(tmp_path), "--runner", "docker"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    events = tmp_path / "events.jsonl"
    while process.poll() is None:
        text = events.read_text() if events.exists() else ""
        if '"stage": "generate_instructions", "label": "", "event": "step"' in text:
            break
        time.sleep(0.05)
    assert containers(tmp_path)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    assert not containers(tmp_path)
    leases = [path for path in (tmp_path / "work").rglob("*lease*") if path.suffix == ".json"]
    assert leases
    assert all(json.loads(path.read_text())["expires_at"] == 0 for path in leases)


@pytest.mark.short
def test_an_image_that_is_missing_is_not_asked_of_the_public_registry(tmp_path: Path) -> None:
    need_engine()
    done = run(tmp_path, "--runner", "docker", "--tag", "no-such-tag")
    assert done.returncode == 69
    assert "refine-af-check_inputs:no-such-tag" in done.stderr
    assert "make images" in done.stderr


@pytest.mark.short
def test_a_component_file_runs_in_a_foreign_pipeline(tmp_path: Path) -> None:
    built_images()
    rows = [{"text": text} for text in ("Name a colour.", "Name a colour!", "Add 2 and 3.")]
    source = tmp_path / "theirs.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    loaded = components.load_component_from_file(
        str(ROOT / "components" / "dedup_filter" / "component.yaml")
    )

    def theirs() -> dsl.Dataset:
        given = dsl.importer(artifact_uri=str(source), artifact_class=dsl.Dataset)
        return loaded(candidates=given.output, text_field="text").outputs["kept"]

    user = f"{os.getuid()}:{os.getgid()}"
    runner = local.DockerRunner(user=user, read_only=True, tmpfs={"/tmp": ""})  # noqa: S108
    local.init(runner, pipeline_root=str(tmp_path))
    kept = Path(dsl.pipeline(theirs)().outputs["Output"].path).read_text(encoding="utf-8")
    assert [json.loads(line) for line in kept.splitlines()] == [rows[0], rows[2]]
