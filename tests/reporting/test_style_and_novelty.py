"""Variety, complexity and novelty against numbers worked out by hand."""

import pytest

from refine_af.contracts.records import Instance, Instruction, Pair, Seed
from refine_af.reporting.inputs import Round
from refine_af.reporting.novelty import Fresh, novelty
from refine_af.reporting.style import styles


def instance(output: str, text: str = "") -> Instance:
    return Instance.make("i", "Do.", text, output, is_classification=False, sample=0)


def test_style_by_hand_over_equally_many_rows() -> None:
    found = styles(
        {
            "rl": [instance("Red fox runs. It is remarkable!"), instance("red fox", "a b c d")],
            "baseline": [instance("yes"), instance("yes"), instance("Extraordinary")],
        }
    )
    rl, baseline = found["rl"], found["baseline"]
    # (red fox) (fox runs) (runs it) (it is) (is remarkable), then (red fox) again
    assert rl.distinct_2 == pytest.approx(5 / 6)
    assert rl.different_outputs == 1.0
    assert (rl.input_words, rl.output_words) == (2.0, 4.0)
    # 8 words in 3 sentences, one of them long
    assert rl.lix == pytest.approx(8 / 3 + 100 / 8)
    assert baseline.rows == 2
    assert baseline.different_outputs == 0.5
    assert (baseline.distinct_2, baseline.lix) == (0.0, 1.0)


def test_no_rows_have_no_style() -> None:
    assert styles({}) == {}
    assert styles({"rl": [], "baseline": [instance("x")]}) == {}


def test_novelty_by_hand_with_shards_side_by_side() -> None:
    pair = (Pair(input="", output="x"),)
    seed = Seed.make("s", "", "Write a story", pair, False, "unknown")

    def row(text: str, request: int, shard: int) -> Instruction:
        return Instruction.make(text, (), request, 0, shard)

    rows = [
        row("Write a poem", 0, 0),
        row("Write a poem", 0, 1),
        row("List ten words", 2, 0),
    ]
    rounds = [Round(2, 2, 9, 1, 0), Round(2, 2, 9, 1, 0), Round(3, 3, 9, 1, 1)]
    found = novelty(rounds, rows, [seed])
    # (write a) is the seed's, (a poem) is new, then shard 1 repeats both
    assert found == [Fresh(2, 0.5, 1.0), Fresh(5, 0.0, 0.0), Fresh(7, 1.0, 1.0)]
