"""A text engine whose answers are journalled in steps: a killed stage asks only what is missing.

A resumed stage makes the same calls in the same order, so a step is named by its number. Within a
step an answer is found by its request (id, prompt, seed, sampling): a request that changed is asked
anew. An answer that failed is not kept; the next run asks for it again.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from refine_af.calls.answers import dump_answers, load_answers, request_keys
from refine_af.calls.failures import Failures
from refine_af.calls.record import model_call
from refine_af.calls.spending import Price, add, count
from refine_af.contracts.records import ModelCall
from refine_af.contracts.stage import Journal, Task
from refine_af.engines.borrowed import Borrowed
from refine_af.engines.params import MAX_FAILED
from refine_af.engines.text import (
    AnswersOneByOne,
    Completion,
    Determinism,
    Request,
    Sampling,
    TextEngine,
)

STEP = 256
"""Requests per step. The borders are fixed, so that a resumed run has the batches of a whole one:
with most engines an answer depends, by float rounding, on the batch that it is written in."""

SAVE_SECONDS = 1.0
"""Seconds between saves of a step under way, for engines that answer one by one."""


class Params(Protocol):
    """Parameters of a stage that asks an engine."""

    @property
    def max_failed(self) -> float:
        """Largest share of requests that may fail; see :class:`Failures`."""

    def money(self, read: int, written: int) -> float:
        """Return what the engine's tokens cost; see :class:`refine_af.engines.params`."""


ParamsT = TypeVar("ParamsT", bound=Params)


def journalled(
    params: ParamsT,
    task: Task,
    opener: Callable[[ParamsT, Path | None], TextEngine],
    *,
    name: str = "calls",
    max_refused: float = 1.0,
    unit: str = "completions",
) -> "JournalledEngine":
    """Return a journalled engine: the task's own, or one that ``opener`` opens with its adapter."""

    def engine() -> TextEngine:
        if task.engine is not None:
            return Borrowed(task.engine)
        return opener(params, task.inputs.get("adapter"))

    return JournalledEngine(
        engine,
        task,
        name,
        max_failed=params.max_failed,
        max_refused=max_refused,
        unit=unit,
        price=params.money,
    )


