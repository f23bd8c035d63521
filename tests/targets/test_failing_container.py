"""A container that fails says why in one line: in its log, and where Kubernetes looks."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from refine_af.contracts.termination import LOG_VARIABLE, MOST_BYTES, report_termination
from refine_af.generate import ROOT
from refine_af.runner import find_stage


def environment(log: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, LOG_VARIABLE: str(log), "TMPDIR": str(log.parent)}


def by_kfps_executor(name: str, params: dict[str, Any], folder: Path) -> tuple[int, str, str]:
    """Run a component's container command as KFP's launcher does; return code, output, log."""
    text = (ROOT / "components" / name / "component.yaml").read_text(encoding="utf-8")
    spec = yaml.safe_load(text)
    (executor,) = spec["deploymentSpec"]["executors"].values()
    (component,) = spec["components"].values()
    form = component["inputDefinitions"]["parameters"]
    values = {key: item.get("defaultValue", "") for key, item in form.items()} | params
    outputs = component["outputDefinitions"]["artifacts"]
    given = {
        "inputs": {"parameterValues": values},
        "outputs": {
            "artifacts": {
                key: {
                    "artifacts": [
                        {"name": key, "type": item["artifactType"], "uri": str(folder / key)}
                    ]
                }
                for key, item in outputs.items()
            },
            "outputFile": str(folder / "executor_output.json"),
        },
    }
    words = [*executor["container"]["command"], *executor["container"]["args"]]
    words = [word.replace("{{$}}", json.dumps(given)) for word in words]
    return _run(words, folder)


def by_command(name: str, params: dict[str, Any], folder: Path) -> tuple[int, str, str]:
    """Run a stage's command as Argo does."""
    options = [f"--{key.replace('_', '-')}={value}" for key, value in params.items()]
    words = ["refine-af", find_stage(name).command, *options, f"--outputs-dir={folder}"]
    return _run(words, folder)


def _run(words: list[str], folder: Path) -> tuple[int, str, str]:
    log = folder / "termination-log"
    log.touch()
    done = subprocess.run(
        words, cwd=folder, env=environment(log), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr, log.read_text(encoding="utf-8")


@pytest.mark.parametrize("run", [by_kfps_executor, by_command])
@pytest.mark.parametrize(
    ("params", "code", "line"),
    [
        ({"seeds_uri": "no-such.jsonl"}, 65, "no-such.jsonl: no such file"),
        ({"seeds_uri": "s3:/half"}, 65, "no such file"),
        ({"seeds_uri": "builtin:nothing"}, 64, "builtin:nothing"),
    ],
)
def test_a_mistake_is_one_line_without_a_traceback(
    run: Any,  # noqa: ANN401
    params: dict[str, Any],
    code: int,
    line: str,
    tmp_path: Path,
) -> None:
    found, output, log = run("seed_ingest", params, tmp_path)
    assert found == code, output
    assert line in log
    assert "\n" not in log
    assert "Traceback" not in output
    assert f"refine-af: {log}" in output.strip().splitlines()[-1]


@pytest.mark.parametrize("run", [by_kfps_executor, by_command])
def test_a_bug_keeps_its_traceback(
    run: Any,  # noqa: ANN401
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import refine_af.runner as runner\n"
        "def broken(*a, **k): raise KeyError('a bug')\n"
        "runner._run = broken\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found, output, log = run("seed_ingest", {"seeds_uri": "builtin:seeds"}, tmp_path)
    assert found == 1
    assert "Traceback" in output
    assert log == "KeyError: 'a bug' (a bug; see the log)"


def test_a_log_is_never_made_and_never_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv(LOG_VARIABLE, str(log))
    report_termination("x")
    assert not log.exists()
    log.touch()
    report_termination("a\nb\x1b[0m" + "é" * 5000)
    assert log.read_bytes().startswith("a b\ufffd[0mé".encode())
    assert MOST_BYTES - 2 < log.stat().st_size <= MOST_BYTES
    log.read_text(encoding="utf-8")
