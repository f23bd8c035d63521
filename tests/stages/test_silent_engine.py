"""An endpoint that answers nothing usable, through whole stages, and what a retry then does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from refine_af.contracts.errors import DependencyError
from refine_af.contracts.jsonl import iter_objects, write_rows
from refine_af.contracts.records import Instruction, Rejected
from refine_af.contracts.stage import Metrics
from refine_af.runner import find_stage, run_stage
from refine_af.stages.seed_ingest import read_seeds
from refine_af.storage.sources import BUILTIN

RUBBISH = b"<html>It works!</html>"
LISTS = " Count the boats in the harbour.\n10. Explain why the tides turn.\n"
PAIR = "Input: three\nOutput: four"


class Endpoint(ThreadingHTTPServer):
    """Answers rubbish to every request whose prompt holds a word of ``rubbish_for``."""

    daemon_threads = True
    rubbish_for: tuple[str, ...] = ("",)

    def answer(self, prompt: str) -> bytes:
        """Return the body of the answer."""
        if any(word in prompt for word in self.rubbish_for):
            return RUBBISH
        text = LISTS if prompt.endswith("9.") else PAIR
        return json.dumps({"choices": [{"text": text, "finish_reason": "stop"}]}).encode()


class Handler(BaseHTTPRequestHandler):
    """Hands prompts on."""

    server: Endpoint
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer with status 200, whatever the body is."""
        size = int(self.headers["Content-Length"])
        body = self.server.answer(json.loads(self.rfile.read(size))["prompt"])
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(name: str, folder: Path, endpoint: Endpoint, **params: Any) -> Metrics:  # noqa: ANN401
    seeds, rows = folder / "seeds.jsonl", folder / "instructions.jsonl"
    write_rows(seeds, read_seeds(BUILTIN["builtin:seeds"], "builtin:seeds", ""))
    texts = ["Sum it up.", "Count the words.", "Name the river."]
    write_rows(rows, [Instruction.make(text, (), n, 0, 0) for n, text in enumerate(texts)])
    given = (
        {"seeds": str(seeds)} if name == "generate_instructions" else {"instructions": str(rows)}
    )
    return run_stage(
        name,
        inputs=given,
        outputs={one.name: str(folder / "out" / one.name) for one in find_stage(name).outputs},
        params={
            "engine": "openai",
            "model": "m",
            "base_url": f"http://127.0.0.1:{endpoint.server_port}/v1",
        }
        | params,
        work_dir=str(folder / "work"),
    )


STAGES = [
    ("generate_instructions", {"target": 2, "round_size": 4, "max_requests": 8}, 8),
    ("generate_instances", {"style": "plain", "split": "none"}, 3),
    ("generate_instances", {"style": "plain", "split": "classification"}, 3),
    ("generate_responses", {"style": "plain"}, 3),
]


@pytest.mark.parametrize(("name", "params", "requests"), STAGES)
def test_rubbish_throughout_is_an_error_and_a_retry_asks_again(
    name: str, params: dict[str, Any], requests: int, endpoint: Endpoint, tmp_path: Path
) -> None:
    with pytest.raises(DependencyError) as caught:
        run(name, tmp_path, endpoint, **params)
    message = str(caught.value)
    assert (
        f"none of {requests} requests was answered; most often ({requests} of {requests})"
        in message
    )
    assert "the answer is not JSON" in message
    assert caught.value.exit_code == 69
    assert caught.value.retry_can_help
    assert not (tmp_path / "out").exists(), "no output that the next stage would take for one"

    endpoint.rubbish_for = ()
    run(name, tmp_path, endpoint, **params)
    rows = "instructions" if name == "generate_instructions" else "instances"
    assert list(iter_objects(tmp_path / "out" / rows))


def test_a_question_for_the_kind_that_fails_is_said(
    endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # In plain style this word stands only in the question whether it is a classification.
    endpoint.rubbish_for = ("Count the words.\nQuestion",)
    counts = run("generate_instances", tmp_path, endpoint, style="plain")
    assert counts["instances"] == 3
    assert "1 of 3 requests failed; most often (1 of 1)" in capsys.readouterr().err


def test_rubbish_now_and_then_is_a_rejected_row_and_said(
    endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.rubbish_for = ("Count the words",)
    counts = run("generate_instances", tmp_path, endpoint, style="plain", split="none")
    assert (counts["instances"], counts["rejected"]) == (2, 1)
    [row] = [Rejected(**value) for _, value in iter_objects(tmp_path / "out" / "rejected")]
    assert row.reason == "engine_error"
    assert "the answer is not JSON" in row.text
    assert (
        "1 of 3 requests failed; most often (1 of 1): the answer is not" in capsys.readouterr().err
    )
