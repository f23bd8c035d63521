"""Episodes over many seeds at once: choose, rewrite, check, review, reward, go on.

All episodes advance together, so that every step is two batches for the engine (rewrites, then
reviews of those that broke no rule, if a reviewer is asked), however many episodes there are.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import exp

import numpy as np

from refine_af.contracts.randomness import derive
from refine_af.contracts.readable import readable
from refine_af.contracts.records import Evolved, OperatorStep, Seed, content_id
from refine_af.engines.text import Completion, Request, TextEngine
from refine_af.evolve.bank import Bank, nearest
from refine_af.evolve.ledger import Ledger
from refine_af.evolve.operators import Operators
from refine_af.evolve.params import EvolutionParams
from refine_af.evolve.policies import Decision, OperatorPolicy, Turn, name_of
from refine_af.evolve.reviewer import Pair, Reviewer, Verdict
from refine_af.evolve.reward import novelty, reward
from refine_af.evolve.rules import Broken, broken_rule, instruction_alone
from refine_af.evolve.state import State, Vectors

Embed = Callable[[Sequence[str]], Vectors]


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
    similarity: float
    tried: int = 0
    failed_in_a_row: int = 0
    ended: bool = False


@dataclass(slots=True)
class _Attempt:
    """One attempt to apply an operator."""

    episode: _Episode
    turn: Turn
    decision: Decision
    answer: Completion | None = None
    broken: Broken | None = None
    verdict: Verdict | None = None
    parts: dict[str, float] = field(default_factory=dict)
    vector: Vectors | None = None
    similarity: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run of episodes, in order of step and episode."""

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
        policy: OperatorPolicy,
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
            policy: Of the operators.
            phase: For the ledger and the rows: ``train``, ``held_out``, ``table`` or ``evolve``.
            policy_seed: For the rows and the draws.
            update: For the rows and the draws.
            draws: Replaces phase, policy seed and update in the draws: runs with the same text draw
                the same numbers for the same choices, so that policies can be compared.
            on_step: Called with (steps done, instructions kept) after each step.
        """
        episodes = self._start(roots)
        outcome = Outcome([], [])
        for number in range(self.params.steps):
            active = self._affordable([episode for episode in episodes if not episode.ended])
            if not active:
                break
            key = f"{phase}/{policy_seed}/{update}"
            attempts = self._step(active, policy, phase, (key, draws or key))
            for attempt in attempts:
                row, kept = self._settled(attempt, policy.name, phase, policy_seed, update)
                outcome.steps.append(row)
                if kept is not None:
                    outcome.kept.append(kept)
            self._remember(attempts)
            if on_step is not None:
                on_step(number + 1, len(outcome.kept))
        return outcome

    def _start(self, roots: Sequence[Root]) -> list[_Episode]:
        vectors = self._embed([root.instruction for root in roots])
        similarity = self.bank.similarity(vectors).tolist()
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
                similarity=similarity[number],
            )
            for number, root in enumerate(roots)
        ]

    def _affordable(self, active: list[_Episode]) -> list[_Episode]:
        if not self._max_calls:
            return active
        left = self._max_calls - self._ledger.calls("evolver", "judge")
        return active[: max(0, left // self.params.calls_of_a_step)]

    def _step(
        self, active: list[_Episode], policy: OperatorPolicy, phase: str, keys: tuple[str, str]
    ) -> list[_Attempt]:
        turns = self._turns(active, *keys)
        vectors = _stacked([episode.vector for episode in active])
        decisions = policy.choose(turns, vectors, phase)
        attempts = [_Attempt(*planned) for planned in zip(active, turns, decisions, strict=True)]
        moving = [
            attempt for attempt in attempts if attempt.decision.action < len(self.operators.names)
        ]
        self._rewrite(moving, phase)
        self._review([attempt for attempt in moving if attempt.broken is None], phase)
        self._value([attempt for attempt in moving if attempt.broken is None])
        return attempts

    def _turns(self, active: list[_Episode], key: str, draws: str) -> list[Turn]:
        return [
            Turn(
                key=f"{key}/{episode.number}/{episode.tried}",
                draw=f"{draws}/{episode.number}/{episode.tried}",
                state=State(
                    last=episode.last,
                    step=episode.tried,
                    words_ratio=_words(episode.text) / _words(episode.root.instruction),
                    similarity=episode.similarity,
                ),
                instruction=episode.text,
            )
            for episode in active
        ]

    def _rewrite(self, attempts: list[_Attempt], phase: str) -> None:
        params = self.params
        requests = [
            Request(
                f"{attempt.turn.key}/rewrite",
                self.operators.prompt(
                    params.style,
                    attempt.decision.action,
                    attempt.episode.text,
                    attempt.episode.input,
                ),
                derive(params.seed, "rewrite", attempt.turn.draw),
            )
            for attempt in attempts
        ]
        answers = self._engine.generate(requests, params.requested) if requests else []
        self._ledger.add("evolver", phase, answers)
        for attempt, answer in zip(attempts, answers, strict=True):
            attempt.answer = replace(answer, text=instruction_alone(answer.text))
            attempt.broken = broken_rule(
                attempt.answer,
                attempt.episode.line,
                (*attempt.episode.root.outputs, attempt.episode.input),
                self.operators.copied(params.style),
                params,
            )

    def _review(self, attempts: list[_Attempt], phase: str) -> None:
        if not self.params.asks_reviewer:
            return
        pairs = [
            Pair(attempt.turn.key, attempt.episode.text, _text(attempt)) for attempt in attempts
        ]
        verdicts = self._reviewer.judge(pairs, phase)
        for attempt, verdict in zip(attempts, verdicts, strict=True):
            attempt.verdict = verdict
            if verdict.changed is None:
                attempt.broken = Broken("judge_unreadable", " / ".join(verdict.labels))

    def _value(self, attempts: list[_Attempt]) -> None:
        """Embed the readable rewrites and measure novelty against what was there before."""
        vectors = self._embed([_text(attempt) for attempt in attempts])
        similarity = self.bank.similarity(vectors).tolist()
        shares: list[float] = []
        if self._agreement is not None:
            shares = self._agreement(
                [(_text(attempt), self._input(attempt)) for attempt in attempts]
            )
        for index, attempt in enumerate(attempts):
            attempt.vector, attempt.similarity = vectors[index], similarity[index]
            siblings = [attempt.episode.vector, *self._written[attempt.episode.root.id]]
            cosine = max(attempt.similarity, nearest(vectors[index], siblings))
            changed = (
                attempt.verdict.changed
                if attempt.verdict and attempt.verdict.changed is not None
                else 0
            )
            attempt.parts = {
                "valid": 1.0,
                "changed": float(changed >= self.params.accept),
                "novelty": novelty(cosine),
            }
            if shares:
                attempt.parts["frontier"] = 4 * shares[index] * (1 - shares[index])

    def _input(self, attempt: _Attempt) -> str:
        keeps = self.operators.operators[attempt.decision.action].keeps_input
        return attempt.episode.input if keeps else ""

    def _settled(
        self, attempt: _Attempt, policy: str, phase: str, policy_seed: int, update: int
    ) -> tuple[OperatorStep, Evolved | None]:
        """Advance the episode; return its row, and the instruction if it is kept."""
        episode = attempt.episode
        stopped = attempt.decision.action >= len(self.operators.names)
        parts = attempt.parts if attempt.broken is None else {"valid": 0.0}
        value = 0.0 if stopped else reward(parts, self.params)
        equal = not stopped and attempt.broken is None and not parts["changed"]
        broken = Broken("equal") if equal else attempt.broken
        row = self._row(attempt, broken, value, phase, policy_seed, update, stopped)
        kept = None if stopped or broken else self._kept(attempt, row, policy, value)
        episode.tried += 1
        if kept is not None:
            episode.text, episode.input, episode.parent = kept.instruction, kept.input, kept.id
            episode.line.append(kept.instruction)
            episode.failed_in_a_row = 0
            if attempt.vector is not None:
                episode.vector, episode.similarity = attempt.vector, attempt.similarity
        else:
            episode.failed_in_a_row += 1
        episode.last = min(attempt.decision.action, len(self.operators.names))
        episode.ended = stopped or episode.failed_in_a_row >= self.params.patience
        return row, kept

    def _row(
        self,
        attempt: _Attempt,
        broken: Broken | None,
        value: float,
        phase: str,
        policy_seed: int,
        update: int,
        stopped: bool,
    ) -> OperatorStep:
        episode, state = attempt.episode, attempt.turn.state
        text = "" if attempt.answer is None else readable(attempt.answer.text.strip())
        return OperatorStep(
            id=content_id("step", attempt.turn.key, episode.root.id, attempt.decision.action, text),
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
            similarity=state.similarity,
            action=attempt.decision.action,
            operator=name_of(attempt.decision.action, self.operators),
            log_prob=attempt.decision.log_prob,
            text=text,
            status="stopped" if stopped else "rejected" if broken else "kept",
            reason=broken.reason if broken else "",
            detail=readable(broken.detail) if broken else "",
            labels=tuple(map(readable, attempt.verdict.labels)) if attempt.verdict else (),
            changed=attempt.verdict.changed if attempt.verdict else None,
            reward=value,
            parts=attempt.parts if broken is None or broken.reason == "equal" else {"valid": 0.0},
            cluster=episode.root.cluster,
        )

    def _kept(self, attempt: _Attempt, row: OperatorStep, policy: str, value: float) -> Evolved:
        return Evolved(
            id=content_id("evo", row.id, row.text),
            parents=row.parents,
            instruction=row.text,
            input=self._input(attempt),
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

    def _remember(self, attempts: list[_Attempt]) -> None:
        new = [
            attempt
            for attempt in attempts
            if attempt.vector is not None and attempt.parts.get("changed")
        ]
        if not new:
            return
        for attempt in new:
            if attempt.vector is not None:
                self._written[attempt.episode.root.id].append(attempt.vector)
        self.bank.add(_stacked([attempt.vector for attempt in new if attempt.vector is not None]))


def reasons(steps: Sequence[OperatorStep]) -> Counter[str]:
    """Return how many operations each rule rejected."""
    return Counter(row.reason for row in steps if row.reason)


def _words(text: str) -> int:
    return max(1, len(text.split()))


def _text(attempt: _Attempt) -> str:
    return attempt.answer.text.strip() if attempt.answer is not None else ""


def _stacked(vectors: Sequence[Vectors]) -> Vectors:
    return np.stack(vectors)
