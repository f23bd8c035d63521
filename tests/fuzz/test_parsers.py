"""Parsers over a corpus, over Hypothesis' inputs, and over two public suites of hostile ones."""

import base64
import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from targets import TARGETS, json_lines, stored

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import parse_object
from refine_af.contracts.readable import is_readable, readable
from refine_af.contracts.records import Instance, Rejected
from refine_af.self_instruct.decide import Answer, Decider
from refine_af.self_instruct.params import BootstrapParams

CORPUS = Path(__file__).parent / "corpus"
DATA = os.environ.get("REFINE_AF_TEST_DATA")
FILES = [(path.parent.name, path) for path in sorted(CORPUS.glob("*/*"))]
PIECES = st.sampled_from(
    [
        *(b"\n1. ", b"\n99 . ", b"Input:", b"Output: ", b"Class label:", b"Example 2\n", b"\n\n"),
        *(
            b'{"id": "a"',
            b", ",
            b'"instruction": "x"',
            b"}",
            b"[",
            b"\\ud800",
            b"\\u0000",
            b"1e999",
        ),
        *(b"\xff", b"\x00", b"\xed\xa0\x80", "\u2028\u202e\ufeff".encode(), b"- ", b"&a *a", b": "),
        *(b"Describe the river in four words", b"stages", b"Definition", b"Instances"),
    ]
)
INPUTS = st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=30).map(b"".join))


def data_folder() -> Path:
    if DATA is None:
        pytest.skip("REFINE_AF_TEST_DATA is not set")
    return Path(DATA) / "robustness"


def test_every_target_has_a_corpus() -> None:
    assert {name for name, _ in FILES} == set(TARGETS)


@pytest.mark.parametrize(("target", "path"), FILES, ids=[f"{n}-{p.name[:12]}" for n, p in FILES])
def test_corpus(target: str, path: Path) -> None:
    TARGETS[target](path.read_bytes())


@pytest.mark.parametrize("target", list(TARGETS))
@settings(max_examples=60, deadline=None)
@given(data=INPUTS)
def test_any_bytes(target: str, data: bytes) -> None:
    TARGETS[target](data)


def test_the_json_suite(tmp_path: Path) -> None:
    """Files that every parser must accept are kept as they are; those that none may, refused."""
    path = data_folder() / "jsontestsuite.jsonl.gz"
    counts = {"y": 0, "n": 0, "either": 0}
    for line in gzip.decompress(path.read_bytes()).split(b"\n"):
        if not line:
            continue
        case = json.loads(line)
        data = base64.b64decode(case["bytes_b64"])
        json_lines(data)
        kind = case["name"][0] if case["folder"] == "test_parsing" else "i"
        wrapped = b'{"value": ' + data.strip() + b"}"
        value, refusal = _read(wrapped, case["name"])
        if refusal:
            assert kind != "y" or "NUL" in refusal or "surrogate" in refusal, case["name"]
            counts["n"] += kind == "n"
            continue
        assert kind != "n" or case["name"] in ACCEPTED_INSIDE, case["name"]
        if kind == "y":
            assert value == json.loads(data)
            counts["y"] += 1
    assert counts["y"] > 80
    assert counts["n"] > 150


def _read(raw: bytes, name: str) -> tuple[object, str]:
    try:
        return parse_object(raw, name)["value"], ""
    except DataError as error:
        return None, str(error)


ACCEPTED_INSIDE = {
    # bytes that are no document by themselves and become one inside ours
    "n_structure_trailing_#.json",
}


def test_naughty_strings_stay_as_they_are_or_are_refused() -> None:
    strings = json.loads((data_folder() / "blns.json").read_text(encoding="utf-8"))
    decider = Decider([], BootstrapParams())
    kept = 0
    for number, text in enumerate(strings):
        if text.strip() and is_readable(text):
            pair = Instance.make("i", text, text, text, is_classification=False, sample=0)
            stored(pair)
            assert pair.output == text
            kept += 1
        stored(Rejected.make("test", "reason", readable(text)))
        for row in decider.decide([Answer(number, (), text, "stop")]):
            stored(row)
            if isinstance(row, Rejected):
                assert row.reason
    assert kept > 480
