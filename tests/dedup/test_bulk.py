"""Deciding many rows at once gives what comparing each with all kept ones gives."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_filter import decide

from refine_af.dedup import bulk, join
from refine_af.dedup import index as index_module
from refine_af.dedup.index import Neighbour, RougeLIndex
from refine_af.dedup.rouge_l import Tokens, rouge_l

WORDS = st.sampled_from(["a", "b", "c", "d", "a b", "a b c d", "d c b a", "é", "aa bb cc", "b-c"])
TEXTS = st.lists(WORDS, max_size=7).map(" ".join)
BOUNDS = st.sampled_from([0.0, 0.3, 0.5, 2 / 3, 0.7, 0.8, 0.99, 1.0])

COMMON = {"no tokens common": 1 << 30, "all tokens common": -1, "some of each": 4}


def named(texts: list[str], prefix: str) -> list[tuple[str, str]]:
    return [(f"{prefix}{number}", text) for number, text in enumerate(texts)]


def as_pairs(verdicts: list[Neighbour | None]) -> list[tuple[str, float] | None]:
    return [(near.id, near.score) if near else None for near in verdicts]


def compare_all(
    rows: list[tuple[str, str]], pool: list[tuple[str, str]]
) -> list[tuple[str, float] | None]:
    """Decide as ``slow_filter`` does, by a faster ROUGE-L that is proven equal elsewhere."""
    taken, verdicts = list(pool), list[tuple[str, float] | None]()
    for name, text in rows:
        scored = [(rouge_l(text, old), -number) for number, (_, old) in enumerate(taken)]
        best, number = max(scored, default=(0.0, 0))
        verdicts.append((taken[-number][0], best) if best > 0.7 else None)
        if best <= 0.7:
            taken.append((name, text))
    return verdicts


@pytest.fixture(autouse=True)
def always_in_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_BULK", 1)
    monkeypatch.setattr(index_module, "_POOL_PER_ROW", 1)
    monkeypatch.setattr(RougeLIndex, "_pays_in_bulk", lambda self, count: count > 0)


@pytest.fixture(params=list(COMMON.values()), ids=list(COMMON))
def key_limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a few rows take every way through the join that a million would."""
    monkeypatch.setattr(join, "_COMMON", request.param)
    monkeypatch.setattr(join, "_KEYS", 7)
    monkeypatch.setattr(join, "_PAIRS", 5)
    monkeypatch.setattr(join, "_TOKENS", 9)
    monkeypatch.setattr(join, "_CROWDED", 2)
    monkeypatch.setattr(join, "_BLOCK", 5)
    monkeypatch.setattr(join, "LONG", 3)
    monkeypatch.setattr(join, "_LONG_WORDS", 1)
    monkeypatch.setattr(join, "DIRECT", 5)
    monkeypatch.setattr(join, "_RARE_WORDS", 2)
    monkeypatch.setattr(join, "_HALVED", 6)
    monkeypatch.setattr(join, "_COLUMNS", 3)
    monkeypatch.setattr(join, "_DIRECT_PAIRS", 4)


@pytest.fixture(params=[(8, 20_000, 256), (0, 2, 3)], ids=["together", "split in halves"])
def split_limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(
        ("_PAIRS_PER_ROW", "_FEWEST_PAIRS", "_LEAF"), request.param, strict=True
    ):
        monkeypatch.setattr(bulk, name, value)


@pytest.mark.usefixtures("key_limits", "split_limits")
@settings(max_examples=25, deadline=None)
@given(
    st.lists(TEXTS, max_size=8),
    st.lists(TEXTS, max_size=25),
    BOUNDS,
    st.sampled_from([2, 1_000_000]),
)
def test_decisions_neighbours_and_scores_equal_the_full_comparison(
    pool: list[str], texts: list[str], bound: float, code_points: int
) -> None:
    seeds, rows = named(pool, "seed"), named(texts, "row")
    expected = decide(rows, seeds, bound)
    index = RougeLIndex(bound, code_points=code_points)
    index.add_all(seeds)
    assert as_pairs(index.offer_all(rows)) == expected
    assert len(index) == len(pool) + expected.count(None)


def short(draw: random.Random) -> str:
    return " ".join(draw.choices([f"w{n}" for n in range(30)], k=draw.randrange(4)))


def long(draw: random.Random) -> str:
    return " ".join(draw.choices([f"w{n}" for n in range(400)], k=draw.randrange(60, 200)))


def very_long(draw: random.Random) -> str:
    words = [f"w{n}" for n in range(300)]
    weights = [1 / (n + 1) for n in range(300)]
    return " ".join(draw.choices(words, weights, k=draw.choice([130, 200, 320, 600])))


def repeated(draw: random.Random) -> str:
    return " ".join(
        word for word in draw.choices("abcdefgh", k=4) for _ in range(draw.randrange(1, 6))
    )


def two_words(draw: random.Random) -> str:
    return " ".join(draw.choices("ab", k=draw.randrange(1, 12)))


def alike(draw: random.Random) -> str:
    words = [f"w{n}" for n in range(12)]
    if draw.random() < 0.2:
        words[draw.randrange(12)] = draw.choice("xyz")
    return " ".join(words)


def random_rows(kind: Callable[[random.Random], str], count: int, seed: int) -> list[str]:
    """Return rows of one kind, a third of them earlier ones with a word or two changed."""
    draw = random.Random(seed)
    rows: list[str] = []
    for _ in range(count):
        if rows and draw.random() < 1 / 3:
            words = draw.choice(rows).split() or ["w"]
            for _ in range(draw.randrange(1, 3)):
                words[draw.randrange(len(words))] = f"w{draw.randrange(40)}"
            rows.append(" ".join(words))
        else:
            rows.append(kind(draw))
    return rows


