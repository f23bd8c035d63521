"""One whole run without a network, with secrets in its environment: neither is touched."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CANARY = "canary7f3a9d"
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": f"{CANARY}aws",
    "OPENAI_API_KEY": f"{CANARY}openai",
    "HF_TOKEN": f"{CANARY}hub",
}
WATCH = """
import os, sys

def watch(event, arguments):
    if event == "subprocess.Popen":
        with open(os.environ["WATCH_FILE"] + ".commands", "a") as sink:
            sink.write(f"{arguments[1]}\\n")
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        place = arguments[1] if event != "socket.getaddrinfo" else arguments[0]
        if not isinstance(place, (str, bytes)) or event == "socket.getaddrinfo":
            with open(os.environ["WATCH_FILE"], "a") as sink:
                sink.write(f"{event} {place} {sys.argv}\\n")

sys.addaudithook(watch)
"""


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of every stage in a network namespace of its own, every socket call noted."""
    folder = tmp_path_factory.mktemp("offline")
    (folder / "sitecustomize.py").write_text(WATCH)
    unshare = shutil.which("unshare")
    alone = [unshare, "--net", "--map-root-user"] if unshare else []
    if not alone or subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        pytest.skip("network namespaces are not allowed here")
    root = Path(__file__).parent.parent.parent
    environment = (
        os.environ
        | SECRETS
        | {
            "PYTHONPATH": os.pathsep.join(
                [str(folder), str(root), os.environ.get("PYTHONPATH", "")]
            ),
            "WATCH_FILE": str(folder / "sockets"),
        }
    )
    command = [*alone, sys.executable, "-m", "refine_af", "run", "--preset", "smoke"]
    done = subprocess.run(
        [*command, "--output-dir", str(folder / "run")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / "printed").write_text(done.stdout + done.stderr)
    return folder


def test_a_run_works_with_networking_off(offline: Path) -> None:
    assert json.loads((offline / "run" / "artifacts" / "report" / "result").read_text())["arms"]


def test_nothing_even_tries_to_reach_the_network(offline: Path) -> None:
    noted = offline / "sockets"
    assert not noted.exists(), noted.read_text()


def test_no_secret_of_the_environment_is_written_anywhere(offline: Path) -> None:
    written = [path for path in offline.rglob("*") if path.is_file()]
    assert len(written) > 100
    assert "refine_af.pipelines.local" in (offline / "sockets.commands").read_text()
    assert [path for path in written if CANARY.encode() in path.read_bytes()] == []


def test_no_secret_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from refine_af.cli import main

    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    target = tmp_path / "pipeline.yaml"
    assert main(["compile", "--preset", "smoke", "-o", str(target)]) == 0
    assert CANARY not in target.read_text()


def test_libraries_that_could_report_are_told_not_to() -> None:
    script = (
        "import os, refine_af; from huggingface_hub import constants;"
        " assert constants.HF_HUB_DISABLE_TELEMETRY;"
        " assert os.environ['DO_NOT_TRACK'] == os.environ['VLLM_NO_USAGE_STATS'] == '1'"
    )
    plain = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    subprocess.run([sys.executable, "-c", script], check=True, env=plain)
