"""The ``openai`` text engine: any OpenAI-compatible endpoint, over plain aiohttp."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from urllib.parse import urlsplit

import aiohttp

from refine_af.contracts.errors import DependencyError, ParameterError
from refine_af.contracts.randomness import uniform
from refine_af.engines.openai_protocol import error_message, failed, path, payload, read_answer
from refine_af.engines.text import Completion, Determinism, Request, Sampling

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
DOWN_AFTER = 3
"""Requests given up one after the other, none succeeding between, that mean "it is down"."""

MOST_ANSWER_BYTES = 16 * 1024 * 1024
"""A longer answer is no completion of ours; reading on could exhaust the memory."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait and how often to try.

    Attributes:
        tries: Attempts per request.
        timeout: Seconds per attempt.
        first_wait: Seconds before the second attempt; doubled each time.
        longest_wait: Seconds between attempts, at most; also bounds ``Retry-After``.
    """

    tries: int = 7
    timeout: float = 300.0
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

    Requests that fail for a moment (429, 5xx, time-outs, broken connections) are repeated. One
    that the endpoint refuses or answers with rubbish becomes a completion with
    ``finish == "error"``. When three requests one after the other have used up their tries, the
    endpoint counts as down: one request that the server cannot bear does not end the others.
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
        patience: Patience | None = None,
    ) -> None:
        """Check the settings; nothing is sent yet.

        Args:
            model: The name that the endpoint knows.
            base_url: Such as ``http://localhost:8000/v1``.
            api_key_variable: Environment variable with the key; unset sends none.
            concurrency: Requests in flight.
            chat: Ask the chat endpoint, with the prompt as the user's turn.
            patience: Waits and tries.
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
        self._key_variable = api_key_variable
        self._concurrency = concurrency
        self._patience = patience or Patience()

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return one completion per request, in order.

        Raises:
            DependencyError: The endpoint is down, refuses the key, or does not know the model.
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
        found: dict[int, Completion] = {}
        places = iter(range(len(requests)))
        timeout = aiohttp.ClientTimeout(total=self._patience.timeout)
        connector = aiohttp.TCPConnector(limit=self._concurrency)
        async with aiohttp.ClientSession(
            headers=self._headers(), timeout=timeout, connector=connector
        ) as session:
            call = _Call(session, self, sampling, min(DOWN_AFTER, len(requests)))
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self._concurrency, len(requests))):
                        group.create_task(self._work(call, places, requests, found, on_answer))
            except* DependencyError as errors:
                raise errors.exceptions[0] from None
        return [found[place] for place in range(len(requests))]

    async def _work(
        self,
        call: "_Call",
        places: Iterator[int],
        requests: Sequence[Request],
        found: dict[int, Completion],
        on_answer: Callable[[Completion], None],
    ) -> None:
        for place in places:
            found[place] = await call.complete(requests[place])
            on_answer(found[place])

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self._key_variable, "") if self._key_variable else ""
        if key:
            headers["Authorization"] = f"Bearer {key}"
        return headers

    def describe(self) -> dict[str, str]:
        """Return engine, endpoint and model name; what serves it is the endpoint's secret."""
        return {
            "engine": "openai",
            "aiohttp": version("aiohttp"),
            "determinism": self.determinism,
            "base_url": self._base_url,
            "model": self._model,
            "chat": str(self._chat).lower(),
        }

    def close(self) -> None:
        """Nothing is held between calls."""


class _Call:
    """One call of ``generate``: the session, and how many requests were given up in a row."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        engine: OpenAIText,
        sampling: Sampling,
        down_after: int,
    ) -> None:
        self._session, self._engine, self._sampling = session, engine, sampling
        self._down_after = down_after
        self._url = engine._base_url + path(engine._chat)
        self._given_up = 0

    async def complete(self, request: Request) -> Completion:
        """Try until there is an answer, or the tries are used up."""
        patience = self._engine._patience
        body = payload(self._engine._model, request, self._sampling, self._engine._chat)
        last = _Again("")
        for attempt in range(patience.tries):
            outcome = await self._attempt(request, body)
            if isinstance(outcome, Completion):
                self._given_up = 0
                return outcome
            last = outcome
            if attempt + 1 < patience.tries:
                await asyncio.sleep(patience.wait(request.seed, attempt, last.wait))
        self._given_up += 1
        if self._given_up >= self._down_after:
            raise DependencyError(
                f"{self._url}: {self._given_up} requests in a row failed {patience.tries} times"
                f" each ({last.reason}); start the endpoint or correct base_url"
            )
        return failed(request, f"given up after {patience.tries} tries: {last.reason}")

    async def _attempt(self, request: Request, body: bytes) -> Completion | _Again:
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as response:
                raw = await _read(response)
                if raw is None:
                    return failed(request, f"the answer exceeds {MOST_ANSWER_BYTES} bytes")
                if response.status == 200:
                    return read_answer(raw, request, self._sampling)
                return self._refused(request, response, raw)
        except TimeoutError:
            return _Again(f"no answer within {self._engine._patience.timeout:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return _Again(f"{type(error).__name__}: {error}"[:300])

    def _refused(
        self, request: Request, response: aiohttp.ClientResponse, raw: bytes
    ) -> Completion | _Again:
        status = response.status
        said = f"status {status}: {error_message(raw)}"
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


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the body, or None when it is too long."""
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
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
