"""The section on reward hacking: repeated texts, drifting numbers, and the held-out score.

Beginnings and ends are means over :data:`WINDOW` updates, because single updates are noisy.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from refine_af.feedback import reward
from refine_af.reporting import svg
from refine_af.reporting.charts import Chart

WINDOW = 5
RUN = 4
"""Words of a run that counts as a piece of a template; see ``ppo.metrics.template_share``."""

MOST_TEMPLATES = 8
LEAST_RISE = 0.05
"""A run is shown when its share of the actions rose by this much."""

RAW = f"part_{reward.RAW}_mean"
"""The rule's value before normalisation: a running normalisation hides a drift."""

SHOWN = {
    "length": "length of an action, tokens",
    "held_out": "held-out score",
    "template_share": "runs of four words that repeat, share",
    RAW: "value of the rule, not normalised",
}
"""Labels of numbers; parts have the names that their scorers give them."""


@dataclass(frozen=True, slots=True)
class Template:
    """A run of words, and the share of actions that held it at the start and at the end."""

    words: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Move:
    """How a number moved from start to end, also in standard deviations of rows at the start."""

    name: str
    before: float
    after: float
    deviations: float | None


@dataclass(frozen=True, slots=True)
class Signs:
    """The page. ``over_kl`` is missing where the updates lack what it draws."""

    templates: tuple[Template, ...]
    moves: tuple[Move, ...]
    over_kl: Chart | None


def find_signs(
    updates: Sequence[Mapping[str, float]], episodes: Sequence[Mapping[str, Any]]
) -> Signs | None:
    """Return the page, or None without updates."""
    if not updates:
        return None
    return Signs(tuple(templates(episodes)), tuple(moves(updates)), over_kl(updates))


def templates(episodes: Sequence[Mapping[str, Any]]) -> list[Template]:
    """Return the word runs whose share of the actions rose most, the largest rise first.

    Of overlapping runs with equal shares the first in reading order of the alphabet stays first;
    none is merged, so a long template shows as several runs.
    """
    numbers = sorted({int(row["update"]) for row in episodes})
    if len(numbers) < 2:
        return []
    window = min(WINDOW, len(numbers) // 2)
    before = _shares(episodes, set(numbers[:window]))
    after = _shares(episodes, set(numbers[-window:]))
    shares = [Template(run, before.get(run, 0.0), share) for run, share in after.items()]
    risen = [share for share in shares if share.after - share.before >= LEAST_RISE]
    risen.sort(key=lambda share: (share.before - share.after, share.words))
    return risen[:MOST_TEMPLATES]


def _shares(episodes: Sequence[Mapping[str, Any]], updates: set[int]) -> dict[str, float]:
    """Return the share of actions of those updates that hold each run of four words."""
    texts = [str(row["action"]) for row in episodes if int(row["update"]) in updates]
    counts: Counter[str] = Counter()
    for text in texts:
        words = text.lower().split()
        counts.update({" ".join(words[at : at + RUN]) for at in range(len(words) - RUN + 1)})
    return {run: count / len(texts) for run, count in counts.items() if count > 1}


def moves(updates: Sequence[Mapping[str, float]]) -> list[Move]:
    """Return how length, held-out score and each part moved; the parts from most to least gain."""
    parts = sorted(
        key
        for row in updates[:1]
        for key in row
        if key.startswith("part_") and key.endswith("_mean")
    )
    moved = [_move(updates, key, f"{key.removesuffix('_mean')}_sd") for key in parts]
    moved.sort(key=lambda term: (-(term.deviations or 0.0), term.name))
    fixed = [("length", ""), ("held_out", "held_out_sd"), ("template_share", "")]
    return [_move(updates, key, spread) for key, spread in fixed if key in updates[0]] + moved


def _move(updates: Sequence[Mapping[str, float]], key: str, spread_key: str) -> Move:
    window = max(1, min(WINDOW, len(updates) // 2))
    before, after = (_mean(rows, key) or 0.0 for rows in (updates[:window], updates[-window:]))
    spread = _mean(updates[:window], spread_key)
    name = SHOWN.get(key, key.removeprefix("part_").removesuffix("_mean"))
    return Move(name, before, after, (after - before) / spread if spread else None)


def over_kl(updates: Sequence[Mapping[str, float]]) -> Chart | None:
    """Return trained reward and held-out score over the distance from the start model.

    Both in standard deviations of rows at the start, so that they share an axis; each point is the
    mean of :data:`WINDOW` updates. Source: Gao et al. 2022 (arXiv 2210.10760), figure 1.
    """
    trained = RAW if RAW in updates[0] else "reward_mean"
    rows = [row for row in updates if "kl" in row and trained in row]
    if len(rows) < 2 * WINDOW:
        return None
    series = []
    for name, key, spread in (
        ("trained reward", trained, trained.replace("_mean", "_sd")),
        ("held-out score", "held_out", "held_out_sd"),
    ):
        own = [row for row in rows if key in row]
        unit = _mean(own[:WINDOW], spread)
        if len(own) < 2 * WINDOW or not unit:
            continue
        windows = [own[end - WINDOW : end] for end in range(WINDOW, len(own) + 1)]
        start = _mean(windows[0], key) or 0.0
        points = sorted(
            (_mean(part, "kl") or 0.0, ((_mean(part, key) or 0.0) - start) / unit)
            for part in windows
        )
        series.append((name, [x for x, _ in points], [y for _, y in points]))
    if not series:
        return None
    drawing = svg.lines(
        "ppo-over-kl", series, "KL to the start model, nats per episode", "change, deviations"
    )
    return Chart(
        "What training bought, and at what distance",
        drawing,
        "Trained reward against a score that training never saw. The reward rising while the other"
        " falls is reward hacking; the distance at which they part is the KL worth stopping at.",
    )


def _mean(rows: Sequence[Mapping[str, float]], key: str) -> float | None:
    values = [row[key] for row in rows if key in row]
    return fmean(values) if values else None
