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

from refine_af.pipelines.argo import templates_of, write_argo
from refine_af.pipelines.compiling import Compiled, compile_request
from refine_af.pipelines.config import load_config
from refine_af.pipelines.flow import Images
from refine_af.stages import notify, run_ending
from refine_af.storage.endings import RUN_VARIABLE, Endings


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


def failing(profile: str, *assignments: str) -> Compiled:
    values = ("seeds_uri=/no/such/seeds.jsonl", *assignments)
    config = load_config("smoke", "").with_values(values)
    return compile_request(
        config,
        profile,
        Images("", "0.1.0"),
        notify=True,
        preset="smoke",
        ui_host="https://argo.example/",
    )


KFP_RUN = """
import sys
from kfp import components, local
local.init(local.SubprocessRunner(use_venv=False), pipeline_root="root")
components.load_component_from_file(sys.argv[1])()
"""


def test_kfps_exit_task_tells_of_a_failed_run(listener: Listener, tmp_path: Path) -> None:
    failing("local", f"work_dir={tmp_path / 'work'}").write_ir(tmp_path / "pipeline.yaml")
    done = subprocess.run(
        [sys.executable, "-c", KFP_RUN, str(tmp_path / "pipeline.yaml")],
        cwd=tmp_path,
        # KFP leaves its folders in TMPDIR; its backend's pods have the run's id
        env=os.environ | {"TMPDIR": str(tmp_path), RUN_VARIABLE: "4f"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "/no/such/seeds.jsonl: no such file" in done.stdout
    (heard,) = listener.heard
    assert heard["state"] == "failed"
    assert heard["succeeded"] is False
    assert heard["task"] == "check_inputs"
    assert heard["error"].startswith("/no/such/seeds.jsonl: no such file")
    assert (heard["pipeline"], heard["preset"]) == ("refine-af", "smoke")
    assert heard["run"].startswith("refine-af-")
    assert heard["text"].startswith("refine-af smoke ")
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
    (heard,) = listener.heard
    assert heard == {
        "pipeline": "refine-af",
        "preset": "smoke",
        "run": "refine-af-smoke-x7",
        "run_id": "uid-of-refine-af-smoke-x7",
        "link": "https://argo.example/workflows/refine-af/refine-af-smoke-x7",
        "state": "failed",
        "succeeded": False,
        "task": "check-inputs",
        "error": heard["error"],
        "scores": {},
        "text": heard["text"],
    }
    assert heard["error"].startswith("/no/such/seeds.jsonl: no such file")
    assert heard["text"] == (
        "refine-af smoke refine-af-smoke-x7: failed; check-inputs: " + heard["error"]
        + "; " + heard["link"]
    )  # fmt: skip
    assert S3Repository(BUCKET).keys("refine-af/refine-af-smoke-x7/notify/") == []


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


@pytest.fixture
def endings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Endings:
    """How the tasks of run 4f ended, in a folder."""
    monkeypatch.setenv(RUN_VARIABLE, "4f")
    return Endings(str(tmp_path))


def told(listener: Listener, folder: Path, state: str) -> dict[str, Any]:
    done = command("--final-status", kfp(state, "x"), "--endings-dir", str(folder))
    assert done.returncode == 0, done.stderr
    return dict(listener.heard.pop())


def test_what_failed_first_and_was_not_mended_is_told(
    listener: Listener, endings: Endings, tmp_path: Path
) -> None:
    endings.failed("seed_ingest", "the store did not answer")
    endings.failed("train_ppo", "clip is 1.5; it must be below 1")
    endings.failed("evaluate-start", "another one")
    endings.succeeded("seed_ingest")  # its second try
    heard = told(listener, tmp_path, "FAILED")
    assert (heard["task"], heard["error"]) == ("train_ppo", "clip is 1.5; it must be below 1")
    assert heard["scores"] == {}
    assert told(listener, tmp_path, "SUCCEEDED")["task"] == ""
    assert told(listener, tmp_path / "elsewhere", "FAILED")["error"] == "x"


def test_kfps_hook_tells_the_scores_that_the_report_left(
    listener: Listener, endings: Endings, tmp_path: Path
) -> None:
    (tmp_path / "made").write_text('{"arms": {"rl": {"rouge_l": 70.75}}}')
    endings.succeeded("report", tmp_path / "made")
    heard = told(listener, tmp_path, "COMPLETE")
    assert heard["scores"] == {"rl": {"rouge_l": 70.75}}


def test_a_store_that_cannot_be_read_does_not_silence_the_hook(
    listener: Listener, endings: Endings
) -> None:
    done = command("--final-status", kfp("FAILED", "x"), "--endings-dir", "ftp://nowhere/x")
    assert done.returncode == 0, done.stderr
    assert "how the tasks ended cannot be read" in done.stderr
    assert listener.heard.pop()["error"] == "x"


def test_without_a_runs_id_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUN_VARIABLE, raising=False)
    Endings(str(tmp_path)).failed("train_ppo", "x")
    assert list(tmp_path.iterdir()) == []


def test_without_an_address_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_URL", raising=False)
    done = command("--final-status", "Succeeded")
    assert done.returncode == 0
    assert "no message is sent" in done.stderr


def kfp(state: str, error: str = "") -> str:
    return json.dumps({"state": state, "error_message": error, "error_code": None})


def nodes(*rows: tuple[str, str]) -> str:
    found = [
        {"displayName": name, "message": text, "templateName": "x", "finishedAt": f"{number:02}"}
        for number, (name, text) in enumerate(rows)
    ]
    return json.dumps(json.dumps(found))


STOP = nodes(("train-ppo(0)", "workflow shutdown with strategy:  Stop"))
FAILED = nodes(
    ("train-ppo(0)", "main: Error (exit code 69): no answer"),
    ("evaluate-start(0)", "main: Error (exit code 65): other"),
    ("train-ppo(1)", "main: Error (exit code 64): clip is 1.5; it must be below 1"),
    ("train-ppo", "No more retries left"),
    ("refine-af-x", ""),
)


@pytest.mark.parametrize(
    ("status", "failures", "state", "task", "error"),
    [
        (kfp("COMPLETE"), "", "succeeded", "", ""),  # KFP 2.17
        (kfp("SUCCEEDED"), "", "succeeded", "", ""),  # later ones
        (kfp("FAILED", "disk full"), "", "failed", "", "disk full"),
        (kfp("FAILED"), "", "failed", "", ""),
        (kfp("RUNNING"), "", "cancelled", "", ""),  # somebody cancelled it
        (kfp("CANCELED"), "", "cancelled", "", ""),
        (kfp("CANCELING"), "", "cancelled", "", ""),
        (kfp(""), "", "failed", "", ""),
        ("Succeeded", "", "succeeded", "", ""),
        ("Succeeded", '"null"', "succeeded", "", ""),
        ("Failed", FAILED, "failed", "train-ppo", "clip is 1.5; it must be below 1"),
        ("Failed", json.loads(FAILED), "failed", "train-ppo", "clip is 1.5; it must be below 1"),
        ("Failed", nodes(("x(0)", "OOMKilled (exit code 137)")), "failed", "x",
         "OOMKilled (exit code 137)"),
        ("Failed", nodes(("x(0)", "main: Error (exit code 1)")), "failed", "x",
         "main: Error (exit code 1)"),
        ("Failed", STOP, "cancelled", "", "stopped by a person or a program"),
        ("Failed", STOP.replace("Stop", "Terminate"), "cancelled", "",
         "stopped by a person or a program"),
        ("Failed", "{{workflow.failures}}", "failed", "", ""),
        ("Failed", "", "failed", "", ""),
        ("Error", "[1, {}]", "failed", "", ""),
    ],
)  # fmt: skip
def test_one_vocabulary_for_all_engines(
    status: str, failures: str, state: str, task: str, error: str
) -> None:
    ending = run_ending.read_ending(status, failures)
    assert (ending.state, ending.task, ending.error) == (state, task, error)


def test_a_run_that_succeeded_is_told_with_its_scores_and_link() -> None:
    params = notify.NotifyParams(
        preset="p", run="r", run_id="4f", ui_host="https://ui/", final_status=kfp("COMPLETE")
    )
    scores = {"rl": {"rouge_l": 70.75}, "baseline": {"rouge_l": 69.77}}
    found = notify.message(params, scores, {})
    assert found["scores"] == scores
    assert found["link"] == "https://ui/#/runs/details/4f"
    assert found["text"] == (
        "refine-af p r: succeeded; rl rouge_l 70.75; baseline rouge_l 69.77;"
        " https://ui/#/runs/details/4f"
    )


def test_a_placeholder_that_the_engine_left_is_not_told() -> None:
    params = notify.NotifyParams(
        run="{{$.pipeline_job_name}}",
        run_id="{{$.pipeline_job_uuid}}",
        ui_host="https://ui",
        final_status='{"state": "FAILED", "pipeline_job_resource_name": "p/r-1"}',
    )
    found = notify.message(params, {}, {})
    assert (found["run"], found["run_id"], found["link"]) == ("r-1", "", "")


def test_argos_hook_tells_the_scores_of_the_report(
    listener: Listener, tmp_path: Path, s3_root: str
) -> None:
    made = compile_request(load_config("smoke", ""), "cpu", Images("", "0.1.0"), notify=True)
    write_argo(made, tmp_path, "x")
    documents = load(tmp_path / "templates.yaml")
    documents[-1]["spec"]["templates"] = [{"name": "pipeline", "dag": {"tasks": []}}]
    result = tmp_path / "result"
    result.write_text('{"arms": {"rl": {"rouge_l": 1.0}}}')
    bucket = S3Repository(BUCKET)
    bucket.put("refine-af/x-1/report/result", result)
    (workflow,) = load(tmp_path / "workflow.yaml")
    Cluster(documents, bucket, Processes(), tmp_path / "pods").submit(
        workflow, "x-1", {"registry": "r"}
    )
    (heard,) = listener.heard
    assert heard["scores"] == {"rl": {"rouge_l": 1.0}}
    assert heard["state"] == "succeeded"


def test_the_exit_task_leaves_nothing() -> None:
    made = compile_request(load_config("smoke", ""), "cpu", Images(), notify=True)
    assert "outputDefinitions" not in made.spec["components"]["comp-notify"]
    (template,) = templates_of(made)["notify"]["spec"]["templates"]
    assert template["outputs"] == {"artifacts": []}
