"""The embedded preset on the package's own evaluator, against the gold scorer it never sees."""

from statistics import fmean

import pytest

pytest.importorskip("torch", reason="the embedded evaluator needs refine-af[train]")

from embedded_model.measure import held_out_examples
from refine_af.builtin.gold import gold_score
from refine_af.builtin.skills.registry import TRAINED
from refine_af.engines.scorers.opening import open_reward, open_scorer
from refine_af.feedback.interface import Triplet
from refine_af.feedback.params import RewardParams

PAPER_PARTS = ("naturalness", "coherence", "understandability", "reward")


def _right_and_wrong() -> tuple[list[Triplet], list[Triplet]]:
    """Return right instances in held-out wordings, and the same with a neighbour's wrong output."""
    examples = held_out_examples(TRAINED, each=6, seed=5)
    right = [Triplet(one.instruction, one.input, one.output) for one in examples]
    wrong = []
    for place, row in enumerate(right):
        other = right[place - 1 if place % 6 else place + 5]
        swapped = row._replace(output=other.output)
        if gold_score(*swapped) == 0.0:
            wrong.append(swapped)
    return right, wrong


def test_the_embedded_reward_prefers_right_answers() -> None:
    right, wrong = _right_and_wrong()
    assert len(wrong) > 100
    reward = open_reward(RewardParams(reward="embedded", guards=False))
    totals = [scored.total for scored in reward.score([*right, *wrong])]
    good, bad = totals[: len(right)], totals[len(right) :]
    # The area under the curve: the chance that a right answer beats a wrong one.
    area = fmean((one > other) + (one == other) / 2 for one in good for other in bad)
    assert area > 0.85


def test_one_evaluator_gives_every_part_of_the_paper_rule() -> None:
    rows = _right_and_wrong()[0][:5]
    reward = open_reward(RewardParams(reward="instructmining", reward_model="builtin:tiny"))
    scorer = open_scorer("embedded", RewardParams())
    for scored, parts in zip(reward.score(rows), scorer.score(rows), strict=True):
        assert isinstance(parts, dict)
        assert {name: scored.parts[name] for name in PAPER_PARTS} == pytest.approx(parts)
        assert scored.raw == pytest.approx(
            0.0078 * parts["reward"]
            - 0.4421 * parts["understandability"]
            + 0.3212 * parts["naturalness"]
            + 0.1520 * parts["coherence"]
            - 0.0274
        )


def test_embedded_scores_do_not_depend_on_company_or_order() -> None:
    right, wrong = _right_and_wrong()
    rows, scorer = [*right[:20], *wrong[:20]], open_scorer("embedded", RewardParams())
    together = scorer.score(rows[::-1])[::-1]
    for row, parts in zip(rows, together, strict=True):
        assert scorer.score([row])[0] == pytest.approx(parts, rel=1e-3, abs=1e-4)
    assert scorer.score([]) == []
