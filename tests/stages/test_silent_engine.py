"""An endpoint that answers nothing usable, through whole stages, and what a retry then does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from refine_af.contracts.errors import DataError, DependencyError
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
    status = 200

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
        """Answer with the endpoint's status, whatever the body is."""
        size = int(self.headers["Content-Length"])
        body = self.server.answer(json.loads(self.rfile.read(size))["prompt"])
        self.send_response(self.server.status)
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


def run(
    name: str,
    folder: Path,
    endpoint: Endpoint | None,
    more: str = "",
    **params: Any,  # noqa: ANN401
) -> Metrics:
    """Run a stage on three instructions, or on the seeds; ``more`` is put before each of them."""
    seeds, rows = folder / "seeds.jsonl", folder / "instructions.jsonl"
    given = read_seeds(BUILTIN["builtin:seeds"], "builtin:seeds", "").rows
    longer = [row.model_copy(update={"instruction": f"{more} {row.instruction}"}) for row in given]
    write_rows(seeds, longer if more else given)
    texts = [f"{more} Sum it up.", f"{more} Count the words.", f"{more} Name the river."]
    write_rows(rows, [Instruction.make(text.strip(), (), n, 0, 0) for n, text in enumerate(texts)])
    inputs = (
        {"seeds": str(seeds)} if name == "generate_instructions" else {"instructions": str(rows)}
    )
    address = f"http://127.0.0.1:{endpoint.server_port}/v1" if endpoint else ""
    return run_stage(
        name,
        inputs=inputs,
        outputs={one.name: str(folder / "out" / one.name) for one in find_stage(name).outputs},
        params={"engine": "openai", "model": "m", "base_url": address} | params,
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
    assert "the answer is not JSON" in message
    assert caught.value.exit_code == 69
    assert caught.value.retry_can_help
    assert not (tmp_path / "out").exists(), "no output that the next stage would take for one"

    endpoint.rubbish_for = ()
    run(name, tmp_path, endpoint, **params)
    rows = "instructions" if name == "generate_instructions" else "instances"
    assert list(iter_objects(tmp_path / "out" / rows))


LONG = " ".join(["Count every boat of the harbour."] * 500)
"""3,500 words: no prompt that shows it fits the 2,048 tokens of ``builtin:tiny``."""


@pytest.mark.parametrize(("name", "params", "requests"), STAGES)
def test_prompts_that_are_all_too_long_are_an_error_that_no_retry_mends(
    name: str, params: dict[str, Any], requests: int, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        run(name, tmp_path, None, LONG, **params, engine="transformers", model="builtin:tiny")
    message = str(caught.value)
    assert f"none of {requests} requests was accepted" in message
    assert "the model's context holds 2048" in message
    assert "set a smaller max_tokens" in message
    assert caught.value.exit_code == 65


def test_a_task_whose_questions_are_all_too_long_is_an_error_that_no_retry_mends(
    tmp_path: Path,
) -> None:
    task = {
        "Categories": ["Word Analogy"],
        "Definition": [LONG],
        "Instances": [{"id": "a-1", "input": "boats", "output": ["nine"]}],
    }
    tasks = tmp_path / "task001_boats.json"
    tasks.write_text(json.dumps(task), encoding="utf-8")
    with pytest.raises(DataError, match="none of 1 requests was accepted") as caught:
        run_stage(
            "evaluate",
            inputs={},
            outputs={name: str(tmp_path / "out" / name) for name in ("predictions", "scores")},
            params={"engine": "transformers", "model": "builtin:tiny", "tasks_uri": str(tasks)},
        )
    assert "the model's context holds 2048" in str(caught.value)
    assert "set a smaller max_tokens" in str(caught.value)


def test_an_endpoint_that_refuses_every_request_is_an_error_that_no_retry_mends(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.status = 400
    with pytest.raises(DataError, match=r"none of 3 requests was accepted.*status 400"):
        run("generate_responses", tmp_path, endpoint, style="plain")


def test_a_question_for_the_kind_that_fails_is_said(
    endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # In plain style this word stands only in the question whether it is a classification.
    endpoint.rubbish_for = ("Count the words.\nQuestion",)
    counts = run("generate_instances", tmp_path, endpoint, style="plain", max_failed=0.4)
    assert counts["instances"] == 3
    assert "1 of 3 requests failed; most often (1 of 1)" in capsys.readouterr().err


def test_rubbish_now_and_then_is_a_rejected_row_and_said(
    endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.rubbish_for = ("Count the words",)
    tolerant: dict[str, Any] = {"style": "plain", "split": "none", "max_failed": 0.4}
    counts = run("generate_instances", tmp_path, endpoint, **tolerant)
    assert (counts["instances"], counts["rejected"]) == (2, 1)
    [row] = [Rejected(**value) for _, value in iter_objects(tmp_path / "out" / "rejected")]
    assert row.reason == "engine_error"
    assert "the answer is not JSON" in row.text
    told = capsys.readouterr().err
    assert "1 of 3 requests failed; most often (1 of 1): " in told
    assert "the answer is not JSON" in told
