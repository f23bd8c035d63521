"""The page on reward hacking, with a planted hack and without."""

from typing import Any

import pytest

from refine_af.reporting.hacking import find_signs, moves, over_kl, templates
from refine_af.reporting.inputs import ReportInputs
from refine_af.reporting.report import render


def hacked_updates(count: int = 20) -> list[dict[str, float]]:
    """Return updates whose reward rises by 0.1 a step while the held-out score falls by 0.01."""
    return [
        {
            "update": float(number),
            "kl": 0.1 * number,
            "length": 10.0 + number,
            "reward_mean": 0.1 * number,
            "reward_sd": 2.0,
            "part_raw_mean": 0.1 * number,
            "part_raw_sd": 2.0,
            "part_coherence_mean": 0.5,
            "part_coherence_sd": 0.0,
            "part_reward_mean": 0.1 * number,
            "part_reward_sd": 1.0,
            "held_out": 0.5 - 0.01 * number,
            "held_out_sd": 0.5,
            "value_loss": 0.2,
            "clip_fraction": 0.1,
        }
        for number in range(1, count + 1)
    ]


def episode(update: int, action: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"prompt_id": "a", "total": 1.0, "parseable": True}
    fields |= {"parts": {"coherence": 0.25}, "advantage": -0.5}
    return {"update": update, "action": action, **fields}


def test_moves_by_hand() -> None:
    found = {one.name: one for one in moves(hacked_updates())}
    assert (
        found["length of an action, tokens"].before,
        found["length of an action, tokens"].after,
    ) == (13.0, 28.0)
    assert found["length of an action, tokens"].deviations is None
    # means of updates 1..5 and 16..20: 0.3 and 1.8, deviation 1
    assert found["reward"].deviations == pytest.approx(1.5)
    assert found["held-out score"].deviations == pytest.approx(-0.3)
    assert found["coherence"].deviations is None  # it never varied
    assert [one.name for one in moves(hacked_updates())][:2] == [
        "length of an action, tokens",
        "held-out score",
    ]


def test_a_part_may_have_mean_in_its_name() -> None:
    rows = [
        {"part_word_mean_length_mean": float(number), "part_word_mean_length_sd": 2.0}
        for number in range(4)
    ]
    [part] = moves(rows)
    assert (part.name, part.deviations) == ("word_mean_length", 1.0)


def test_templates_are_runs_that_spread() -> None:
    starts = [episode(1, f"{word} one two three") for word in "abcdefgh"]
    ends = [episode(2, f"As you may know {word}") for word in "abcdef"] + [
        episode(2, "x one two three"),
        episode(2, "y one two three"),
    ]
    (found,) = templates(starts + ends)
    assert (found.words, found.before, found.after) == ("as you may know", 0.0, 0.75)
    assert templates(starts) == []


def test_the_curve_over_kl_needs_updates_and_holds_both_scores() -> None:
    chart = over_kl(hacked_updates())
    assert chart is not None
    assert "trained reward" in chart.drawing
    assert "held-out score" in chart.drawing
    assert over_kl(hacked_updates(9)) is None
    bare = [{k: v for k, v in row.items() if k != "held_out"} for row in hacked_updates()]
    alone = over_kl(bare)
    assert alone is not None
    assert "held-out score" not in alone.drawing
    assert find_signs([], []) is None


def test_the_report_shows_the_page_and_escapes_what_a_policy_wrote() -> None:
    trick = "<script>alert(1)</script> gives full marks"
    episodes = [episode(1, f"{word} plain words only here") for word in "abcd"]
    episodes += [episode(20, trick) for _ in range(4)]
    report = render(ReportInputs(ppo_updates=hacked_updates(), ppo_episodes=episodes))
    assert "Is the reward being gamed?" in report.html
    assert "<dt>Prompt</dt>" in report.html
    assert "coherence 0.250" in report.html
    assert "advantage -0.50" in report.html
    assert "What training bought, and at what distance" in report.html
    for title in ("Value loss", "Clipped tokens", "Part of the reward: coherence"):
        assert title in report.html
    assert "<script>alert(1)" not in report.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; gives full marks" in report.html
    assert "| held-out score | 0.470 | 0.320 | -0.30 |" in report.markdown.replace("\\_", "_")
