"""``refine-af run`` for real: every stage on the test model, killed, resumed, run in part."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from refine_af.cli import main
from refine_af.storage.lease import Lease
from refine_af.storage.local import LocalStore

RUN = [sys.executable, "-m", "refine_af", "run", "--preset", "smoke"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*RUN, "--output-dir", str(folder), *arguments]
    with tempfile.TemporaryDirectory() as temporary:
        environment = os.environ | {"TMPDIR": temporary}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert os.listdir(temporary) == [], "temporary files outlive the run"
    return done


def digests(folder: Path) -> dict[str, str]:
    root = folder / "artifacts"
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "telemetry"
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    done = run(folder)
    assert done.returncode == 0, done.stderr
    assert f"report: {folder / 'report.html'}" in done.stdout
    return folder


def test_every_task_leaves_its_artifacts(finished: Path) -> None:
    tasks = {path.name for path in (finished / "artifacts").iterdir()}
    assert {"train_ppo", "evaluate-start", "train_sft-baseline", "report"} <= tasks
    assert len(tasks) == 15
    html = (finished / "report.html").read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_shows_the_report_as_a_page_and_not_its_source(finished: Path) -> None:
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom")
    done = subprocess.run(
        [str(CHROMIUM), *flags, (finished / "report.html").as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "<title>REFINE-AF report</title>" in done.stdout
    assert (finished / "SHA256SUMS").read_text().count("  report.html\n") == 1


def test_rows_add_up_from_stage_to_stage(finished: Path) -> None:
    def numbers(task: str) -> dict[str, float]:
        found: dict[str, float] = json.loads(
            (finished / "artifacts" / task / "metrics").read_text()
        )
        return found

    kept = numbers("generate_instructions")["kept"]
    filtered = numbers("dedup_filter")
    assert filtered["rows"] == kept
    for arm in ("rl", "baseline"):
        written = numbers(f"generate_instances-{arm}")
        assert written["instructions"] == filtered["kept"]
        assert numbers(f"score_rewards-{arm}")["rows"] == written["instances"]
    assert numbers("train_sft-rl")["rows"] == numbers("train_sft-baseline")["rows"]


def test_seconds_are_in_telemetry_alone(finished: Path) -> None:
    for path in (finished / "artifacts").glob("*/provenance"):
        found = json.loads(path.read_text())
        engine = {"determinism"} & set(found)  # a level, where the stage has a text engine
        assert set(found) == {"stage", "params", "inputs", "code"} | engine
        assert bool(engine) == ("engine" in found["params"])
        assert json.loads((path.parent / "telemetry").read_text())["seconds"] > 0


def started_and_in(
    stage: str, folder: Path, *before: str, arguments: tuple[str, ...] = (), below: str = ""
) -> "subprocess.Popen[bytes]":
    """Return a run of its own process group that has begun to work on a stage."""
    process = subprocess.Popen(
        [*before, *RUN, "--output-dir", str(folder), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    events = folder / below / "events.jsonl"
    while process.poll() is None:
        text = events.read_text() if events.exists() else ""
        if f'"stage": "{stage}", "label": "", "event": "step"' in text:
            break
        time.sleep(0.05)
    return process


# A script's background commands ignore Ctrl-C's signal, and so does everything that they start.
@pytest.mark.parametrize("before", [(), ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")])
def test_asked_to_end_leaves_no_process_and_no_lease(
    tmp_path: Path, before: tuple[str, ...]
) -> None:
    process = started_and_in("generate_instructions", tmp_path, *before)
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) >= 2  # the local runner and the stage
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=15)
    assert not [one for one in below if one.is_running() and one.status() != "zombie"]
    leases = [path for path in (tmp_path / "work").rglob("*lease*") if path.suffix == ".json"]
    assert leases
    assert all(json.loads(path.read_text())["expires_at"] == 0 for path in leases)


def test_killed_and_run_again_ends_with_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    process = started_and_in("train_ppo", tmp_path)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    again = run(tmp_path)
    assert again.returncode == 0, again.stderr
    assert "generate_instructions: finished before" in again.stderr
    assert digests(tmp_path) == digests(finished)


def test_a_finished_run_is_whole_and_its_rows_have_passports(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(finished)]) == 0
    assert main(["status", str(finished)]) == 0
    assert "the run is finished" in capsys.readouterr().out
    for name in ("dedup_filter/kept", "score_rewards-rl/scored", "generate_instances-rl/rejected"):
        for line in (finished / "artifacts" / name).read_text().split("\n")[:3]:
            if line:
                assert main(["explain", json.loads(line)["id"], "--run", str(finished)]) == 0
                assert "prompt sha256" in capsys.readouterr().out


def test_always_resuming_refuses_another_configuration(finished: Path) -> None:
    done = run(finished, "--resume", "always", "--set", "train_ppo.updates=3")
    assert done.returncode == 65
    assert "config.stages.train_ppo.updates: 3, not 2" in done.stderr
    assert (finished / "SHA256SUMS").exists()


def test_another_configuration_does_not_touch_a_finished_run(finished: Path) -> None:
    def files() -> dict[Path, bytes]:
        """Return all but the lease, which whoever looks at a run holds for a moment."""
        paths = [path for path in finished.glob("*") if path.is_file()]
        return {path: path.read_bytes() for path in paths if path.name != "lease.json"}

    before = files()
    done = run(finished, "--set", "train_ppo.updates=1")
    assert done.returncode == 64
    assert "stages.train_ppo.updates was 2, now 1" in done.stderr
    assert "--replace" in done.stderr
    assert files() == before


def test_a_replacement_that_is_killed_leaves_the_finished_run_whole(
    finished: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "run"))
    wanted = ("--replace", "--set", "generate_instructions.target=10")
    process = started_and_in("generate_instructions", folder, arguments=wanted, below="next")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert main(["verify", str(folder)]) == 0
    words = ["export", "--run", str(folder), "--format", "alpaca", "--output", str(tmp_path / "o")]
    assert main(words) == 0
    page = (tmp_path / "o" / "run.yaml").read_text(encoding="utf-8")
    assert "target: 16" in page


def test_a_second_process_in_the_folder_is_refused(tmp_path: Path) -> None:
    lease = Lease(LocalStore(), str(tmp_path / "lease.json"), "refine-af run", 60)
    with lease:
        done = run(tmp_path)
    assert done.returncode == 69
    assert "the lease is held by refine-af run" in done.stderr
    assert not (tmp_path / "run.json").exists()


def test_one_task_alone_on_earlier_artifacts(finished: Path) -> None:
    before = digests(finished)
    done = run(finished, "--only", "report", "--set", "report.resamples=100")
    assert done.returncode == 0, done.stderr
    after = digests(finished)
    changed = {name for name in before if before[name] != after.get(name)}
    assert changed <= {
        f"report/{name}" for name in ("report", "summary", "result", "metrics", "provenance")
    }
    assert "report/provenance" in changed


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--set", "train_ppo.update=1"), 64, "Did you mean 'updates'?"),
        (
            ("--only", "evaluate"),
            64,
            "it runs as evaluate (rl), evaluate (baseline), evaluate (start)",
        ),
        (("--only", "report", "--from", "report"), 64, "exclude each other"),
        (("--config", "missing.yaml"), 64, "missing.yaml: no such file"),
        (
            ("--set", "seeds_uri=missing.jsonl"),
            64,
            "seeds_uri is 'missing.jsonl'; nothing is there",
        ),
        (("--set", "model=builtin:big"), 64, "builtin:tiny"),
    ],
)
def test_bad_input_is_one_line_and_a_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == code, done.stderr
    last = done.stderr.strip().split("\n")[-1]
    assert last.startswith("refine-af: ")
    assert message in last


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(tmp_path / "file" / "runs")
    assert done.returncode == 64
    assert "--output-dir" in done.stderr


def test_dry_run_shows_the_dag_and_runs_nothing(tmp_path: Path) -> None:
    done = run(tmp_path / "out", "--dry-run", "--set", "train_ppo.updates=3")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^train_ppo +24 +Train the model by PPO", done.stdout, re.MULTILINE)
    assert "* updates = 3 (preset: 2)" in done.stdout
    assert "at most" in done.stdout
    assert not (tmp_path / "out").exists()