@pytest.mark.usefixtures("split_limits")
@pytest.mark.parametrize("kind", [short, long, very_long, repeated, two_words, alike])
@pytest.mark.parametrize("common", [1500, 5])
def test_six_kinds_of_random_rows(
    kind: Callable[[random.Random], str], common: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join, "_COMMON", common)
    texts = random_rows(kind, 150, seed=3)
    rows, seeds = named(texts[30:], "row"), named(texts[:30], "seed")
    expected = compare_all(rows, seeds)
    assert any(expected)
    index = RougeLIndex(0.7)
    index.add_all(seeds)
    assert as_pairs(index.offer_all(rows)) == expected


def test_rows_offered_before_between_and_after_are_one_sequence() -> None:
    texts = random_rows(alike, 60, 1) + random_rows(short, 140, 2)
    random.Random(0).shuffle(texts)
    rows = named(texts, "row")
    expected = compare_all(rows, [])
    index = RougeLIndex(0.7)
    verdicts = index.offer_all(rows[:90])
    verdicts += [index.offer(*row) for row in rows[90:110]]
    verdicts += index.offer_all(rows[110:])
    assert as_pairs(verdicts) == expected


def test_a_hundred_thousand_equal_rows_are_no_hundred_thousand_squared_pairs() -> None:
    rows = named(["write a poem about the sea at night"] * 100_000, "row")
    verdicts = RougeLIndex(0.7).offer_all(rows)
    assert verdicts[0] is None
    assert all(near == Neighbour("row0", 1.0) for near in verdicts[1:])


class _Kept:
    """Steps in memory; the process dies at the one after the first ``most``."""

    def __init__(self, most: int = 1 << 30) -> None:
        self.entries: dict[str, bytes] = {}
        self.read_names: list[str] = []
        self._most = most

    def read(self, name: str) -> bytes | None:
        if name in self.entries:
            self.read_names.append(name)
        return self.entries.get(name)

    def publish(self, name: str, data: bytes) -> None:
        if len(self.entries) >= self._most:
            raise KeyboardInterrupt
        self.entries[name] = data


def decided(texts: list[str], steps: _Kept) -> list[tuple[str, float] | None]:
    index = RougeLIndex(0.7)
    index.add_all(named(texts, "row"))
    return as_pairs(index.decide(len(texts), steps=steps))


def test_a_killed_run_continues_from_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "_KEYS", 50)
    texts = random_rows(long, 40, 5) + random_rows(alike, 40, 6)
    whole = _Kept()
    expected = decided(texts, whole)
    assert len(whole.entries) > 6
    killed = _Kept(len(whole.entries) * 7 // 10)
    with pytest.raises(KeyboardInterrupt):
        decided(texts, killed)
    resumed = _Kept()
    resumed.entries = dict(killed.entries)
    assert decided(texts, resumed) == expected
    assert sorted(resumed.read_names) == sorted(killed.entries)
    assert resumed.entries == whole.entries


def test_what_a_killed_run_had_compared_is_reported_as_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(join, "_KEYS", 50)
    texts = random_rows(long, 60, 5)
    whole, reports = _Kept(), list[tuple[float, bool]]()
    decided(texts, whole)
    resumed = _Kept()
    names = sorted(whole.entries)
    resumed.entries = {name: whole.entries[name] for name in names[: len(names) // 2]}
    index = RougeLIndex(0.7)
    index.add_all(named(texts, "row"))
    index.decide(
        len(texts),
        steps=resumed,
        report=lambda share, fresh: reports.append((share, fresh)),
    )
    fresh = [fresh for _, fresh in reports[1:]]
    assert fresh == sorted(fresh)
    assert fresh.count(False) == len(names) // 2


def test_progress_only_grows_and_ends_at_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "_KEYS", 50)
    reports: list[tuple[float, bool]] = []
    index = RougeLIndex(0.7)
    texts = random_rows(long, 60, 5)
    index.add_all(named(texts, "row"))
    index.decide(len(texts), report=lambda share, fresh: reports.append((share, fresh)))
    shares = [share for share, _ in reports]
    assert all(fresh for _, fresh in reports)
    assert len(shares) > 3
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == 1.0


@pytest.mark.parametrize("tokens", ["rouge", "characters"])
def test_few_rows_and_characters_are_decided_block_by_block(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(index_module, "_BLOCK", 7)
    texts = [*random_rows(short, 40, 8), "Привет"]
    index, other = RougeLIndex(0.7, tokens), RougeLIndex(0.7, tokens)
    index.add_all(named(texts[:5], "seed") + named(texts[5:], "row"))
    other.add_all(named(texts[:5], "seed"))
    assert index.decide(len(texts) - 5) == other.offer_all(named(texts[5:], "row"))
    assert index.tokenless == other.tokenless
    assert len(index) == len(other)
    assert index.offer("again", texts[9]) == other.offer("again", texts[9])


def test_ranges_and_parts_by_hand() -> None:
    assert join._ranges(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert list(join._parts(np.array([3, 3, 9, 1]), 6)) == [(0, 2), (2, 3), (3, 4)]


def test_stable_order_counts_through_more_than_sixteen_bits() -> None:
    values = np.array([1 << 20, 3, (1 << 20) + 3, 3, 0])
    assert join._stable_order(values).tolist() == [4, 1, 3, 0, 2]


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})


@pytest.mark.usefixtures("one_core")
def test_one_core_decides_the_same() -> None:
    texts = random_rows(repeated, 150, 9)
    rows = named(texts, "row")
    assert as_pairs(RougeLIndex(0.7).offer_all(rows)) == compare_all(rows, [])
