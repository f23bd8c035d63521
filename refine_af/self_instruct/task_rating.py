"""Rates how much a text resembles a task, by the model's own likelihoods.

Shown some seed tasks, a model finds another task more likely than without them, and a sentence that
only happens to stand in a list less so::

    rating(x) = (log p(x | seed tasks) - log p(x)) / tokens of x      (nats per token)

which is the pointwise mutual information of text and list. Length and plain fluency drop out,
which likelihood alone pays for. Source: project choice; measured in benchmarks/README.md.
"""

import json
from collections.abc import Callable, Sequence
from math import ceil

from refine_af.contracts.randomness import sample
from refine_af.contracts.records import Seed
from refine_af.contracts.stage import Journal
from refine_af.feedback.selection import select
from refine_af.self_instruct.params import BootstrapParams

Rate = Callable[[Sequence[str]], Sequence[float]]
"""From the texts of one round to the rating of each."""

SHOWN = 6
"""Seeds in front of a text."""

LONGEST_SHOWN = 30
"""Words of a seed that may be shown; longer ones are read for every text and say no more."""


def open_rating(params: BootstrapParams, seeds: Sequence[Seed], journal: Journal) -> Rate | None:
    """Return the rating that the parameters ask for, or None; what was rated once is kept.

    Raises:
        DataError, DependencyError, MissingLibraryError: The model cannot be loaded.
    """
    if params.task_rating == "none":
        return None
    from refine_af.engines.models import resolve_model
    from refine_af.engines.scorers.checkpoint import Loading
    from refine_af.engines.scorers.language_model import LanguageModelScorer
    from refine_af.feedback.interface import Triplet

    # vLLM has taken the GPU's memory
    device = "cpu" if params.engine == "vllm" else "auto"
    loading = Loading(device=device, precision=params.dtype)
    scorers: list[LanguageModelScorer] = []
    shown = shown_tasks(seeds, params.seed)

    def rate(texts: Sequence[str]) -> list[float]:
        if not scorers:
            scorers.append(LanguageModelScorer(str(resolve_model(params.model)), loading))
        parts = scorers[0].score([Triplet(shown, "", text) for text in texts])
        return [part["pmi"] for part in parts]

    return kept_ratings(rate, journal)


def shown_tasks(seeds: Sequence[Seed], seed: int) -> str:
    """Return the list that stands in front of a text: a head line and some seeds, one a line."""
    lines = [" ".join(row.instruction.split()) for row in seeds]
    short = [line for line in lines if len(line.split()) <= LONGEST_SHOWN] or lines
    chosen = sample(short, min(SHOWN, len(short)), seed, "rating-shown")
    return "\n".join(["Tasks for an assistant, one a line:", *chosen])


def kept_ratings(rate: Rate, journal: Journal) -> Rate:
    """Return ``rate`` with memory: a stage that goes on asks for the same rounds again."""
    rounds = 0

    def remembered(texts: Sequence[str]) -> Sequence[float]:
        nonlocal rounds
        name = f"ratings-{rounds:06d}"
        rounds += 1
        stored = journal.read(name)
        known = json.loads(stored) if stored else {}
        if known.get("texts") == list(texts):
            ratings: list[float] = known["ratings"]
            return ratings
        ratings = list(rate(texts))
        journal.publish(name, json.dumps({"texts": list(texts), "ratings": ratings}).encode())
        return ratings

    return remembered


def refusals(ratings: Sequence[float], least: float, share: float) -> dict[int, tuple[str, str]]:
    """Return (reason, detail) by index of the texts that are dropped.

    Args:
        ratings: Of one round's texts, in order.
        least: Texts below it are ``not_a_task``.
        share: Of the others, the best rated that stay; the rest is ``not_best``. Rounded up;
            equals in order of arrival.
    """
    passed = sum(rating >= least for rating in ratings)
    stay = ceil(round(share * passed, 6))
    chosen = select(ratings, threshold=least, top_k=max(stay, 1))
    return {
        item.position: (
            ("not_a_task", f"rating {ratings[item.position]:.3f}, at least {least:g}")
            if item.reason == "below_threshold"
            else ("not_best", f"rating {ratings[item.position]:.3f}, not among the best {stay}")
        )
        for item in chosen.dropped
    }
