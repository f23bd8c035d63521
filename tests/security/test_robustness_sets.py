"""The Big List of Naughty Strings and the JSON test suite: ingested as seeds, written as data.

The filter between them is tested on the same files in ``tests/dedup/test_filter_rows.py``.
"""

import base64
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import read_rows
from refine_af.contracts.records import Instance, Seed
from refine_af.export.formats import write_data
from refine_af.runner import run_stage

DATA = os.environ.get("REFINE_AF_TEST_DATA")
OWN = (
    "<script>alert(1)</script>",
    "\u2028line\u2029",
    "\u202eabc",
    "{{ 7 * 7 }}",
    "=1+1",
    "\ufeff",
)
needs_data = pytest.mark.skipif(not DATA, reason="REFINE_AF_TEST_DATA is not set")


def naughty() -> list[str]:
    if not DATA:
        return list(OWN)
    path = Path(DATA) / "robustness" / "blns.json"
    return [*OWN, *json.loads(path.read_text(encoding="utf-8"))]


def ingest(folder: Path, lines: list[bytes]) -> list[Seed]:
    source = folder / "given.jsonl"
    source.write_bytes(b"".join(line + b"\n" for line in lines))
    run_stage(
        "seed_ingest",
        inputs={},
        outputs={"seeds": str(folder / "seeds")},
        params={"seeds_uri": str(source)},
    )
    return read_rows(folder / "seeds", Seed)


def refusal(folder: Path, line: bytes) -> str:
    """Return why a line is refused, empty when it was ingested."""
    try:
        ingest(folder, [line])
    except DataError as error:
        return str(error)
    return ""


def seed(number: int, text: str) -> dict[str, Any]:
    pair = {"input": text, "output": text}
    name = {"id": f"s{number}", "name": text, "instruction": text}
    return name | {"instances": [pair], "is_classification": False}


def test_naughty_strings_are_ingested_as_they_are_or_refused_with_their_line(
    tmp_path: Path,
) -> None:
    kept = []
    for number, text in enumerate(dict.fromkeys(naughty())):
        line = json.dumps(seed(number, text)).encode()
        if why := refusal(tmp_path, line):
            assert "given.jsonl:1" in why
            assert not text.strip() or "\x00" in text, f"{text!r} is refused: {why}"
            continue
        [found] = read_rows(tmp_path / "seeds", Seed)
        pair = found.instances[0]
        assert (found.name, found.instruction, pair.input, pair.output) == (text,) * 4
        kept.append(line)
    assert len(ingest(tmp_path, kept)) == len(kept) >= len(OWN)


@pytest.mark.parametrize("form", ["alpaca", "sharegpt", "messages", "prompt-completion", "parquet"])
def test_naughty_strings_are_written_as_they_are(form: Any, tmp_path: Path) -> None:  # noqa: ANN401
    texts = [text for text in naughty() if text.strip()]
    rows = [
        Instance.make(f"i{n}", "Repeat it.", text, text, is_classification=False, sample=0)
        for n, text in enumerate(texts)
    ]
    path = write_data(rows, form, "plain", tmp_path)
    if form == "parquet":
        import pyarrow.parquet as parquet

        assert parquet.read_table(path).column("output").to_pylist() == texts
        return
    raw = path.read_text(encoding="utf-8")
    lines = json.loads(raw) if form in ("alpaca", "sharegpt") else raw.split("\n")[:-1]
    assert len(lines) == len(texts)
    for line, text in zip(lines, texts, strict=True):
        value = line if isinstance(line, dict) else json.loads(line)
        # the prompt of a template has no white space at either end, as in training
        wanted = text.strip() if form == "prompt-completion" else text
        assert wanted in _texts(value)


def _texts(value: object) -> list[str]:
    """Return every text inside a value, also without white space around it."""
    if isinstance(value, str):
        return [value, value.strip()]
    inside = list(value.values()) if isinstance(value, dict) else value
    return [text for one in inside for text in _texts(one)] if isinstance(inside, list) else []


@needs_data
def test_the_json_test_suite_is_ingested_or_refused_with_its_line(tmp_path: Path) -> None:
    path = Path(str(DATA)) / "robustness" / "jsontestsuite.jsonl.gz"
    cases = [json.loads(line) for line in gzip.decompress(path.read_bytes()).split(b"\n") if line]
    head = json.dumps(seed(1, "Say it."))[:-1].encode() + b', "extra": '
    read = 0
    for case in cases:
        body = base64.b64decode(next(value for key, value in case.items() if "64" in key))
        if why := refusal(tmp_path, head + body + b"}"):
            assert "given.jsonl:" in why
            continue
        read += 1
        assert [row.instruction for row in read_rows(tmp_path / "seeds", Seed)] == ["Say it."]
    assert 50 < read < len(cases)
