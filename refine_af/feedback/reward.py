"""The reward: scorers, a preset, normalisation, guards and the floor, in that order.

A row goes through four steps, each of which a caller can run by itself::

    parts = reward.measure(rows)    # pure; every scorer, in batches of its own choosing
    reward.observe(parts)           # running statistics take the rows in
    scored = reward.combine(parts)  # rule, normalisation, guards, floor

:meth:`Reward.score` runs them on one set of rows. The statistics see all rows of a call before
any of them is combined, so totals do not depend on the order or the batching inside the call. A
stage that scores a file measures it piece by piece, then observes and combines once; several
processes measure their shares, gather the parts, and all observe the same list.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.feedback.guards import broken_guards
from refine_af.feedback.indicators import TextIndicators
from refine_af.feedback.interface import (
    Parts,
    Scored,
    Scorer,
    Triplet,
    Unscored,
    checked_scores,
)
from refine_af.feedback.normalise import RunningMoments
from refine_af.feedback.params import RewardParams
from refine_af.feedback.presets import Preset

UNPARSEABLE = "unparseable"
UNSCORED = "unscored"
RAW = "raw"
"""The part that holds the rule's value before normalisation, clip and penalties."""

Measured = Parts | Unscored | None
"""What :meth:`Reward.measure` says of a row; None for an action that could not be parsed."""


