"""Completions of real runs of the reference, re-read: the same pieces kept and dropped."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from refine_af.dedup.index import RougeLIndex
from refine_af.self_instruct.parse_instructions import PUBLISHED, parse_instructions

DATA = os.environ.get("REFINE_AF_TEST_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="REFINE_AF_TEST_DATA is not set")


def read(name: str) -> list[dict[str, Any]]:
    path = Path(str(DATA)) / "self_instruct" / name
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.split(b"\n") if line]


@pytest.mark.parametrize("run", ["kissshhot", "maulikmadhavi"])
def test_every_piece_of_a_published_run_gets_its_published_outcome(run: str) -> None:
    index = RougeLIndex()
    index.add_all([(row["id"], row["instruction"]) for row in read("seed_tasks.jsonl")])
    outcomes = 0
    for row in read(f"raw_completions_{run}.jsonl.gz"):
        assert row["finish_reason"] != "length"
        pieces = parse_instructions(row["completion"], "stop", PUBLISHED)
        assert [piece.text for piece in pieces] == [piece["text"] for piece in row["candidates"]]
        kept = []
        for piece, expected in zip(pieces, row["candidates"], strict=True):
            outcome = piece.reason
            if outcome is None:
                nearest = index.nearest(piece.text)
                assert nearest is not None
                assert nearest.score == pytest.approx(expected["max_rougeL"], abs=1e-12)
                near = index.offer(f"{outcomes}", piece.text)
                outcome = "similar" if near else "kept"
            if outcome == "kept":
                kept.append(piece.text)
            assert outcome == expected["outcome"]
            outcomes += 1
        if row["matches_published"]:
            assert kept == [published["instruction"] for published in row["kept"]]
    assert outcomes == {"kissshhot": 578, "maulikmadhavi": 70}[run]
