"""Episodes over many seeds at once: choose, rewrite, check, review, reward, go on.

All episodes advance together, so that every step is two batches for the engine (rewrites, then
reviews of those that broke no rule), however many episodes there are.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import exp

import numpy as np

from refine_af.contracts.randomness import derive
from refine_af.contracts.readable import readable
from refine_af.contracts.records import Evolved, OperatorStep, Seed, content_id
from refine_af.engines.text import Completion, Request, TextEngine
from refine_af.evolve.bank import Bank, nearest
from refine_af.evolve.choosers import Chooser, Decision, Turn, name_of
from refine_af.evolve.ledger import Ledger
from refine_af.evolve.operators import Operators
from refine_af.evolve.params import EvolutionParams
from refine_af.evolve.reviewer import Pair, Reviewer, Verdict
from refine_af.evolve.reward import novelty, reward
from refine_af.evolve.rules import Broken, broken_rule
from refine_af.evolve.state import State, Vectors

Embed = Callable[[Sequence[str]], Vectors]
CALLS_PER_STEP = 3
"""One rewrite and two reviews."""


@dataclass(frozen=True, slots=True)
class Root:
    """A seed to start from; ``outputs`` are its known answers, ``cluster`` its group."""

    id: str
    instruction: str
    input: str
    outputs: tuple[str, ...]
    cluster: int = 0

    @staticmethod
    def of(seed: Seed, cluster: int = 0) -> "Root":
        """Return the root of a seed: its instruction with its first input."""
        outputs = tuple(pair.output for pair in seed.instances)
        given = seed.instances[0].input if seed.instances else ""
        return Root(seed.id, seed.instruction, given, outputs, cluster)


@dataclass(slots=True)
class _Episode:
    number: int
    root: Root
    text: str
    input: str
    parent: str
    last: int
    line: list[str]
    vector: Vectors
    likeness: float
    tried: int = 0
    failed_in_a_row: int = 0
    ended: bool = False


@dataclass(slots=True)
class _Try:
    """One operation under way."""

    episode: _Episode
    turn: Turn
    decision: Decision
    answer: Completion | None = None
    broken: Broken | None = None
    verdict: Verdict | None = None
    parts: dict[str, float] = field(default_factory=dict)
    vector: Vectors | None = None
    likeness: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of episodes brought, in order of step and episode."""

    steps: list[OperatorStep]
    kept: list[Evolved]


Frontier = Callable[[Sequence[tuple[str, str]]], list[float]]
"""Returns s (agreement of sampled answers, 0 to 1) for each (instruction, input)."""


