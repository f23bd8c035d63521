"""The ``openai`` text engine: any OpenAI-compatible endpoint, over plain aiohttp."""

import asyncio
import ipaddress
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from refine_af.contracts.errors import DependencyError, ParameterError
from refine_af.contracts.randomness import uniform
from refine_af.engines.openai_protocol import (
    UNPAID,
    Dialect,
    Kind,
    Unanswered,
    error_message,
    failed,
    is_unpaid,
    path,
    payload,
    read_answer,
    serves_vllm,
)
from refine_af.engines.text import Completion, Determinism, Request, Sampling
from refine_af.engines.thinking import in_thinking

RETRIED = frozenset({408, 409, 420, 425, 429, 499}) | frozenset(range(500, 600)) - {501, 505}
"""Status codes after which a request is repeated; proxies have their own above 509."""

DOWN_AFTER = 3
"""Consecutive requests given up, after which the endpoint counts as down."""

FIELD_REFUSED = frozenset({400, 422})
"""Status codes that may mean an unknown field, among other faults of a request."""

LIST_SECONDS = 10.0
"""Seconds that the endpoint's list of models may take."""

MOST_ANSWER_BYTES = 16 * 1024 * 1024
"""Larger responses are rejected, to bound memory."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait and how often to try.

    Attributes:
        tries: Attempts per request.
        timeout: Seconds per attempt.
        total: Seconds per request, all attempts and waits together. An endpoint that answered no
            request in that time counts as down.
        first_wait: Seconds before the second attempt; doubled each time.
        longest_wait: Seconds between attempts, at most; also bounds ``Retry-After``.
    """

    tries: int = 7
    timeout: float = 300.0
    total: float = 900.0
    first_wait: float = 0.5
    longest_wait: float = 60.0

    def wait(self, seed: int, attempt: int, asked: float) -> float:
        """Return the seconds before attempt ``attempt + 1``.

        Between half and all of the doubled time, by the request's seed, so that requests that
        failed together do not come back together; never less than the endpoint asked for.
        """
        most = min(self.longest_wait, self.first_wait * 2.0**attempt)
        own = most * (0.5 + 0.5 * uniform(seed, "back-off", attempt))
        return min(self.longest_wait, max(asked, own))


@dataclass(frozen=True, slots=True)
class _Again:
    """An attempt that may succeed later: why it failed, and the wait that was asked for."""

    reason: str
    wait: float = 0.0


