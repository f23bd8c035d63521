"""Model calls in journalled steps: a killed stage repeats at most one step of them."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any

from refine_af.contracts.errors import DataError, DependencyError
from refine_af.contracts.records import ModelCall, content_id
from refine_af.contracts.stage import Journal, Progress, Task
from refine_af.engines.text import Completion, Request, Sampling, TextEngine
from refine_af.self_instruct.readable import is_readable, readable
from refine_af.storage.digest import digest_bytes

STEP = 256
"""Requests per step. The steps' borders are fixed, so that a resumed run batches as a whole one."""

FORMS = ("json_schema", "regex")
"""Fields of a sampling that are kept with a call only where they are used."""

STEPS = "completions-"
"""How the names of the journalled steps begin."""

REMEDY = (
    "Asking again brings the same. Where a prompt is too long, set a smaller max_tokens, give"
    " shorter texts or fewer examples, or take a model with a longer context"
)
"""What helps where every request was refused."""

_values = attrgetter(*(item.name for item in fields(Completion)))
"""All fields, in their order: ``asdict`` takes ten times as long."""


def complete_in_steps(
    engine: TextEngine, requests: Sequence[Request], sampling: Sampling, task: Task
) -> list[Completion]:
    """Return one completion per request, in order, keeping each step in the journal."""
    found: list[Completion] = []
    started = time.monotonic()
    new_tokens = 0
    for start in range(0, len(requests), STEP):
        name = f"{STEPS}{start:09d}"
        stored = task.journal.read(name)
        if stored is not None:
            found += load_completions(stored)
        else:
            batch = engine.generate(requests[start : start + STEP], sampling)
            task.journal.publish(name, dump_completions(batch))
            new_tokens += sum(one.tokens for one in batch)
            found += batch
        task.progress.step(len(found), len(requests), "completions")
    record_engine(engine, task, found, new_tokens, time.monotonic() - started)
    return found


def refuse_silence(
    answers: Sequence[Completion],
    journal: Journal,
    progress: Progress | None = None,
    steps: str = STEPS,
) -> None:
    """Stop when no request at all was answered; say so when some were not.

    The rows of a run without one answer would only say the same reason again and again, and the
    next stages would work on nothing.

    Args:
        answers: All of one kind of request; nothing is said of none.
        journal: Of the stage. Steps whose names begin with ``steps`` are forgotten, so that a
            retry asks again.
        progress: Where single failures are counted.
        steps: See ``journal``.

    Raises:
        DataError: With the most frequent reason, when the requests themselves are at fault.
        DependencyError: Likewise, when a retry may be answered.
    """
    failed = [answer for answer in answers if answer.finish == "error"]
    if not failed:
        return
    [(reason, times)] = Counter(answer.error for answer in failed).most_common(1)
    why = f"most often ({times} of {len(failed)}): {readable(reason)}"
    if len(failed) < len(answers):
        if progress is not None:
            progress.say(f"{len(failed)} of {len(answers)} requests failed; {why}")
        return
    forget_failures(journal, steps)
    if all(answer.refused for answer in failed):
        raise DataError(f"none of {len(answers)} requests was accepted; {why}. {REMEDY}")
    raise DependencyError(
        f"none of {len(answers)} requests was answered; {why}. See to the engine, its model or"
        " its endpoint and run again: nothing was kept"
    )


def forget_failures(journal: Journal, steps: str = STEPS) -> None:
    """Discard the journalled steps that hold a failed completion, so that a retry asks again."""
    for name in journal.names(steps):
        stored = journal.read(name)
        if stored and any(one.finish == "error" for one in load_completions(stored)):
            journal.discard(name)


def record_engine(
    engine: TextEngine,
    task: Task,
    completions: Sequence[Completion],
    new_tokens: int,
    seconds: float,
) -> None:
    """Put engine, tokens and rate into the telemetry."""
    task.telemetry.update(
        {
            "engine": engine.describe(),
            "determinism": engine.determinism,
            "calls": len(completions),
            "prompt_tokens": sum(one.prompt_tokens for one in completions),
            "new_tokens": sum(one.tokens for one in completions),
            "new_tokens_per_second": new_tokens / seconds if seconds > 0 else 0.0,
        }
    )


def dump_completions(completions: Sequence[Completion]) -> bytes:
    """Return completions as JSON; ASCII, so that any text survives."""
    return json.dumps([_values(one) for one in completions]).encode()


def load_completions(data: bytes) -> list[Completion]:
    """Return the completions of :func:`dump_completions`."""
    values: list[list[Any]] = json.loads(data)
    found = [Completion(*one) for one in values]
    return [
        replace(one, choice_logprobs=tuple(one.choice_logprobs)) if one.choice_logprobs else one
        for one in found
    ]


def model_call(
    request: Request, parents: tuple[str, ...], sampling: Sampling, answer: Completion
) -> ModelCall:
    """Return what is kept of one call; ``parents`` are the rows that its prompt shows."""
    digest = digest_bytes(request.prompt.encode("utf-8", "surrogatepass"))
    intact = is_readable(answer.text)
    escaped = "" if intact else json.dumps(answer.text)
    return ModelCall(
        id=content_id("call", request.id, digest, request.seed, answer.text),
        parents=parents,
        request=request.id,
        prompt_digest=digest,
        seed=request.seed,
        sampling=_named(sampling),
        finish=answer.finish,
        prompt_tokens=answer.prompt_tokens,
        tokens=answer.tokens,
        text=answer.text if intact else readable(answer.text),
        escaped=escaped,
        error=readable(answer.error),
    )


@lru_cache(maxsize=16)
def _named(sampling: Sampling) -> dict[str, Any]:
    """Return the fields by name, of the grammars only one that is used.

    A run has one or two, and ``asdict`` copies them deeply.
    """
    return {name: value for name, value in asdict(sampling).items() if value or name not in FORMS}