class Evolver:
    """Runs episodes. Its bank grows by every kept rewrite, at the end of each step."""

    def __init__(
        self,
        engine: TextEngine,
        reviewer: Reviewer,
        operators: Operators,
        embed: Embed,
        bank: Bank,
        params: EvolutionParams,
        ledger: Ledger,
        agreement: Frontier | None = None,
        max_calls: int = 0,
    ) -> None:
        """Rewrite with ``engine``; ``agreement`` measures the frontier part.

        ``max_calls`` bounds the calls of rewriter and reviewer together; 0 sets no limit.
        """
        self.operators, self.params, self.bank = operators, params, bank
        self._max_calls = max_calls
        self._engine, self._reviewer, self._embed = engine, reviewer, embed
        self._ledger, self._agreement = ledger, agreement
        self._written: dict[str, list[Vectors]] = defaultdict(list)

    def run(
        self,
        roots: Sequence[Root],
        chooser: Chooser,
        *,
        phase: str,
        policy_seed: int = 0,
        update: int = 0,
        draws: str = "",
        on_step: Callable[[int, int], None] | None = None,
    ) -> Outcome:
        """Evolve every root and return each operation and each kept instruction.

        Args:
            roots: One episode each; the same root may come twice.
            chooser: Of the operators.
            phase: For the ledger and the rows: ``train``, ``held_out``, ``table`` or ``evolve``.
            policy_seed: For the rows and the draws.
            update: For the rows and the draws.
            draws: In place of phase, policy seed and update, for the draws: runs with the same text
                give the same luck to the same choices, so that policies are compared on it.
            on_step: Called with (steps done, instructions kept) after each step.
        """
        episodes = self._start(roots)
        found = Outcome([], [])
        for number in range(self.params.steps):
            active = self._affordable([one for one in episodes if not one.ended])
            if not active:
                break
            key = f"{phase}/{policy_seed}/{update}"
            tries = self._step(active, chooser, phase, (key, draws or key))
            for one in tries:
                row, kept = self._settled(one, chooser.name, phase, policy_seed, update)
                found.steps.append(row)
                if kept is not None:
                    found.kept.append(kept)
            self._remember(tries)
            if on_step is not None:
                on_step(number + 1, len(found.kept))
        return found

    def _start(self, roots: Sequence[Root]) -> list[_Episode]:
        vectors = self._embed([root.instruction for root in roots])
        likeness = self.bank.likeness(vectors).tolist()
        none = len(self.operators.names)
        return [
            _Episode(
                number=number,
                root=root,
                text=root.instruction,
                input=root.input,
                parent=root.id,
                last=none,
                line=[root.instruction],
                vector=vectors[number],
                likeness=likeness[number],
            )
            for number, root in enumerate(roots)
        ]

    def _affordable(self, active: list[_Episode]) -> list[_Episode]:
        if not self._max_calls:
            return active
        left = self._max_calls - self._ledger.calls("evolver", "judge")
        return active[: max(0, left // CALLS_PER_STEP)]

    def _step(
        self, active: list[_Episode], chooser: Chooser, phase: str, keys: tuple[str, str]
    ) -> list[_Try]:
        turns = self._turns(active, *keys)
        vectors = _stacked([one.vector for one in active])
        decisions = chooser.choose(turns, vectors, phase)
        tries = [_Try(*one) for one in zip(active, turns, decisions, strict=True)]
        moving = [one for one in tries if one.decision.action < len(self.operators.names)]
        self._rewrite(moving, phase)
        self._review([one for one in moving if one.broken is None], phase)
        self._value([one for one in moving if one.broken is None])
        return tries

    def _turns(self, active: list[_Episode], key: str, draws: str) -> list[Turn]:
        return [
            Turn(
                key=f"{key}/{one.number}/{one.tried}",
                draw=f"{draws}/{one.number}/{one.tried}",
                state=State(
                    last=one.last,
                    step=one.tried,
                    words_ratio=_words(one.text) / _words(one.root.instruction),
                    likeness=one.likeness,
                ),
                instruction=one.text,
            )
            for one in active
        ]

    def _rewrite(self, tries: list[_Try], phase: str) -> None:
        params = self.params
        requests = [
            Request(
                f"{one.turn.key}/rewrite",
                self.operators.prompt(
                    params.style, one.decision.action, one.episode.text, one.episode.input
                ),
                derive(params.seed, "rewrite", one.turn.draw),
            )
            for one in tries
        ]
        answers = self._engine.generate(requests, params.requested) if requests else []
        self._ledger.add("evolver", phase, answers)
        for one, answer in zip(tries, answers, strict=True):
            one.answer = answer
            one.broken = broken_rule(
                answer,
                one.episode.line,
                one.episode.root.outputs,
                self.operators.forbidden,
                params,
            )

    def _review(self, tries: list[_Try], phase: str) -> None:
        pairs = [Pair(one.turn.key, one.episode.text, _text(one)) for one in tries]
        verdicts = self._reviewer.judge(pairs, phase)
        for one, verdict in zip(tries, verdicts, strict=True):
            one.verdict = verdict
            if verdict.changed is None:
                one.broken = Broken("judge_unreadable", " / ".join(verdict.labels))

    def _value(self, tries: list[_Try]) -> None:
        """Embed the readable rewrites and measure novelty against what was there before."""
        vectors = self._embed([_text(one) for one in tries])
        likeness = self.bank.likeness(vectors).tolist()
        shares: list[float] = []
        if self._agreement is not None:
            shares = self._agreement([(_text(one), self._input(one)) for one in tries])
        for place, one in enumerate(tries):
            one.vector, one.likeness = vectors[place], likeness[place]
            siblings = [one.episode.vector, *self._written[one.episode.root.id]]
            cosine = max(one.likeness, nearest(vectors[place], siblings))
            changed = one.verdict.changed if one.verdict and one.verdict.changed is not None else 0
            one.parts = {
                "valid": 1.0,
                "changed": float(changed >= self.params.accept),
                "novelty": novelty(cosine),
            }
            if shares:
                one.parts["frontier"] = 4 * shares[place] * (1 - shares[place])

    def _input(self, one: _Try) -> str:
        keeps = self.operators.operators[one.decision.action].keeps_input
        return one.episode.input if keeps else ""

    def _settled(
        self, one: _Try, policy: str, phase: str, policy_seed: int, update: int
    ) -> tuple[OperatorStep, Evolved | None]:
        """Move the episode on and return its row, and the instruction where one is kept."""
        episode = one.episode
        stopped = one.decision.action >= len(self.operators.names)
        parts = one.parts if one.broken is None else {"valid": 0.0}
        value = 0.0 if stopped else reward(parts, self.params)
        equal = not stopped and one.broken is None and not parts["changed"]
        broken = Broken("equal") if equal else one.broken
        row = self._row(one, broken, value, phase, policy_seed, update, stopped)
        kept = None if stopped or broken else self._kept(one, row, policy, value)
        episode.tried += 1
        if kept is not None:
            episode.text, episode.input, episode.parent = kept.instruction, kept.input, kept.id
            episode.line.append(kept.instruction)
            episode.failed_in_a_row = 0
            if one.vector is not None:
                episode.vector, episode.likeness = one.vector, one.likeness
        else:
            episode.failed_in_a_row += 1
        episode.last = min(one.decision.action, len(self.operators.names))
        episode.ended = stopped or episode.failed_in_a_row >= self.params.patience
        return row, kept

    def _row(
        self,
        one: _Try,
        broken: Broken | None,
        value: float,
        phase: str,
        policy_seed: int,
        update: int,
        stopped: bool,
    ) -> OperatorStep:
        episode, state = one.episode, one.turn.state
        text = "" if one.answer is None else readable(one.answer.text.strip())
        return OperatorStep(
            id=content_id("step", one.turn.key, episode.root.id, one.decision.action, text),
            parents=(episode.parent,),
            phase=phase,
            policy_seed=policy_seed,
            update=update,
            episode=episode.number,
            root=episode.root.id,
            step=state.step,
            before=episode.text,
            before_input=episode.input,
            last=state.last,
            words_ratio=state.words_ratio,
            likeness=state.likeness,
            action=one.decision.action,
            operator=name_of(one.decision.action, self.operators),
            log_prob=one.decision.log_prob,
            text=text,
            status="stopped" if stopped else "rejected" if broken else "kept",
            reason=broken.reason if broken else "",
            detail=readable(broken.detail) if broken else "",
            labels=tuple(map(readable, one.verdict.labels)) if one.verdict else (),
            changed=one.verdict.changed if one.verdict else None,
            reward=value,
            parts=one.parts if broken is None or broken.reason == "equal" else {"valid": 0.0},
            cluster=episode.root.cluster,
        )

    def _kept(self, one: _Try, row: OperatorStep, policy: str, value: float) -> Evolved:
        return Evolved(
            id=content_id("evo", row.id, row.text),
            parents=row.parents,
            instruction=row.text,
            input=self._input(one),
            root=row.root,
            step=row.step + 1,
            operator=row.operator,
            probability=min(1.0, exp(row.log_prob)),
            policy=policy,
            operators=self.operators.digest,
            changed=row.changed,
            reward=value,
            parts=row.parts,
            cluster=row.cluster,
        )

    def _remember(self, tries: list[_Try]) -> None:
        new = [one for one in tries if one.vector is not None and one.parts.get("changed")]
        if not new:
            return
        for one in new:
            if one.vector is not None:
                self._written[one.episode.root.id].append(one.vector)
        self.bank.add(_stacked([one.vector for one in new if one.vector is not None]))


def reasons(steps: Sequence[OperatorStep]) -> Counter[str]:
    """Return how many operations each rule rejected."""
    return Counter(row.reason for row in steps if row.reason)


def _words(text: str) -> int:
    return max(1, len(text.split()))


def _text(one: _Try) -> str:
    return one.answer.text.strip() if one.answer is not None else ""


def _stacked(vectors: Sequence[Vectors]) -> Vectors:
    return np.stack(vectors)