class OpenAIText:
    """Writes completions through an endpoint: a vLLM server or a hosted one.

    Requests that fail for a moment (429, 5xx, an error or a page in the body, time-outs, broken
    connections) are repeated. One that is still not answered, or that the endpoint refuses,
    becomes a completion with ``finish == "error"``. When three requests one after the other have
    used up their tries, the endpoint counts as down: so one request that crashes the server does
    not end the others. Proxies of the environment are used, except for this machine itself.
    """

    determinism: Determinism = "none"

    def __init__(
        self,
        model: str,
        *,
        base_url: str,
        api_key_variable: str = "OPENAI_API_KEY",
        concurrency: int = 32,
        chat: bool = False,
        dialect: Kind = "auto",
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        """Check the settings; nothing is sent yet.

        Args:
            model: The name that the endpoint knows.
            base_url: Such as ``http://localhost:8000/v1``.
            api_key_variable: Environment variable with the key; unset sends none.
            concurrency: Requests in flight.
            chat: Ask the chat endpoint, with the prompt as the user's turn.
            dialect: Which fields the endpoint takes: ``vllm`` grammars and every sampling field,
                ``openai`` the standard ones; ``auto`` asks its list of models.
            retry_policy: Waits and tries.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ParameterError(f"base_url is {base_url!r}; give one such as http://HOST:8000/v1")
        if parts.username or parts.password:
            raise ParameterError(
                f"base_url holds a user or password; put the key into ${api_key_variable}"
            )
        if concurrency < 1:
            raise ParameterError(f"concurrency is {concurrency}; it must be at least 1")
        self._model, self._chat = model, chat
        self._base_url = base_url.rstrip("/")
        self._proxies = not _is_here(parts.hostname)
        self._key_variable = api_key_variable
        self._concurrency = concurrency
        self._retry_policy = retry_policy or RetryPolicy()
        self._dialect = None if dialect == "auto" else Dialect(dialect)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return one completion per request, in order.

        Raises:
            DependencyError: The endpoint is down, wants to be paid, refuses the key, or does not
                know the model.
        """
        return self.generate_each(requests, sampling, lambda _: None)

    def generate_each(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        on_answer: Callable[[Completion], None],
    ) -> list[Completion]:
        """Do as :meth:`generate`, and call ``on_answer`` with each completion as it arrives."""
        return asyncio.run(self._generate(requests, sampling, on_answer))

    async def _generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        on_answer: Callable[[Completion], None],
    ) -> list[Completion]:
        completions: dict[int, Completion] = {}
        indices = iter(range(len(requests)))
        timeout = aiohttp.ClientTimeout(total=self._retry_policy.timeout)
        connector = aiohttp.TCPConnector(limit=self._concurrency)
        async with aiohttp.ClientSession(
            headers=self._headers(),
            timeout=timeout,
            connector=connector,
            trust_env=self._proxies,
        ) as session:
            if self._dialect is None:
                self._dialect = await self._asked_dialect(session)
            call = _Call(session, self, self._dialect, sampling, min(DOWN_AFTER, len(requests)))
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self._concurrency, len(requests))):
                        group.create_task(
                            self._work(call, indices, requests, completions, on_answer)
                        )
            except* DependencyError as errors:
                raise errors.exceptions[0] from None
        return [completions[index] for index in range(len(requests))]

    async def _asked_dialect(self, session: aiohttp.ClientSession) -> Dialect:
        """Return what the endpoint's list of models says of it; the standard where it has none."""
        timeout = aiohttp.ClientTimeout(total=min(LIST_SECONDS, self._retry_policy.timeout))
        try:
            async with session.get(
                f"{self._base_url}/models", timeout=timeout, allow_redirects=False
            ) as response:
                raw = await _read(response) if response.status == 200 else None
        except (aiohttp.ClientError, OSError, TimeoutError):
            raw = None
        return Dialect("vllm" if raw is not None and serves_vllm(raw) else "openai")

    async def _work(
        self,
        call: "_Call",
        indices: Iterator[int],
        requests: Sequence[Request],
        completions: dict[int, Completion],
        on_answer: Callable[[Completion], None],
    ) -> None:
        for index in indices:
            completions[index] = await call.complete(requests[index])
            on_answer(completions[index])

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self._key_variable, "") if self._key_variable else ""
        if key:
            headers["Authorization"] = f"Bearer {key}"
        return headers

    def describe(self) -> dict[str, str]:
        """Return engine, endpoint and model name; what serves it is the endpoint's secret."""
        left_out = sorted(self._dialect.left_out) if self._dialect else []
        return {
            "engine": "openai",
            "aiohttp": version("aiohttp"),
            "determinism": self.determinism,
            "base_url": self._base_url,
            "model": self._model,
            "chat": str(self._chat).lower(),
            **({"refused_fields": ", ".join(left_out)} if left_out else {}),
        }

    def close(self) -> None:
        """Nothing is held between calls."""


