"""Which charts the report holds: titles, axes with units, and what each one says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from refine_af.evaluation.compare import Comparison
from refine_af.feedback.indicators import TextIndicators
from refine_af.feedback.reward import RAW
from refine_af.reporting import svg
from refine_af.reporting.diversity import Variety
from refine_af.reporting.inputs import ArmInputs, Round
from refine_af.reporting.novelty import Fresh
from refine_af.reporting.sizes import Curve

MOST_PARTS = 6
MOST_POINTS = 400
"""A longer run is thinned evenly: a drawing of 5 inches shows no more."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with its title and the sentence under it."""

    title: str
    drawing: str
    caption: str


def task_differences(main: Comparison) -> Chart:
    """Return the difference of every task, sorted."""
    return Chart(
        "Every task, by how much it changed",
        svg.differences(
            "tasks",
            [100 * task.difference for task in main.tasks],
            "tasks, from most gained to most lost",
            f"{main.first} - {main.second}, ROUGE-L points",
        ),
        f"Above zero {main.first} is better, below it (hatched) {main.second}.",
    )


def sizes(curve: Curve) -> Chart:
    """Return the score over the number of training rows, per arm."""
    series = []
    for name in curve.arms:
        points = [(size.rows, size.scores[name]) for size in curve.sizes if name in size.scores]
        series.append((name, [rows for rows, _ in points], [100 * score for _, score in points]))
    return Chart(
        "Score over data size",
        svg.lines("sizes", series, "instances trained on, rows", "ROUGE-L, points"),
        "Nested subsets. On SUPER-NI gains are known to flatten at some hundreds of instructions.",
    )


def acceptance(rounds: Sequence[Round]) -> Chart:
    """Return the share of parsed instructions that each round kept."""
    sent = list(accumulate(one.requested for one in rounds))
    shares = [100 * one.kept / one.parsed if one.parsed else 0.0 for one in rounds]
    x, y = _thinned(sent), _thinned(shares)
    return Chart(
        "Acceptance",
        svg.lines(
            "acceptance",
            [("kept", x, y)],
            "requests sent so far",
            "kept of the parsed, %",
            floor=0,
            ceiling=100,
        ),
        "A falling line means that the model repeats itself: new instructions cost more requests.",
    )


def growth(rounds: Sequence[Round]) -> Chart:
    """Return the size of the pool over requests."""
    sent = list(accumulate(one.requested for one in rounds))
    kept = list(accumulate(one.kept for one in rounds))
    return Chart(
        "Growth of the pool",
        svg.lines(
            "growth",
            [("kept", [0.0, *_thinned(sent)], [0.0, *_thinned(kept)])],
            "requests sent so far",
            "instructions kept, rows",
            floor=0,
        ),
        "Instructions that passed the filters of the bootstrap, summed over its rounds.",
    )


def novelty(fresh: Sequence[Fresh]) -> Chart:
    """Return what was new in each round, against the seeds and all earlier rounds."""
    sent = _thinned([one.requests for one in fresh])
    return Chart(
        "Novelty per round",
        svg.lines(
            "novelty",
            [
                ("word pairs", sent, _thinned([100 * one.word_pairs for one in fresh])),
                ("verb and object", sent, _thinned([100 * one.tasks for one in fresh])),
            ],
            "requests sent so far",
            "not met before, %",
            floor=0,
            ceiling=100,
        ),
        "Of the kept instructions of a round: pairs of neighbouring words, and verbs with their"
        " object, that neither the seeds nor an earlier round had.",
    )


def verbs(found: Variety) -> Chart:
    """Return the most common verbs with their objects."""
    labels = [f"{verb.verb}: {', '.join(noun for noun, _ in verb.nouns)}" for verb in found.verbs]
    return Chart(
        "What the instructions ask for",
        svg.bars(
            "verbs",
            [label if len(label) <= 40 else f"{label[:38]}…" for label in labels],
            [verb.count for verb in found.verbs],
            "instructions, rows",
        ),
        "The most common verbs, each with its most common objects, found by word rules (right in"
        " 111 of 117 pairs checked by reading).",
    )


def similarity(found: Variety) -> Chart:
    """Return the histogram of the likeness to the nearest seed."""
    return Chart(
        "Likeness to the nearest seed",
        svg.histogram(
            "similarity",
            [("instructions", found.similarity)],
            [place / 20 for place in range(21)],
            "ROUGE-L F1 with the nearest seed, 0 to 1",
            "share of instructions, %",
            mark=(0.7, "filter limit of the paper"),
        ),
        "Left: unlike every seed. The paper drops what lies right of 0.7.",
    )


