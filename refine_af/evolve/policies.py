"""Policies that choose the operators: fixed shares, a trained policy, or a language model."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.randomness import derive, uniform
from refine_af.engines.text import Completion, Request, Sampling, TextEngine
from refine_af.evolve.ledger import Ledger
from refine_af.evolve.operators import STOP, Operators, render
from refine_af.evolve.state import State, Vectors

RELEASED_MIX = {
    "breadth": 0.333,
    "add constraint": 0.261,
    "deepen": 0.163,
    "concretise": 0.192,
    "more reasoning steps": 0.016,
    "complicate input": 0.035,
}
"""Shares of the operators that the released generator of TeaMs-RL executes: its stored policy,
simulated over 6,000 episodes with its hand-set bias (SafeRL-Lab/TeaMs-RL at 0e8f9bc)."""

RELEASED_BREADTH_STEPS = (1, 4)
"""Steps of six, from 0, at which that generator forces breadth; elsewhere it never takes it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One episode whose next operator is wanted.

    Attributes:
        key: Names episode and step.
        draw: Names its random draws: turns with the same value draw the same numbers.
        state: What a policy sees of the episode.
        instruction: The text to rewrite.
    """

    key: str
    draw: str
    state: State
    instruction: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The chosen operator by number (the number of operators: stop) and its log-probability."""

    action: int
    log_prob: float


class OperatorPolicy(Protocol):
    """Chooses for all episodes of the frontier at once."""

    name: str

    def choose(self, turns: Sequence[Turn], vectors: Vectors, phase: str) -> list[Decision]:
        """Return one decision per turn, in order; ``vectors`` embed the turns' instructions."""


class MixPolicy:
    """Fixed shares, the same at every step or a row of shares per step."""

    def __init__(self, name: str, shares: Sequence[Sequence[float]], seed: int) -> None:
        """Draw by ``shares`` (steps, operators); steps beyond the last row begin again."""
        self.name, self._shares, self._seed = name, shares, seed

    def choose(self, turns: Sequence[Turn], vectors: Vectors, phase: str) -> list[Decision]:
        """Draw one operator per turn; a pure function of seed and key."""
        decisions = []
        for turn in turns:
            shares = self._shares[turn.state.step % len(self._shares)]
            action = _drawn(shares, uniform(self._seed, "operator", phase, turn.draw))
            decisions.append(Decision(action, log(shares[action])))
        return decisions


def uniform_mix(operators: Operators, seed: int) -> MixPolicy:
    """Return equal shares."""
    count = len(operators.names)
    return MixPolicy("uniform", [[1.0 / count] * count], seed)


def released_mix(operators: Operators, seed: int) -> MixPolicy:
    """Return what the released generator of TeaMs-RL does, see :data:`RELEASED_MIX`.

    Raises:
        ParameterError: If the operators' file lacks an operator of the mix.
    """
    missing = [name for name in RELEASED_MIX if name not in operators.names]
    if missing:
        raise ParameterError(
            f"policy released_mix: the operators' file has no {', '.join(missing)}; name them so,"
            " or give policy fixed_mix and a mix of your own"
        )
    first = [1.0 if name == "breadth" else 0.0 for name in operators.names]
    others = [0.0 if name == "breadth" else RELEASED_MIX.get(name, 0.0) for name in operators.names]
    other = [share / sum(others) for share in others]
    rows = [first if step in RELEASED_BREADTH_STEPS else other for step in range(6)]
    return MixPolicy("released_mix", rows, seed)


class LanguageModelPolicy:
    """A language model picks the operator by constrained choice among letters."""

    name = "llm"

    def __init__(self, operators: Operators, engine: TextEngine, seed: int, ledger: Ledger) -> None:
        """Ask ``engine`` at temperature 1; an answer other than a letter is drawn uniformly."""
        self._operators, self._engine = operators, engine
        self._seed, self._ledger = seed, ledger

    def choose(self, turns: Sequence[Turn], vectors: Vectors, phase: str) -> list[Decision]:
        """Ask once per turn."""
        names = self._operators.names
        letters = [chr(ord("A") + number) for number in range(len(names))]
        sampling = Sampling(max_tokens=4, temperature=1.0, choices=tuple(letters))
        answers = self._engine.generate([self._request(turn, letters) for turn in turns], sampling)
        self._ledger.add("chooser", phase, answers)
        return [
            self._decision(turn, answer, letters)
            for turn, answer in zip(turns, answers, strict=True)
        ]

    def _request(self, turn: Turn, letters: Sequence[str]) -> Request:
        known = self._operators.operators
        choices = [
            (letter, operator.name, operator.ask)
            for letter, operator in zip(letters, known, strict=True)
        ]
        last = known[turn.state.last].name if turn.state.last < len(known) else ""
        prompt = render("choose_operator", choices=choices, instruction=turn.instruction, last=last)
        return Request(f"{turn.key}/choose", prompt, derive(self._seed, "choose", turn.draw))

    def _decision(self, turn: Turn, answer: Completion, letters: Sequence[str]) -> Decision:
        label = answer.text.strip()
        if answer.finish == "error" or label not in letters:
            action = derive(self._seed, "chooser-unreadable", turn.draw) % len(letters)
            return Decision(action, -log(len(letters)))
        action = letters.index(label)
        if answer.choice_logprobs is None:
            return Decision(action, answer.logprob or 0.0)
        log_probs = np.array(answer.choice_logprobs)
        return Decision(action, float(log_probs[action] - np.logaddexp.reduce(log_probs)))


class Probabilities(Protocol):
    """Computes the shares of a trained policy, shape (turns, operators and perhaps stop)."""

    def __call__(self, states: Sequence[State], vectors: Vectors) -> NDArray[np.float64]:
        """Return one row of shares per state."""


class TrainedPolicy:
    """A trained policy, with a floor of exploration."""

    def __init__(
        self, name: str, probabilities: Probabilities, seed: int, exploration: float
    ) -> None:
        """Draw by ``(1 - exploration) x policy + exploration x uniform``."""
        self.name, self._probabilities = name, probabilities
        self._seed, self._exploration = seed, exploration

    def choose(self, turns: Sequence[Turn], vectors: Vectors, phase: str) -> list[Decision]:
        """Draw one operator per turn."""
        shares = self._probabilities([turn.state for turn in turns], vectors)
        shares = (1 - self._exploration) * shares + self._exploration / shares.shape[1]
        decisions = []
        for turn, row in zip(turns, shares.tolist(), strict=True):
            action = _drawn(row, uniform(self._seed, "operator", phase, turn.draw))
            decisions.append(Decision(action, log(row[action])))
        return decisions


def _drawn(shares: Sequence[float], draw: float) -> int:
    """Return the index that a uniform draw in [0, 1) selects; its share is never zero."""
    total = sum(shares)
    left = draw * total
    last = 0
    for index, share in enumerate(shares):
        if share <= 0:
            continue
        last = index
        left -= share
        if left < 0:
            return index
    return last


def name_of(action: int, operators: Operators) -> str:
    """Return the name of a choice."""
    return operators.names[action] if action < len(operators.names) else STOP