class _Call:
    """One call of ``generate``: the session, and how many requests were given up in a row."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        engine: OpenAIText,
        dialect: Dialect,
        sampling: Sampling,
        down_after: int,
    ) -> None:
        self._session, self._engine, self._sampling = session, engine, sampling
        self._dialect = dialect
        self._down_after = down_after
        self._url = engine._base_url + path(engine._chat)
        self._given_up = 0
        self._answered_at = time.monotonic()

    async def complete(self, request: Request) -> Completion:
        """Try until there is an answer, or the tries or the time are used up."""
        retry_policy = self._engine._retry_policy
        started = time.monotonic()
        last, tries = _Again(""), 0
        for attempt in range(retry_policy.tries):
            left = retry_policy.total - (time.monotonic() - started)
            if left <= 0:
                break
            tries += 1
            outcome = await self._attempt(request, min(retry_policy.timeout, left))
            if isinstance(outcome, Completion):
                self._given_up, self._answered_at = 0, time.monotonic()
                return outcome
            last = outcome
            wait = retry_policy.wait(request.seed, attempt, last.wait)
            in_time = time.monotonic() - started + wait < retry_policy.total
            if attempt + 1 < retry_policy.tries and in_time:
                await asyncio.sleep(wait)
        return self._give_up(request, last.reason, tries, started)

    def _give_up(self, request: Request, reason: str, tries: int, started: float) -> Completion:
        self._given_up += 1
        silent = self._answered_at <= started and (
            time.monotonic() - started >= self._engine._retry_policy.total
        )
        if silent or self._given_up >= self._down_after:
            raise DependencyError(
                f"{self._url}: {self._given_up} requests in a row failed {tries} times"
                f" each ({reason}); start the endpoint or correct base_url"
            )
        return failed(request, f"given up after {tries} tries: {reason}")

    async def _attempt(self, request: Request, seconds: float) -> Completion | _Again:
        """Ask once, and again without the field that the endpoint refused, where it names one."""
        body = self._body(request, self._dialect)
        outcome, status, raw = await self._post(request, body, seconds)
        if status in FIELD_REFUSED:
            outcome = await self._with_fewer_fields(request, seconds, outcome, body, raw)
        if not self._dialect.local_stop and self._stopped_in_thought(outcome):
            self._dialect.local_stop = True
            outcome, _, _ = await self._post(request, self._body(request, self._dialect), seconds)
        return outcome

    async def _with_fewer_fields(
        self,
        request: Request,
        seconds: float,
        outcome: Completion | _Again,
        body: Mapping[str, Any],
        raw: bytes,
    ) -> Completion | _Again:
        """Ask without the fields that may have been refused; remember what helped."""
        trial, status = replace(self._dialect, left_out=set(self._dialect.left_out)), 400
        while status in FIELD_REFUSED and trial.learn(body, error_message(raw)):
            body = self._body(request, trial)
            outcome, status, raw = await self._post(request, body, seconds)
        if status == 200:  # otherwise the fields were not the reason
            self._dialect.left_out |= trial.left_out
            self._dialect.renamed |= trial.renamed
        return outcome

    def _body(self, request: Request, dialect: Dialect) -> dict[str, Any]:
        engine = self._engine
        return payload(engine._model, request, self._sampling, engine._chat, dialect)

    def _stopped_in_thought(self, outcome: Completion | _Again) -> bool:
        return (
            isinstance(outcome, Completion)
            and not outcome.text
            and outcome.finish == "stop"
            and bool(self._sampling.stop)
            and in_thinking(outcome.thinking)
        )

    async def _post(
        self, request: Request, body: Mapping[str, Any], seconds: float
    ) -> tuple[Completion | _Again, int, bytes]:
        """Return what one request brought, the status, and the body."""
        options: dict[str, Any] = {}
        if seconds < self._engine._retry_policy.timeout:  # the session's own
            options["timeout"] = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session.post(
                self._url, data=json.dumps(body).encode(), allow_redirects=False, **options
            ) as response:
                raw = await _read(response)
                if raw is None:
                    return failed(request, f"the answer exceeds {MOST_ANSWER_BYTES} bytes"), 0, b""
                if 200 <= response.status < 300:
                    return read_answer(raw, request, self._sampling), 200, raw
                return self._refused(request, response, raw), response.status, raw
        except Unanswered as error:
            if error.unpaid:
                raise self._unpaid(str(error)) from None
            return _Again(str(error)), 0, b""
        except TimeoutError:
            return _Again(f"no answer within {seconds:.3g} s"), 0, b""
        except (aiohttp.ClientError, OSError) as error:
            return _Again(f"{type(error).__name__}: {error}"[:300]), 0, b""

    def _refused(
        self, request: Request, response: aiohttp.ClientResponse, raw: bytes
    ) -> Completion | _Again:
        status = response.status
        said = f"status {status}: {error_message(raw)}"
        # with 429 servers say so of a limit by the minute too
        if status in UNPAID or is_unpaid(raw, in_words=status != 429):
            raise self._unpaid(said)
        if status in RETRIED:
            return _Again(said, retry_after(response.headers.get("Retry-After", "")))
        if status in (401, 403):
            raise DependencyError(
                f"{self._url}: {said}; set the key in ${self._engine._key_variable}"
            )
        if status == 404 or 300 <= status < 400:
            raise DependencyError(
                f"{self._url}: {said}; check base_url and the model {self._engine._model!r}"
            )
        return replace(failed(request, said), refused=400 <= status < 500)

    def _unpaid(self, said: str) -> DependencyError:
        return DependencyError(
            f"{self._url}: the account has no credit ({said}); pay and run again: what was answered"
            " is kept"
        )


def _is_here(host: str) -> bool:
    """Return whether a host is this machine, which is reached without a proxy."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the body, or None when it is too long."""
    chunks, size = [], 0
    while chunk := await response.content.readany():
        size += len(chunk)
        if size > MOST_ANSWER_BYTES:
            response.close()
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def retry_after(header: str) -> float:
    """Return the seconds of a ``Retry-After`` header (a number or a date); 0 for anything else."""
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return seconds if 0.0 < seconds < float("inf") else 0.0
