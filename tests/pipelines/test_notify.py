"""The exit task: an address is told how a run ended, by KFP's local runner and by Argo's hook."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from argo_machines import Processes
from argo_repository import S3Repository
from argo_run import Cluster, load
from servers import BUCKET

from refine_af.pipelines.argo import write_argo
from refine_af.pipelines.compiling import Compiled, compile_request
from refine_af.pipelines.config import load_config
from refine_af.pipelines.flow import Images
from refine_af.stages import notify


class Listener(ThreadingHTTPServer):
    """Keeps the messages that it is sent; answers with each of ``answers`` first."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[Any] = []
        self.answers: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_port}/hook/secret-token"


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.answers.pop(0) if self.server.answers else 200
        if status == 200:
            self.server.heard.append(json.loads(body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    with Listener() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("NOTIFY_URL", server.url)
        yield server
        server.shutdown()


def failing(profile: str) -> Compiled:
    config = load_config("smoke", "").with_values(("seeds_uri=/no/such/seeds.jsonl",))
    return compile_request(config, profile, Images("", "0.1.0"), notify=True)


KFP_RUN = """
import sys
from kfp import components, local
local.init(local.SubprocessRunner(use_venv=False), pipeline_root="root")
components.load_component_from_file(sys.argv[1])()
"""


def test_kfps_exit_task_tells_of_a_failed_run(listener: Listener, tmp_path: Path) -> None:
    failing("local").write_ir(tmp_path / "pipeline.yaml")
    done = subprocess.run(
        [sys.executable, "-c", KFP_RUN, str(tmp_path / "pipeline.yaml")],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path)},  # KFP leaves its folders there
        capture_output=True,
        text=True,
        check=False,
    )
    assert "/no/such/seeds.jsonl: no such file" in done.stdout
    (heard,) = listener.heard
    assert heard["state"] == "FAILED"
    assert heard["succeeded"] is False
    assert heard["text"].startswith("refine-af ")
    assert "secret-token" not in done.stdout + done.stderr


def test_argos_exit_hook_tells_of_a_failed_run(
    listener: Listener, tmp_path: Path, s3_root: str
) -> None:
    write_argo(failing("cpu"), tmp_path, "refine-af-smoke")
    machine = Processes()
    cluster = Cluster(
        load(tmp_path / "templates.yaml"), S3Repository(BUCKET), machine, tmp_path / "pods"
    )
    (workflow,) = load(tmp_path / "workflow.yaml")
    done = cluster.submit(workflow, "refine-af-smoke-x7", {"registry": "r"})
    assert done.failed == "check-inputs"
    assert done.attempts["exit"] == [0]
    assert listener.heard == [
        {
            "run": "refine-af-smoke-x7",
            "state": "Failed",
            "succeeded": False,
            "error": "",
            "text": "refine-af refine-af-smoke-x7: Failed",
        }
    ]
    stored = S3Repository(BUCKET)
    stored.get("refine-af/refine-af-smoke-x7/notify/provenance", tmp_path / "provenance")
    assert "secret-token" not in (tmp_path / "provenance").read_text()


def test_both_name_the_same_tasks_with_and_without_an_exit_task(tmp_path: Path) -> None:
    plain = compile_request(load_config("smoke", ""), "l4", Images())
    told = compile_request(load_config("smoke", ""), "l4", Images(), notify=True)
    for made, name in ((plain, "plain"), (told, "told")):
        write_argo(made, tmp_path / name, "refine-af-smoke")
    first, second = (
        list(yaml.safe_load_all((tmp_path / name / "templates.yaml").read_text(encoding="utf-8")))
        for name in ("plain", "told")
    )
    (added,) = [item["metadata"]["name"] for item in second[:-1] if item not in first]
    assert added.startswith("refine-af-notify-")
    assert second[-1]["spec"].pop("hooks")["exit"]["templateRef"]["name"] == added
    assert second[-1] == first[-1]


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-m", "refine_af", "notify", *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_a_moments_outage_is_outlived(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener.answers = [503]
    done = command(
        "--final-status", '{"state": "SUCCEEDED", "pipeline_job_resource_name": "p/r-1"}'
    )
    assert done.returncode == 0, done.stderr
    (heard,) = listener.heard
    assert heard["run"] == "r-1"
    assert heard["succeeded"] is True


def test_an_address_that_refuses_is_an_outage_and_is_not_shown(listener: Listener) -> None:
    listener.answers = [403, 403, 403]
    done = command("--final-status", "Succeeded")
    assert done.returncode == 69
    assert "it answered 403" in done.stderr
    assert "secret-token" not in done.stderr


def test_without_an_address_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_URL", raising=False)
    done = command("--final-status", "Succeeded")
    assert done.returncode == 0
    assert "nobody was told" in done.stderr


def test_an_error_is_part_of_the_text() -> None:
    status = '{"state": "FAILED", "error_message": "disk full"}'
    assert notify.message("r", status)["text"] == "refine-af r: FAILED (disk full)"
