import gzip
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from slow_filter import decide, nearest

from refine_af.contracts.errors import ParameterError
from refine_af.dedup import index as index_module
from refine_af.dedup import prefixes as prefixes_module
from refine_af.dedup import scores as scores_module
from refine_af.dedup.index import Neighbour, RougeLIndex

DATA = os.environ.get("REFINE_AF_TEST_DATA")

# Few words, so that similarity, ties, repeated tokens and rows without tokens are common.
WORDS = st.sampled_from(["a", "b", "c", "d", "a b", "a b c d", "d c b a", "é", "aa bb cc", "b-c"])
TEXTS = st.lists(WORDS, max_size=7).map(" ".join)
BOUNDS = st.sampled_from([0.0, 0.3, 0.5, 2 / 3, 0.7, 0.8, 0.99, 1.0])


def named(texts: list[str], prefix: str) -> list[tuple[str, str]]:
    return [(f"{prefix}{place}", text) for place, text in enumerate(texts)]


def as_pairs(verdicts: list[Neighbour | None]) -> list[tuple[str, float] | None]:
    return [(near.id, near.score) if near else None for near in verdicts]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(TEXTS, max_size=8),
    st.lists(TEXTS, max_size=25),
    BOUNDS,
    st.sampled_from([2, 1_000_000]),
)
@example(pool=[], texts=[], bound=0.7, code_points=2)
def test_decisions_neighbours_and_scores_equal_the_full_comparison(
    pool: list[str], texts: list[str], bound: float, code_points: int
) -> None:
    seeds, rows = named(pool, "seed"), named(texts, "row")
    expected = decide(rows, seeds, bound)

    together = RougeLIndex(bound, code_points=code_points)
    together.add_all(seeds)
    assert as_pairs(together.offer_all(rows)) == expected
    assert len(together) == len(pool) + expected.count(None)

    singly = RougeLIndex(bound, code_points=code_points)
    for row_id, text in seeds:
        singly.add(row_id, text)
    assert as_pairs([singly.offer(*row) for row in rows]) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=12), TEXTS, st.sampled_from([2, 1_000_000]))
def test_nearest_is_the_first_pool_member_with_the_largest_score(
    pool: list[str], text: str, code_points: int
) -> None:
    index = RougeLIndex(code_points=code_points)
    index.add_all(named(pool, "seed"))
    found = index.nearest(text)
    assert found is not None
    assert (found.id, found.score) == nearest(text, named(pool, "seed"))
    over = index.over_bound([text])[0]
    assert over == (found if found.score > 0.7 else None)
    assert len(index) == len(pool)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a few dozen rows pass through every border that thousands would."""
    monkeypatch.setattr(index_module, "_BLOCK", 5)
    monkeypatch.setattr(index_module, "_TAIL", 3)
    monkeypatch.setattr(index_module, "_FEW", 2)
    monkeypatch.setattr(index_module, "_SCAN", 45)
    monkeypatch.setattr(prefixes_module, "_CHUNK", 4)
    monkeypatch.setattr(scores_module, "_CELLS", 30)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("crowded", [-1, 2, 1_000])
@pytest.mark.parametrize("seed", range(6))
def test_blocks_tails_chunks_merges_and_full_comparisons_change_nothing(
    seed: int, crowded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_CROWDED", crowded)
    draw = random.Random(seed)
    words = [f"w{number}" for number in range(12)]
    texts: list[str] = []
    for _ in range(120):
        if texts and draw.random() < 0.4:
            changed = draw.choice(texts).split()
            changed[draw.randrange(len(changed))] = draw.choice(words)
            texts.append(" ".join(changed))
        else:
            texts.append(" ".join(draw.choice(words) for _ in range(draw.randrange(1, 12))))
    seeds, rows = named(texts[:20], "seed"), named(texts[20:], "row")
    expected = decide(rows, seeds, 0.7)
    index = RougeLIndex()
    index.add_all(seeds)
    cut = draw.randrange(len(rows))
    found = index.offer_all(rows[:cut])
    found += [index.offer(*row) for row in rows[cut : cut + 9]]
    found += index.offer_all(rows[cut + 9 :])
    assert as_pairs(found) == expected
    assert None in expected
    assert any(expected)


def test_rows_without_a_token_are_kept_and_counted() -> None:
    index = RougeLIndex()
    assert index.offer_all([("a", "Привет"), ("b", "Привет"), ("c", "hello there")]) == [None] * 3
    assert index.tokenless == 2
    reading = RougeLIndex(tokens="unicode_words")
    assert reading.offer_all([("a", "Привет"), ("b", "Привет")]) == [None, Neighbour("a", 1.0)]
    assert reading.tokenless == 0


def test_empty_pool_has_no_nearest_member() -> None:
    assert RougeLIndex().nearest("a b c") is None
    assert RougeLIndex().over_bound(["a b c"]) == [None]


@pytest.mark.parametrize("bound", [-0.1, 1.5, float("nan")])
def test_a_bound_outside_its_range_is_refused(bound: float) -> None:
    with pytest.raises(ParameterError, match=r"must be in \[0, 1\]"):
        RougeLIndex(bound)


def test_long_rows_are_compared_exactly() -> None:
    words = [f"w{number}" for number in range(30_000)]
    index = RougeLIndex()
    assert index.offer("whole", " ".join(words)) is None
    # 16,153 of 30,000: F = 2 * 16153 / 46153 = 0.69998; one word more exceeds 0.7.
    assert index.offer("short", " ".join(words[:16_153])) is None
    found = index.offer("longer", " ".join(words[:16_154]) + " x y")
    assert found is not None
    assert found.id == "short"


def read(name: str) -> list[dict[str, Any]]:
    path = Path(str(DATA)) / name
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.split(b"\n") if line]


@pytest.mark.skipif(not DATA, reason="REFINE_AF_TEST_DATA is not set")
@pytest.mark.parametrize("name", ["instructions", "statements"])
@pytest.mark.parametrize("together", [True, False])
def test_golden_decisions(name: str, together: bool) -> None:
    golden = read(f"golden/selfinstruct_filter_{name}_3000.jsonl.gz")
    seeds = read("self_instruct/seed_tasks.jsonl")
    index = RougeLIndex()
    index.add_all([(f"seed:{place}", row["instruction"]) for place, row in enumerate(seeds)])
    rows = [(f"row:{row['n']}", row["text"]) for row in golden]
    if together:
        verdicts = index.offer_all(rows)
    else:
        verdicts = []
        for expected, row in zip(golden, rows, strict=True):
            near = index.nearest(row[1])
            assert near is not None
            assert near.id == expected["nearest"]
            assert near.score == pytest.approx(expected["max_rougeL"], abs=1e-12)
            verdicts.append(index.offer(*row))
    for expected, verdict in zip(golden, verdicts, strict=True):
        assert expected["keep"] == (verdict is None), expected["n"]
        if verdict is not None:
            assert verdict.id == expected["nearest"]
            assert verdict.score == pytest.approx(expected["max_rougeL"], abs=1e-12)


@pytest.mark.skipif(not DATA, reason="REFINE_AF_TEST_DATA is not set")
def test_golden_rows_at_the_very_bound() -> None:
    for row in read("golden/rouge_threshold_boundary.jsonl.gz"):
        index = RougeLIndex()
        index.add("old", row["old"])
        near = index.nearest(row["new"])
        assert near is not None
        assert repr(near.score) == row["fmeasure_repr"]
        assert (index.offer("new", row["new"]) is not None) == row["drop"]