class Reward:
    """Scores triplets with named parts and a total; see the module's page for the steps.

    The floor: an action that could not be parsed has no text to judge, so it gets
    ``lowest total ever returned for a real row - margin``. It is below every real score of this
    call and of every earlier one. A constant such as 0 would not do: 0 lies *above* the mean of
    the InstructMining rule, so unparseable text would be rewarded. With normalisation on, totals
    are at least ``-clip - penalties``, so the floor is bounded too and cannot run away; before
    the first real row it is ``-clip - margin``.
    """

    def __init__(
        self, scorers: Sequence[Scorer], params: RewardParams, preset: Preset | None = None
    ) -> None:
        """Check that every term of the preset comes from exactly one scorer.

        Args:
            scorers: Measure the parts, beside the text indicators.
            params: Normalisation, guards and floor.
            preset: A rule of the caller's own in place of the one that ``params`` names.

        Raises:
            ParameterError: When a term has no scorer, or two scorers give the same part.
        """
        self.preset = preset or params.preset
        self.params = params
        self.scorers: tuple[Scorer, ...] = (
            TextIndicators(params.guard_script, copied=params.guard_copied < 1),
            *scorers,
        )
        _check_sources(self.preset, self.scorers)
        self._parts = {name: RunningMoments() for name in self.preset.weights}
        self._raw = RunningMoments()
        self._lowest: float | None = None

    @property
    def part_names(self) -> tuple[str, ...]:
        """Return the names of all parts of a scored real row, in the order of the scorers."""
        names = [name for scorer in self.scorers for name in scorer.part_names]
        return (*names, RAW)

    def score(self, rows: Sequence[Triplet | None], *, learn: bool = True) -> list[Scored]:
        """Return one verdict per row, in order.

        Args:
            rows: None stands for an action that could not be parsed.
            learn: Let the running statistics take the rows in first; off for a held-out set.
        """
        parts = self.measure(rows)
        if learn:
            self.observe(parts)
        return self.combine(parts)

    def measure(self, rows: Sequence[Triplet | None]) -> list[Measured]:
        """Return every indicator of each row; None stays None. Changes no state.

        A row that one scorer could not score is :class:`Unscored` as a whole.
        """
        real = [row for row in rows if row is not None]
        merged: list[Parts | Unscored] = [{} for _ in real]
        for scorer in self.scorers if real else ():
            for index, scores in enumerate(checked_scores(scorer, real)):
                merged[index] = _joined(merged[index], scores, scorer.part_names)
        waiting = iter(merged)
        return [None if row is None else next(waiting) for row in rows]

    def observe(self, parts: Sequence[Measured]) -> None:
        """Let the running statistics take in measured rows; those without parts do not count.

        ``parts`` is gone through once for each weighed part and once more, and not copied.
        """
        for name, moments in self._parts.items():
            if moments.count < self.params.reward_reference_rows:
                moments.observe(row[name] for row in parts if isinstance(row, dict))
        self._raw.observe(self._value(row) for row in parts if isinstance(row, dict))

    def combine(self, parts: Sequence[Measured]) -> list[Scored]:
        """Return the verdicts on measured rows, in order; lowers the floor where they are low.

        A row without a score gets the mean total of the others: a judge's failure is no fault of
        the row, so it neither pays nor costs.
        """
        real = {
            index: self._verdict(row) for index, row in enumerate(parts) if isinstance(row, dict)
        }
        lows = [scored.total for scored in real.values()]
        self._lowest = min(lows if self._lowest is None else [*lows, self._lowest], default=None)
        floor, mean = self.floor, sum(lows) / len(lows) if lows else 0.0
        lost = Scored(total=floor, parts={}, raw=floor, flags=(UNPARSEABLE,))
        unscored = Scored(total=mean, parts={}, raw=mean, flags=(UNSCORED,))
        return [
            real.get(index, lost if row is None else unscored) for index, row in enumerate(parts)
        ]

    @property
    def floor(self) -> float:
        """Return what an unparseable action gets now."""
        if self._lowest is None:
            return -self.params.reward_clip - self.params.reward_margin
        return self._lowest - self.params.reward_margin * self._unit

    def get_state(self) -> dict[str, Any]:
        """Return the running statistics as JSON values, for a checkpoint."""
        return {
            "preset": self.preset.name,
            "parts": {name: moments.get_state() for name, moments in self._parts.items()},
            "raw": self._raw.get_state(),
            "lowest": self._lowest,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of :meth:`get_state`.

        Raises:
            DataError: When the state is of another preset.
        """
        if state["preset"] != self.preset.name:
            raise DataError(
                f"the reward's state is of preset {state['preset']!r}, this run uses"
                f" {self.preset.name!r}; start in a new work directory"
            )
        for name, moments in self._parts.items():
            moments.set_state(state["parts"][name])
        self._raw.set_state(state["raw"])
        self._lowest = state["lowest"]

    @property
    def _unit(self) -> float:
        """Return one standard deviation in the unit of totals."""
        return 1.0 if self.params.reward_normalise else self._raw.deviation

    def _value(self, parts: Parts) -> float:
        if not self.preset.standardised:
            return self.preset.value(parts)
        return self.preset.value(
            {name: moments.normalise(parts[name]) for name, moments in self._parts.items()}
        )

    def _verdict(self, parts: Parts) -> Scored:
        raw = total = self._value(parts)
        if self.params.reward_normalise:
            total = self._raw.normalise(raw, self.params.reward_clip)
        flags = broken_guards(parts, self.params)
        penalty = self.params.guard_penalty * len(flags) * self._unit
        return Scored(total - penalty, parts | {RAW: raw}, raw, flags)


def _joined(
    before: Parts | Unscored, scores: Parts | Unscored, names: Sequence[str]
) -> Parts | Unscored:
    if isinstance(before, Unscored) or isinstance(scores, Unscored):
        return before if isinstance(before, Unscored) else scores
    return before | {name: float(scores[name]) for name in names}


def _check_sources(preset: Preset, scorers: Sequence[Scorer]) -> None:
    giver = {RAW: "the rule itself"}
    for scorer in scorers:
        for name in scorer.part_names:
            if name in giver:
                raise ParameterError(
                    f"scorers {giver[name]} and {scorer.name} both give the part {name!r};"
                    " keep one of them"
                )
            giver[name] = scorer.name
    missing = [name for name in preset.weights if name not in giver]
    if missing:
        raise ParameterError(
            f"preset {preset.name} weighs {', '.join(missing)}, which no open scorer gives;"
            f" the open scorers give: {', '.join(giver)}"
        )
