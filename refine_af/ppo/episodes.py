"""The interface of PPO: prompts come in, episodes go to a reward, feedback comes back."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from refine_af.contracts.errors import DataError, ParameterError, RefineAfError

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One state that episodes start from: a rendered instance prompt, and the id of its row."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Episode:
    """One action in text, for the reward.

    Attributes:
        prompt_id: Id of the prompt.
        prompt: Text of the prompt.
        action: What the policy wrote, without special tokens and without a stop text.
        finish: ``stop`` (the policy ended it, or wrote a stop text) or ``length`` (cut off
            at ``max_new_tokens``).
    """

    prompt_id: str
    prompt: str
    action: str
    finish: Finish


@dataclass(frozen=True, slots=True)
class Feedback:
    """The reward of one episode.

    Attributes:
        total: What PPO maximises; finite.
        parts: Named numbers behind it, for people; the same names for every parseable episode.
            An action without an instance has nothing to measure, so its parts may be empty.
        parseable: Whether the action held a usable instance.
    """

    total: float
    parts: dict[str, float]
    parseable: bool


Reward = Callable[[Sequence[Episode]], Sequence[Feedback]]
"""Scores the episodes of one update together, one feedback each, in order."""


@runtime_checkable
class Stateful(Protocol):
    """A reward that keeps statistics across updates; checkpoints carry them as JSON."""

    def get_state(self) -> dict[str, Any]:
        """Return everything that later scores depend on, as JSON values."""

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore a state of :meth:`get_state`."""


def check_prompts(prompts: Sequence[Prompt]) -> None:
    """Refuse prompts that cannot be trained on.

    Raises:
        ParameterError: When there are none.
        DataError: For an empty text or an id that comes twice.
    """
    if not prompts:
        raise ParameterError("there are no prompts; PPO needs at least one instruction to act on")
    seen: set[str] = set()
    for number, prompt in enumerate(prompts, start=1):
        if not prompt.text:
            raise DataError(f"prompt {number} ({prompt.id!r}) is empty; drop its row")
        if prompt.id in seen:
            raise DataError(f"prompt {number} repeats the id {prompt.id!r}; ids must be unique")
        seen.add(prompt.id)


def score(reward: Reward, episodes: Sequence[Episode], update: int) -> list[Feedback]:
    """Return the feedback of the episodes, checked.

    Raises:
        DataError: When the reward raises (other than an error of this project, which passes),
            returns another number of scores, other part names within one update, or a number
            that is not finite. Nothing was trained on the update then.
    """
    try:
        feedback = list(reward(episodes))
    except RefineAfError:
        raise
    except Exception as error:
        raise DataError(
            f"update {update}: the reward raised {type(error).__name__}: {error}; it must return"
            " one Feedback per episode, with the floor of its scale for what it cannot score"
        ) from error
    if len(feedback) != len(episodes):
        raise DataError(
            f"update {update}: the reward returned {len(feedback)} scores for {len(episodes)}"
            " episodes; it must return one per episode, in order"
        )
    names = sorted(next((score.parts for score in feedback if score.parts), {}))
    for episode, score in zip(episodes, feedback, strict=True):
        _check_feedback(episode, score, names, update)
    return feedback


def _check_feedback(episode: Episode, score: Feedback, names: list[str], update: int) -> None:
    location = f"update {update}, prompt {episode.prompt_id!r}"
    for name, value in [("total", score.total), *sorted(score.parts.items())]:
        if not math.isfinite(value):
            raise DataError(
                f"{location}: the reward gave {name} {value} to {episode.action[:80]!r}; it must be"
                " finite, so give what cannot be scored the floor of the scale"
            )
    if sorted(score.parts) != names and (score.parts or score.parseable):
        raise DataError(
            f"{location}: the reward gave the parts {sorted(score.parts)}, others have {names};"
            " every episode must have the same parts"
        )
