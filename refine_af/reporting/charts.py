"""Charts of answers and data, each with title, axes with units and caption."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate

from refine_af.evaluation.compare import Comparison
from refine_af.reporting import svg
from refine_af.reporting.diversity import Variety
from refine_af.reporting.inputs import ArmInputs, Round
from refine_af.reporting.novelty import Fresh
from refine_af.reporting.sizes import Curve

MOST_POINTS = 400
"""A longer run is thinned evenly: a drawing of 5 inches shows no more."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with its title and the sentence under it."""

    title: str
    drawing: str
    caption: str

    @property
    def accessible(self) -> str:
        """Return the drawing as one image with a name, for readers who do not see it."""
        name = escape(f"{self.title}. {self.caption}", quote=True)
        return self.drawing.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)


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


def thinned(values: Sequence[float]) -> list[float]:
    """Return every nth value, so that at most :data:`MOST_POINTS` are left."""
    step = max(1, -(-len(values) // MOST_POINTS))
    return list(values[::step])


def acceptance(rounds: Sequence[Round]) -> Chart:
    """Return the share of parsed instructions that each round kept."""
    sent = list(accumulate(batch.requested for batch in rounds))
    shares = [100 * batch.kept / batch.parsed if batch.parsed else 0.0 for batch in rounds]
    x, y = thinned(sent), thinned(shares)
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
    sent = list(accumulate(batch.requested for batch in rounds))
    kept = list(accumulate(batch.kept for batch in rounds))
    return Chart(
        "Growth of the pool",
        svg.lines(
            "growth",
            [("kept", [0.0, *thinned(sent)], [0.0, *thinned(kept)])],
            "requests sent so far",
            "instructions kept, rows",
            floor=0,
        ),
        "Instructions that passed the filters of the bootstrap, summed over its rounds.",
    )


def novelty(fresh: Sequence[Fresh]) -> Chart:
    """Return what was new in each round, against the seeds and all earlier rounds."""
    sent = thinned([point.requests for point in fresh])
    return Chart(
        "Novelty per round",
        svg.lines(
            "novelty",
            [
                ("word pairs", sent, thinned([100 * point.word_pairs for point in fresh])),
                ("verb and object", sent, thinned([100 * point.tasks for point in fresh])),
            ],
            "requests sent so far",
            "not met before, %",
            floor=0,
            ceiling=100,
        ),
        "Of the kept instructions of a round: pairs of neighbouring words, and verbs with their"
        " object, that neither the seeds nor an earlier round had.",
    )


def verbs(variety: Variety) -> Chart:
    """Return the most common verbs with their objects."""
    labels = [f"{verb.verb}: {', '.join(noun for noun, _ in verb.nouns)}" for verb in variety.verbs]
    return Chart(
        "What the instructions ask for",
        svg.bars(
            "verbs",
            [label if len(label) <= 40 else f"{label[:38]}…" for label in labels],
            [verb.count for verb in variety.verbs],
            "instructions, rows",
        ),
        "The most common verbs, each with its most common objects, found by word rules (right in"
        " 111 of 117 pairs checked by reading).",
    )


def similarity(variety: Variety) -> Chart:
    """Return the histogram of the similarity to the nearest seed."""
    return Chart(
        "Similarity to the nearest seed",
        svg.histogram(
            "similarity",
            [("instructions", variety.similarity)],
            [step / 20 for step in range(21)],
            "ROUGE-L F1 with the nearest seed, 0 to 1",
            "share of instructions, %",
            mark=(0.7, "filter limit of the paper"),
        ),
        "Left: unlike every seed. The paper drops what lies right of 0.7.",
    )


def lengths(variety: Variety, arms: Mapping[str, ArmInputs]) -> list[Chart]:
    """Return the lengths of instructions, and of outputs per arm."""
    charts = []
    if variety.words:
        charts.append(
            Chart(
                "Length of instructions",
                svg.histogram(
                    "instruction-words",
                    [("instructions", _clipped(variety.words, 60))],
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


def _clipped(values: Sequence[int], most: int) -> list[float]:
    return [float(min(value, most)) for value in values]
