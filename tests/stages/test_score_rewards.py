"""The stage on rows of other people: what it keeps, what it refuses, and who may judge."""

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from refine_af.contracts.errors import DataError, DependencyError
from refine_af.feedback.interface import Triplet
from refine_af.runner import run_stage

ROWS: list[dict[str, Any]] = [
    {"instruction": "Sort.", "input": "b a", "output": "a b", "owner": "x", "id": 7},
    {"instruction": "Say hello.", "output": "hello"},
    {"instruction": "Say hello.", "output": "hello"},
    {"instruction": "Say nothing.", "input": "", "output": " "},
]


def output_words(rows: Sequence[Triplet]) -> list[float]:
    """Serve as a reward of the user's own."""
    return [float(len(row.output.split())) for row in rows]


def not_a_number(rows: Sequence[Triplet]) -> list[float]:
    """Return what nobody can use."""
    return [float("nan") for _ in rows]


def too_few(rows: Sequence[Triplet]) -> list[float]:
    """Return another number of scores."""
    return [1.0 for _ in rows[1:]]


def failing(rows: Sequence[Triplet]) -> list[float]:
    """Fail as a model does."""
    raise RuntimeError("out of order")


def scored(
    folder: Path,
    rows: Sequence[dict[str, Any]],
    run: dict[str, Any] | None = None,
    **params: Any,  # noqa: ANN401
) -> list[dict[str, Any]]:
    (folder / "in.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    outputs = {name: str(folder / name) for name in ("scored", "rejected")}
    given = {"reward": f"{__name__}:output_words"} | params
    inputs = {"instances": str(folder / "in.jsonl")}
    run_stage("score_rewards", inputs=inputs, outputs=outputs, params=given, **run or {})
    return lines(folder / "scored")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_rows_of_others_are_scored_and_can_be_joined_again(tmp_path: Path) -> None:
    rows = scored(tmp_path, ROWS)
    assert [row["output"] for row in rows] == ["a b", "hello", "hello"]
    assert rows[0]["id"] == "7"
    assert len({row["id"] for row in rows}) == 3
    assert [row["parts"]["output_words"] for row in rows] == [2.0, 1.0, 1.0]
    assert rows[0]["total"] > rows[1]["total"] == rows[2]["total"]
    (dropped,) = lines(tmp_path / "rejected")
    assert (dropped["reason"], dropped["detail"][:6]) == ("empty_output", "line 4")
    again = tmp_path / "again"
    again.mkdir()
    assert [row["total"] for row in scored(again, rows)] == [row["total"] for row in rows]


def test_the_best_are_kept_only_when_asked_for(tmp_path: Path) -> None:
    rows = scored(tmp_path, ROWS, select="top_k", top_k=1)
    assert [row["output"] for row in rows] == ["a b"]
    reasons = [row["reason"] for row in lines(tmp_path / "rejected")]
    assert reasons[0] == "empty_output"
    assert len(reasons) == 3


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"ask": "x", "output": "y"}, "1: no column 'instruction'; .* It has: ask, output"),
        ({"instruction": "x"}, "1: no column 'output'"),
        ({"instruction": "x", "output": [3]}, r"1: output is '\[3\]'; it must be a string"),
        ({"instruction": " ", "output": "y"}, "1: the instruction is empty"),
        ({"instruction": "x", "output": ""}, "no row with an output; nothing to score"),
        ({"instruction": "x", "output": [3], "parents": []}, "Instance field 'id'"),
    ],
)
def test_rows_without_the_columns_are_named(
    tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        scored(tmp_path, [row])


def test_an_id_that_comes_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 repeats the id '7' of line 1"):
        scored(tmp_path, [ROWS[0], ROWS[1] | {"id": "7"}])


@pytest.mark.parametrize("name", ["not_a_number", "too_few", "failing"])
def test_a_reward_that_cannot_be_used_writes_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=name):
        scored(tmp_path, ROWS, reward=f"{__name__}:{name}")
    assert not (tmp_path / "scored").exists()


def test_other_columns_pass_through(tmp_path: Path) -> None:
    own = {"id": "pair-x", "parents": ["i"], "instruction": "Sort.", "input": None, "output": "a b"}
    rows = scored(tmp_path, [own | {"source": "crm"}, ROWS[0] | {"source": {"row": 3}}])
    assert [row["source"] for row in rows] == ["crm", {"row": 3}]
    assert all(row["total"] is not None for row in rows)


class _Judge(BaseHTTPRequestHandler):
    """A judge that says 4, something useless of answers with a "?", and 402 where it is unpaid."""

    paid: ClassVar[int] = 10**9
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Know no list of models."""
        self._reply(404, {})

    def do_POST(self) -> None:
        """Give the verdict."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body.get("prompt") or body["messages"][0]["content"]
        if len(self.asked) >= type(self).paid:
            self._reply(402, {"error": {"message": "no credit"}})
            return
        self.asked.append(prompt)
        text = "I cannot say." if "?" in prompt.split("ANSWER\n")[1] else "4"
        message = {"role": "assistant", "content": text}
        self._reply(200, {"choices": [{"finish_reason": "stop", "text": text, "message": message}]})

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def judge() -> Iterator[dict[str, Any]]:
    """Parameters of a judge behind an endpoint."""
    _Judge.paid, _Judge.asked = 10**9, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Judge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/v1"
    yield {"reward": "judge", "judge": "m", "judge_url": address}
    server.shutdown()


def _numbered(count: int, *useless: int) -> list[dict[str, Any]]:
    return [
        {"instruction": "Count.", "output": f"{number}{'?' * (number in useless)}"}
        for number in range(count)
    ]


def test_one_unusable_verdict_is_one_rejected_row(tmp_path: Path, judge: dict[str, Any]) -> None:
    rows = scored(tmp_path, _numbered(12, 3), **judge)
    assert len(rows) == 11
    assert all(row["parts"]["judge"] == 4.0 for row in rows)
    [rejected] = lines(tmp_path / "rejected")
    assert (rejected["reason"], rejected["text"]) == ("unscored", "3?")
    assert "I cannot say." in rejected["detail"]


def test_a_paid_judge_is_asked_only_for_what_is_missing(
    tmp_path: Path, judge: dict[str, Any]
) -> None:
    _Judge.paid = 100
    rows = _numbered(130)
    work = {"work_dir": str(tmp_path / "work")}
    with pytest.raises(DependencyError, match="the account has no credit"):
        scored(tmp_path, rows, run=work, **judge)
    _Judge.paid = 10**9
    assert len(scored(tmp_path, rows, run=work, **judge)) == 130
    assert len(set(_Judge.asked)) == 130
    # what was under way when the account ran dry is asked again
    assert len(_Judge.asked) <= 130 + 32