class JournalledEngine:
    """A :class:`TextEngine` with memory; the engine behind it opens at the first new request."""

    def __init__(
        self,
        open_engine: Callable[[], TextEngine],
        task: Task,
        name: str = "calls",
        *,
        max_failed: float = MAX_FAILED,
        max_refused: float = 1.0,
        unit: str = "",
        price: Price = lambda _read, _written: 0.0,
    ) -> None:
        """Keep the answers under ``name`` in the task's journal.

        Args:
            open_engine: Opens the engine; called once, and only if something is to be asked.
            task: Of the stage.
            name: Different for every engine of a stage.
            max_failed: See :class:`Failures`.
            max_refused: See :class:`Failures`.
            unit: What an answer is called in progress reports; no reports when empty.
            price: What tokens cost.
        """
        self.determinism: Determinism = "same_batch"
        self._open, self._task, self._name, self._unit = open_engine, task, name, unit
        self._failures, self._price = Failures(max_failed, max_refused), price
        self._engine: TextEngine | None = None
        self._steps = 0
        self._unsettled: dict[str, dict[str, Completion]] = {}
        self._asked: list[tuple[Request, Sampling, Completion]] = []
        self._fresh_tokens, self._fresh_seconds = 0, 0.0

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return one completion per request, in order.

        Raises:
            DependencyError: More requests failed than ``max_failed`` allows; all other answers
                are kept.
        """
        self._settle()
        answers: list[Completion] = []
        total = self._failures.asked + len(requests)
        for start in range(0, len(requests), STEP):
            batch = self._step(requests[start : start + STEP], sampling)
            answers += batch
            count(self._task.telemetry, batch, self._price)
            self._failures.add(batch)
            self._failures.check(total)
            if self._unit:
                self._task.progress.step(len(answers), len(requests), self._unit)
        if "calls" in self._task.outputs:
            asked = zip(requests, answers, strict=True)
            self._asked += [(request, sampling, answer) for request, answer in asked]
        return answers

    def _settle(self) -> None:
        """Keep the failures of earlier calls: later prompts depend on the stage's going on."""
        for name, answers in self._unsettled.items():
            self._task.journal.publish(name, dump_answers(answers))
        self._unsettled.clear()

    def _step(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        name = f"{self._name}-{self._steps:06d}"
        self._steps += 1
        keys = request_keys(requests, sampling)
        stored = load_answers(self._task.journal.read(name))
        answers = {key: stored[key] for key in keys if key in stored}
        missing = [
            (key, request)
            for key, request in zip(keys, requests, strict=True)
            if key not in answers
        ]
        if missing:
            self._ask(dict(missing), sampling, _Step(name, self._task.journal, answers))
            if any(answer.finish == "error" for answer in answers.values()):
                self._unsettled[name] = answers
        return [answers[key] for key in keys]

    def _ask(self, requests: Mapping[str, Request], sampling: Sampling, step: "_Step") -> None:
        """Ask for the requests and keep their answers, also those before an error or a stop."""
        engine = self._opened()
        started = time.monotonic()
        keys = {request.id: key for key, request in requests.items()}
        try:
            if isinstance(engine, AnswersOneByOne):
                completions = engine.generate_each(
                    list(requests.values()),
                    sampling,
                    lambda answer: step.add(keys[answer.id], answer),
                )
            else:
                completions = engine.generate(list(requests.values()), sampling)
            step.answers.update(zip(requests, completions, strict=True))
        finally:
            step.save()
        self._fresh_seconds += time.monotonic() - started
        self._fresh_tokens += sum(answer.tokens for answer in completions)

    def calls(self, parents: Callable[[str], tuple[str, ...] | None]) -> Iterator[ModelCall]:
        """Yield a row per call in the order asked; none in a stage without the output ``calls``.

        Args:
            parents: From the id of a request to the rows that its prompt shows; None leaves the
                call out.
        """
        for request, sampling, answer in self._asked:
            shown = parents(request.id)
            if shown is not None:
                yield model_call(request, shown, sampling, answer)

    def describe(self) -> dict[str, str]:
        """Return the engine's own description; the model loads for it."""
        return self._opened().describe()

    def end_phase(self) -> None:
        """Report what failed since the last phase, and count failures anew.

        Raises:
            DataError, DependencyError: See :meth:`Failures.check_end`.
        """
        failures = self._failures
        failures.check_end()
        if failures.reasons:
            missing = failures.asked - failures.answered
            self._task.progress.say(
                f"{missing} of {failures.asked} requests failed; {failures.most_often()}"
            )
        self._failures = Failures(failures.max_failed, failures.max_refused)

    def finish(self) -> None:
        """Free the model, end the last phase, and put the rate into the telemetry.

        Raises:
            DataError, DependencyError: See :meth:`end_phase`.
        """
        telemetry = self._task.telemetry
        if self._engine is not None:
            telemetry.setdefault("engines", {})[self._name] = self._engine.describe()
        self.close()
        self.end_phase()
        count(telemetry, [], self._price)
        fresh = {"fresh_tokens": self._fresh_tokens, "generation_seconds": self._fresh_seconds}
        add(telemetry, fresh)
        if telemetry["generation_seconds"] > 0:
            rate = telemetry["fresh_tokens"] / telemetry["generation_seconds"]
            telemetry["new_tokens_per_second"] = rate

    def close(self) -> None:
        """Free the model."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _opened(self) -> TextEngine:
        if self._engine is None:
            self._engine = self._open()
            self.determinism = self._engine.determinism
        return self._engine


class _Step:
    """The answers of one step, saved now and then while they arrive."""

    def __init__(self, name: str, journal: Journal, answers: dict[str, Completion]) -> None:
        self.answers = answers
        self._name, self._journal = name, journal
        self._saved, self._saved_at = len(answers), time.monotonic()

    def add(self, key: str, answer: Completion) -> None:
        self.answers[key] = answer
        if time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Publish the answers if there are new ones."""
        answered = {
            key: answer
            for key, answer in self.answers.items()
            if answer.finish != "error" or answer.unusable
        }
        if len(answered) > self._saved:
            self._journal.publish(self._name, dump_answers(answered))
        self._saved, self._saved_at = len(answered), time.monotonic()
