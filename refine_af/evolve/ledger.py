"""Counts calls and tokens per role and phase, and compares them with Evol-Instruct's.

A claim of "few queries" is worth what it counts, so everything is counted: also the calls of the
policy's training, and those whose answer was dropped.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from refine_af.engines.text import Completion

ROLES = ("evolver", "judge", "chooser", "responder")
COUNTS = ("calls", "prompt_tokens", "new_tokens")

EVOL_INSTRUCT_KEPT = 250_000
EVOL_INSTRUCT_CALLS = 52_000 * 4 * 3
"""WizardLM (arXiv 2304.12244): 52k seeds, 4 rounds, 3 calls (rewrite, judge, answer), 250k kept."""

ASSUMPTIONS = (
    "Evol-Instruct asks three times per seed and round: rewrite, judge, answer (WizardLM, section"
    " 3.2; its authors name about 600,000 calls for 52,000 seeds and 4 rounds).",
    "Its yield is taken as published: 250,000 instructions kept of 208,000 rewrites and 52,000"
    " seeds, that is 2.50 calls for each.",
    "Calls are counted alike whatever the model's size; here both reviews of a rewrite count.",
)

Counts = dict[str, dict[str, dict[str, int]]]


class Ledger:
    """Counts by role and phase."""

    def __init__(self) -> None:
        """Start from zero."""
        self.counts: Counts = {}

    def add(self, role: str, phase: str, answers: Iterable[Completion]) -> None:
        """Count calls of one role."""
        into = self._entry(role, phase)
        for answer in answers:
            into["calls"] += 1
            into["prompt_tokens"] += answer.prompt_tokens
            into["new_tokens"] += answer.tokens

    def calls(self, *roles: str) -> int:
        """Return the calls of these roles over all phases."""
        counted = [phases for role, phases in self.counts.items() if role in roles]
        return sum(entry["calls"] for phases in counted for entry in phases.values())

    def dump(self) -> dict[str, Any]:
        """Return the counts as JSON, roles in their order."""
        return {role: self.counts[role] for role in ROLES if role in self.counts}

    def _entry(self, role: str, phase: str) -> dict[str, int]:
        return self.counts.setdefault(role, {}).setdefault(phase, dict.fromkeys(COUNTS, 0))


def merged(ledgers: Sequence[Mapping[str, Any]]) -> Counts:
    """Return the sum of several dumped ledgers."""
    total = Ledger()
    for ledger in ledgers:
        for role, phases in ledger.items():
            for phase, entry in phases.items():
                into = total._entry(role, phase)
                for name in COUNTS:
                    into[name] += int(entry[name])
    return {role: total.counts[role] for role in ROLES if role in total.counts}


def against_evol_instruct(calls: int, kept: int, seeds: int, steps: int) -> dict[str, float]:
    """Return this run's calls as shares of Evol-Instruct's; see :data:`ASSUMPTIONS`.

    Args:
        calls: Of this run, all roles and phases.
        kept: Instructions that are left at its end.
        seeds: Seeds it started from.
        steps: Operators tried on each.

    Returns:
        ``at_equal_rows`` (Evol-Instruct keeps as many rows at its published yield) and
        ``at_equal_seeds`` (as many seeds and rounds); left out where they would divide by zero.
    """
    shares = {}
    if kept:
        shares["at_equal_rows"] = calls / (kept * EVOL_INSTRUCT_CALLS / EVOL_INSTRUCT_KEPT)
    if seeds and steps:
        shares["at_equal_seeds"] = calls / (seeds * steps * 3)
    return shares
