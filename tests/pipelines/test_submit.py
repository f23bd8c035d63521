"""``refine-af submit`` against a small server that speaks the paths of KFP's v2beta1 API."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml

EXPERIMENT = {"experiment_id": "e-1", "display_name": "refine-af", "namespace": "team"}


class KfpServer(ThreadingHTTPServer):
    """Keeps what it was sent; ``refuse`` answers runs with 403."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, str, Any]] = []
        self.tokens: set[str] = set()
        self.refuse = False


class _Handler(BaseHTTPRequestHandler):
    server: KfpServer

    def do_GET(self) -> None:
        self._note(None)
        if self.path.endswith("/healthz"):
            self._answer(200, {"multi_user": True})
        elif "/experiments" in self.path:
            self._answer(200, {"experiments": []})
        else:
            self._answer(404, {"message": self.path})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._note(body)
        if self.path.endswith("/experiments"):
            self._answer(200, EXPERIMENT)
        elif self.path.endswith("/runs") and not self.server.refuse:
            self._answer(200, {"run_id": "r-42", "display_name": body["display_name"]})
        else:
            self._answer(403, {"message": "not your namespace"})

    def _note(self, body: object) -> None:
        self.server.requests.append((self.command, self.path.split("?")[0], body))
        self.server.tokens.add(self.headers.get("authorization", ""))

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def kfp() -> Iterator[KfpServer]:
    with KfpServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def submit(
    monkeypatch: pytest.MonkeyPatch, host: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    monkeypatch.setenv("KFP_TOKEN", "token-of-test")
    command = [sys.executable, "-m", "refine_af", "submit", "--host", host, "--preset", "smoke"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def test_a_run_is_started_and_its_link_printed(
    kfp: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = f"http://127.0.0.1:{kfp.server_port}"
    done = submit(
        monkeypatch,
        host,
        *("--namespace", "team", "--profile", "l4", "--registry", "registry.example/team"),
        *("--set", "seed=5", "--pipeline-root", "gs://bucket/root"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{host}/#/runs/details/r-42\n"
    posted = {path: body for method, path, body in kfp.requests if method == "POST"}
    assert set(posted) == {"/apis/v2beta1/experiments", "/apis/v2beta1/runs"}
    assert posted["/apis/v2beta1/experiments"]["display_name"] == "refine-af"
    run = posted["/apis/v2beta1/runs"]
    assert run["display_name"] == "refine-af-smoke"
    assert run["experiment_id"] == "e-1"
    assert run["runtime_config"]["pipeline_root"] == "gs://bucket/root"
    spec, platform = run["pipeline_spec"]["pipeline_spec"], run["pipeline_spec"]["platform_spec"]
    assert spec["root"]["inputDefinitions"]["parameters"]["seed"]["defaultValue"] == 5
    assert "registry.example/team/refine-af-report" in yaml.safe_dump(spec)
    assert "nvidia-l4" in yaml.safe_dump(platform)
    assert any("token-of-test" in token for token in kfp.tokens)
    assert "token-of-test" not in json.dumps(run)


def test_a_refusal_says_what_the_server_answered(
    kfp: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kfp.refuse = True
    done = submit(monkeypatch, f"http://127.0.0.1:{kfp.server_port}", "--namespace", "team")
    assert done.returncode == 69
    last = done.stderr.strip().split("\n")[-1]
    assert last.startswith("refine-af: http://127.0.0.1")
    assert "403" in last
    assert "not your namespace" in last


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    done = submit(monkeypatch, "http://127.0.0.1:9", "--namespace", "team")
    assert done.returncode == 69
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_parameter_is_found_before_the_server_is_asked(
    kfp: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = f"http://127.0.0.1:{kfp.server_port}"
    done = submit(monkeypatch, host, "--set", "train_ppo.update=1")
    assert done.returncode == 64
    assert kfp.requests == []
