"""Charts of training: PPO's numbers over its updates, and the loss of fine-tuning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from refine_af.feedback.indicators import TextIndicators
from refine_af.feedback.reward import RAW
from refine_af.reporting import svg
from refine_af.reporting.charts import Chart, thinned
from refine_af.reporting.inputs import ArmInputs

MOST_PARTS = 6


@dataclass(frozen=True, slots=True)
class Track:
    """A number of each PPO update and its chart; ``key`` is its name in ``ppo.metrics``."""

    key: str
    title: str
    label: str
    caption: str
    floor: float | None = None
    ceiling: float | None = None


TRACKS = (
    Track(
        "kl",
        "Distance from the start model",
        "KL, nats per episode",
        "How far the policy has moved. A steep rise is how reward hacking starts.",
    ),
    Track(
        "entropy",
        "Entropy",
        "entropy, nats per token",
        "Near zero the policy says the same thing every time.",
        floor=0.0,
    ),
    Track(
        "value_loss",
        "Value loss",
        "loss, reward units squared",
        "How far the values are from the returns that they predict: half the squared error.",
        floor=0.0,
    ),
    Track(
        "clip_fraction",
        "Clipped tokens",
        "share of tokens, 0 to 1",
        "Tokens whose probability moved further than one update may move it.",
        floor=0.0,
        ceiling=1.0,
    ),
    Track(
        "length",
        "Length of actions",
        "tokens per episode",
        "A reward that pays for length shows here.",
        floor=0.0,
    ),
    Track(
        "parseable",
        "Parseable actions",
        "share of episodes, 0 to 1",
        "Actions that hold an input-output pair; the others get the reward's floor.",
        floor=0.0,
        ceiling=1.0,
    ),
    Track(
        "distinct_2",
        "Variety of actions",
        "different word pairs, share 0 to 1",
        "Different word pairs over all word pairs of an update.",
        floor=0.0,
        ceiling=1.0,
    ),
    Track(
        "held_out",
        "Held-out score",
        "score, 0 to 1",
        "By a scorer that PPO never sees. Falling under a rising reward: the reward is gamed.",
        floor=0.0,
        ceiling=1.0,
    ),
)
"""In the order of the page, behind the reward and its parts."""


def ppo(updates: Sequence[Mapping[str, float]]) -> list[Chart]:
    """Return the curves of training that are there."""
    if not updates:
        return []
    drawn = [_track(updates, track) for track in TRACKS if any(track.key in row for row in updates)]
    return [_reward(updates), *_parts(updates), *drawn]


def sft(arms: Mapping[str, ArmInputs]) -> Chart | None:
    """Return the training loss per arm."""
    series = []
    for name, arm in arms.items():
        rows = [row for row in arm.sft_history if "loss" in row]
        if rows:
            x = [row.get("step", number) for number, row in enumerate(rows, start=1)]
            series.append((name, thinned(x), thinned([row["loss"] for row in rows])))
    if not series:
        return None
    drawing = svg.lines(
        "sft", series[: len(svg.SERIES)], "optimizer step", "loss, nats per completion token"
    )
    return Chart("Fine-tuning loss", drawing, "Loss on the completions only, per arm.")


def _track(updates: Sequence[Mapping[str, float]], track: Track) -> Chart:
    rows = [row for row in updates if track.key in row]
    line = ("all", thinned(_numbers(rows)), thinned([row[track.key] for row in rows]))
    drawing = svg.lines(
        f"ppo-{track.key}",
        [line],
        "PPO update",
        track.label,
        floor=track.floor,
        ceiling=track.ceiling,
    )
    return Chart(track.title, drawing, track.caption)


def _reward(updates: Sequence[Mapping[str, float]]) -> Chart:
    rows = [row for row in updates if "reward_mean" in row]
    spread = [row.get("reward_sd", 0.0) for row in rows]
    line = ("reward", thinned(_numbers(rows)), thinned([row["reward_mean"] for row in rows]))
    return Chart(
        "Reward",
        svg.lines("ppo-reward", [line], "PPO update", "reward, rule units", band=thinned(spread)),
        "Mean over the episodes of an update; the band is one standard deviation of episodes.",
    )


def _parts(updates: Sequence[Mapping[str, float]]) -> list[Chart]:
    """Return a curve of each part, what scorers gave before what counts words."""
    names = sorted(
        {
            key.removeprefix("part_").removesuffix("_mean")
            for row in updates
            for key in row
            if key.startswith("part_") and key.endswith("_mean")
        },
        key=lambda name: (name in TextIndicators.part_names, name),
    )
    shown = enumerate(names[:MOST_PARTS], start=1)
    return [_part(updates, name, f"ppo-part-{number}") for number, name in shown]


def _part(updates: Sequence[Mapping[str, float]], name: str, drawing: str) -> Chart:
    rows = [row for row in updates if f"part_{name}_mean" in row]
    line = (name, thinned(_numbers(rows)), thinned([row[f"part_{name}_mean"] for row in rows]))
    spread = thinned([row.get(f"part_{name}_sd", 0.0) for row in rows])
    return Chart(
        "Value of the rule, not normalised" if name == RAW else f"Part of the reward: {name}",
        svg.lines(drawing, [line], "PPO update", f"{name}, its own unit", band=spread),
        "Mean over the episodes of an update; the band is one standard deviation of episodes.",
    )


def _numbers(rows: Sequence[Mapping[str, float]]) -> list[float]:
    return [row.get("update", number) for number, row in enumerate(rows, start=1)]