def lengths(found: Variety, arms: Mapping[str, ArmInputs]) -> list[Chart]:
    """Return the lengths of instructions, and of outputs per arm."""
    charts = []
    if found.words:
        charts.append(
            Chart(
                "Length of instructions",
                svg.histogram(
                    "instruction-words",
                    [("instructions", _clipped(found.words, 60))],
                    range(0, 63, 3),
                    "words of an instruction (60 and more together)",
                    "share of instructions, %",
                ),
                "Words between white space.",
            )
        )
    outputs = [
        (name, _clipped([len(row.output.split()) for row in arm.instances], 100))
        for name, arm in arms.items()
        if arm.instances
    ]
    if outputs:
        charts.append(
            Chart(
                "Length of outputs",
                svg.histogram(
                    "output-words",
                    outputs[: len(svg.SERIES)],
                    range(0, 105, 5),
                    "words of an output (100 and more together)",
                    "share of instances, %",
                ),
                "A shift between arms is a change of style that a reward can cause.",
            )
        )
    return charts


def ppo(updates: Sequence[Mapping[str, float]]) -> list[Chart]:
    """Return the curves of training that are there."""
    if not updates:
        return []
    charts = [_reward(updates), *_parts(updates)]
    for key, title, label, caption, limits in (
        (
            "kl",
            "Distance from the start model",
            "KL, nats per episode",
            "How far the policy has moved. A steep rise is how reward hacking starts.",
            (None, None),
        ),
        (
            "entropy",
            "Entropy",
            "entropy, nats per token",
            "Near zero the policy says the same thing every time.",
            (0.0, None),
        ),
        (
            "value_loss",
            "Value loss",
            "loss, reward units squared",
            "How far the values are from the returns that they predict: half the squared error.",
            (0.0, None),
        ),
        (
            "clip_fraction",
            "Clipped tokens",
            "share of tokens, 0 to 1",
            "Tokens whose probability moved further than one update may move it.",
            (0.0, 1.0),
        ),
        (
            "length",
            "Length of actions",
            "tokens per episode",
            "A reward that pays for length shows here.",
            (0.0, None),
        ),
        (
            "parseable",
            "Parseable actions",
            "share of episodes, 0 to 1",
            "Actions that hold an input-output pair; the others get the reward's floor.",
            (0.0, 1.0),
        ),
        (
            "distinct_2",
            "Variety of actions",
            "different word pairs, share 0 to 1",
            "Different word pairs over all word pairs of an update.",
            (0.0, 1.0),
        ),
        (
            "held_out",
            "Held-out score",
            "score, 0 to 1",
            "By a scorer that PPO never sees. Falling under a rising reward: the reward is gamed.",
            (0.0, 1.0),
        ),
    ):
        rows = [row for row in updates if key in row]
        if rows:
            floor, ceiling = limits
            line = ("all", _thinned(_numbers(rows)), _thinned([row[key] for row in rows]))
            drawing = svg.lines(
                f"ppo-{key}", [line], "PPO update", label, floor=floor, ceiling=ceiling
            )
            charts.append(Chart(title, drawing, caption))
    return charts


def sft(arms: Mapping[str, ArmInputs]) -> Chart | None:
    """Return the training loss per arm."""
    series = []
    for name, arm in arms.items():
        rows = [row for row in arm.sft_history if "loss" in row]
        if rows:
            x = [row.get("step", place) for place, row in enumerate(rows, start=1)]
            series.append((name, _thinned(x), _thinned([row["loss"] for row in rows])))
    if not series:
        return None
    drawing = svg.lines(
        "sft", series[: len(svg.SERIES)], "optimizer step", "loss, nats per completion token"
    )
    return Chart("Fine-tuning loss", drawing, "Loss on the completions only, per arm.")


def _reward(updates: Sequence[Mapping[str, float]]) -> Chart:
    rows = [row for row in updates if "reward_mean" in row]
    spread = [row.get("reward_sd", 0.0) for row in rows]
    line = ("reward", _thinned(_numbers(rows)), _thinned([row["reward_mean"] for row in rows]))
    return Chart(
        "Reward",
        svg.lines("ppo-reward", [line], "PPO update", "reward, rule units", band=_thinned(spread)),
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
    return [_part(updates, name, f"ppo-part-{place}") for place, name in shown]


def _part(updates: Sequence[Mapping[str, float]], name: str, drawing: str) -> Chart:
    rows = [row for row in updates if f"part_{name}_mean" in row]
    line = (name, _thinned(_numbers(rows)), _thinned([row[f"part_{name}_mean"] for row in rows]))
    spread = _thinned([row.get(f"part_{name}_sd", 0.0) for row in rows])
    return Chart(
        "Value of the rule, not normalised" if name == RAW else f"Part of the reward: {name}",
        svg.lines(drawing, [line], "PPO update", f"{name}, its own unit", band=spread),
        "Mean over the episodes of an update; the band is one standard deviation of episodes.",
    )


def _numbers(rows: Sequence[Mapping[str, float]]) -> list[float]:
    return [row.get("update", place) for place, row in enumerate(rows, start=1)]


def _thinned(values: Sequence[float]) -> list[float]:
    step = max(1, -(-len(values) // MOST_POINTS))
    return list(values[::step])


def _clipped(values: Sequence[int], most: int) -> list[float]:
    return [float(min(value, most)) for value in values]
