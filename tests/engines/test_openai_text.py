"""Against a real server on the loopback that misbehaves in every way that was thought of."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from refine_af.contracts.errors import DependencyError, ParameterError
from refine_af.engines import openai_text
from refine_af.engines.openai_protocol import read_choice
from refine_af.engines.openai_text import OpenAIText, RetryPolicy, retry_after
from refine_af.engines.opening import open_engine
from refine_af.engines.params import EngineParams
from refine_af.engines.text import Completion, Request, Sampling

Answer = Callable[["Server", dict[str, Any], web.Request], Awaitable[web.StreamResponse]]
QUICK = RetryPolicy(tries=4, timeout=0.5, first_wait=0.01, longest_wait=0.4)


class Server:
    """Answers by ``self.answer``; notes bodies, headers and how many requests run at once."""

    def __init__(self) -> None:
        self.answer: Answer = good
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.tries: Counter[str] = Counter()
        self.running = 0
        self.most_running = 0
        self.models: dict[str, Any] = {"data": []}
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._loop.run_forever()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/{kind:.*}", self._handle)
        app.router.add_post("/{kind:.*}", self._handle)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        self._ready.set()

    async def _models(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.models)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body | {"path": request.path})
        self.headers.append(dict(request.headers))
        self.tries[prompt(body)] += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return await self.answer(self, body, request)
        finally:
            self.running -= 1

    def stop(self) -> None:
        """End the server's thread."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def prompt(body: dict[str, Any]) -> str:
    return str(body["prompt"] if "prompt" in body else body["messages"][0]["content"])


def completion(text: object, reason: str = "stop") -> dict[str, Any]:
    return {
        "choices": [{"text": text, "finish_reason": reason}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2},
    }


async def good(server: Server, body: dict[str, Any], request: web.Request) -> web.StreamResponse:
    return web.json_response(completion(prompt(body).upper()))


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.stop()


def ask(server: Server, prompts: list[str], **settings: Any) -> list[Completion]:  # noqa: ANN401
    sampling = settings.pop("sampling", Sampling(max_tokens=9))
    engine = OpenAIText("m", base_url=server.url, retry_policy=QUICK, **settings)
    requests = [Request(f"id-{place}", text, place) for place, text in enumerate(prompts)]
    return engine.generate(requests, sampling)


def test_order_is_that_of_the_requests_whatever_comes_back_first(server: Server) -> None:
    async def slow_first(
        server: Server, body: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        await asyncio.sleep(0.3 if body["seed"] == 0 else 0.0)
        return await good(server, body, request)

    server.answer = slow_first
    found = ask(server, [f"p{place}" for place in range(50)], concurrency=8)
    assert [(one.id, one.text) for one in found] == [
        (f"id-{place}", f"P{place}") for place in range(50)
    ]
    assert {(one.finish, one.prompt_tokens, one.tokens) for one in found} == {("stop", 5, 2)}
    assert 2 <= server.most_running <= 8


def test_what_is_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret-1")
    sampling = Sampling(7, 0.5, 0.9, 1.5, ("a", "b", "c", "d", "e"))
    ask(server, ["hi"], sampling=sampling, api_key_variable="MY_KEY")
    assert server.bodies[0] == {
        "path": "/v1/completions",
        "model": "m",
        "prompt": "hi",
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "presence_penalty": 1.5,
        "stop": ["a", "b", "c", "d"],
        "seed": 0,
    }
    assert server.headers[0]["Authorization"] == "Bearer secret-1"
    monkeypatch.delenv("MY_KEY")
    ask(server, ["hi"], api_key_variable="MY_KEY")
    assert "Authorization" not in server.headers[1]


def test_chat_sends_a_turn_and_reads_a_message(server: Server) -> None:
    async def chat(
        server: Server, body: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        message = {"role": "assistant", "content": "hello"}
        return web.json_response({"choices": [{"message": message, "finish_reason": "length"}]})

    server.answer = chat
    found = ask(server, ["hi"], chat=True)[0]
    assert (found.text, found.finish, found.tokens) == ("hello", "length", 0)
    assert server.bodies[0]["path"] == "/v1/chat/completions"
    assert server.bodies[0]["messages"] == [{"role": "user", "content": "hi"}]


def test_stop_texts_beyond_the_fourth_are_cut_here(server: Server) -> None:
    async def long(
        server: Server, body: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        return web.json_response(completion("one END two", "length"))

    server.answer = long
    found = ask(server, ["x"], sampling=Sampling(stop=("1", "2", "3", "4", "END")))[0]
    assert (found.text, found.finish) == ("one ", "stop")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_momentary_failures_are_repeated(server: Server, status: int) -> None:
    async def twice_bad(
        server: Server, body: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        if server.tries[prompt(body)] < 3:
            return web.json_response({"error": {"message": "busy"}}, status=status)
        return await good(server, body, request)

    server.answer = twice_bad
    found = ask(server, ["a", "b", "c"])
    assert [one.text for one in found] == ["A", "B", "C"]
    assert set(server.tries.values()) == {3}


def test_time_outs_and_dropped_connections_are_repeated(server: Server) -> None:
    async def unreliable(
        server: Server, body: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        number = server.tries[prompt(body)]
        if number == 1:
            await asyncio.sleep(2)
        if number == 2:
            assert request.transport is not None
            request.transport.close()
        if number == 3:
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"choi')
            assert request.transport is not None
            request.transport.close()
            return response
        return await good(server, body, request)

    server.answer = unreliable
    found = ask(server, ["a", "b"])
    assert [one.text for one in found] == ["A", "B"]
    assert server.tries["a"] == 4


def test_retry_after_is_respected(server: Server) -> None:
    async def later(
        server: Server, body: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        if server.tries[prompt(body)] == 1:
            return web.Response(status=429, headers={"Retry-After": "0.3"})
        return await good(server, body, request)

    server.answer = later
    started = time.monotonic()
    assert ask(server, ["a"])[0].text == "A"
    assert time.monotonic() - started >= 0.3


def test_retry_after_forms() -> None:
    assert retry_after("2.5") == 2.5
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 28 <= retry_after(soon) <= 30
    past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    assert [retry_after(text) for text in ("", "soon", "-3", "nan", "inf", past)] == [0.0] * 6


def test_waits_double_with_jitter_and_are_bounded() -> None:
    retry_policy = RetryPolicy(first_wait=1.0, longest_wait=5.0)
    for attempt, most in enumerate([1.0, 2.0, 4.0, 5.0, 5.0]):
        waits = {retry_policy.wait(seed, attempt, 0.0) for seed in range(50)}
        assert len(waits) == 50
        assert all(most / 2 <= wait <= most for wait in waits)
    assert retry_policy.wait(1, 0, 4.0) == 4.0
    assert retry_policy.wait(1, 0, 999.0) == 5.0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"<html>502</html>", "not JSON"),
        (b'{"choices": [', "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "is list, not an object"),
        (b"null", "is NoneType, not an object"),
        (b'{"choices": []}', "without a list 'choices'"),
        (b'{"choices": [7]}', "without a list 'choices'"),
        (b'{"object": "error", "message": "model is loading"}', "model is loading"),
        (b'{"detail": "busy"}', "busy"),
        (b'{"error": {"message": "overloaded"}}', "overloaded"),
        (b'{"choices": [{"error": {"code": 502}, "text": ""}]}', "502"),
        (b'{"choices": [{"text": "a", "finish_reason": "error"}]}', "ended it with 'error'"),
        (b'{"choices": [{"text": "a", "finish_reason": "network_error"}]}', "network_error"),
        (b'{"choices": [{"text": "a", "finish_reason": "Timeout"}]}', "ended it with 'timeout'"),
        (
            b'{"choices": [{"text": "a", "finish_reason": "insufficient_system_resource"}]}',
            "insufficient_system_resource",
        ),
        (b'{"choices": [{"text": "a", "finish_reason": "rate_limited"}]}', "rate_limited"),
    ],
)
def test_rubbish_is_asked_again_and_then_a_failure(
    server: Server, body: bytes, reason: str
) -> None:
    async def rubbish(
        server: Server, value: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        if prompt(value) == "bad":
            return web.Response(body=body)
        return await good(server, value, request)

    server.answer = rubbish
    found = ask(server, ["a", "bad", "c"])
    assert [one.text for one in found] == ["A", "", "C"]
    assert found[1].finish == "error"
    assert reason in found[1].error
    assert not found[1].answered, "it may be asked in another run"
    assert server.tries["bad"] == QUICK.tries


NULL: dict[str, Any] = {"content": None}


@pytest.mark.parametrize(
    ("message", "word", "reason"),
    [
        (NULL, "stop", "no text"),
        ({}, "stop", "no text"),
        ({"content": 3}, "stop", "no text"),
        ({"content": []}, "stop", "no text"),
        ({"content": [{"type": "image_url"}]}, "stop", "no text"),
        (NULL | {"refusal": "I must not"}, "stop", "refused: I must not"),
        ({"content": [{"type": "refusal", "refusal": "no"}]}, "stop", "refused: no"),
        ({"content": "half"}, "content_filter", "content_filter"),
        ({"content": ""}, "SAFETY", "SAFETY"),
        ({"content": "half"}, "IMAGE_SAFETY", "IMAGE_SAFETY"),
        ({"content": "half"}, "sensitive", "sensitive"),
        ({"content": "half"}, "content_policy_violation", "content_policy_violation"),
    ],
)
def test_an_answer_that_is_none_is_final(
    server: Server, message: dict[str, Any], word: str, reason: str
) -> None:
    async def odd(
        server: Server, value: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        said = message if prompt(value) == "bad" else {"content": "fine"}
        stopped = word if prompt(value) == "bad" else "stop"
        return web.json_response({"choices": [{"message": said, "finish_reason": stopped}]})

    server.answer = odd
    found = ask(server, ["a", "bad", "c"], chat=True)
    assert [one.text for one in found] == ["fine", "", "fine"]
    assert (found[1].finish, found[1].unusable, found[1].answered) == ("error", True, True)
    assert reason in found[1].error
    assert server.tries["bad"] == 1


@pytest.mark.parametrize(
    ("content", "word", "text", "finish"),
    [
        ("hi", "stop", "hi", "stop"),
        ("hi", "eos_token", "hi", "stop"),
        ("hi", "eos", "hi", "stop"),
        ("hi", None, "hi", "stop"),
        ("hi", "", "hi", "stop"),
        ("hi", "end_turn", "hi", "stop"),
        ("hi", "stop_sequence", "hi", "stop"),
        ("hi", "STOP", "hi", "stop"),
        ("hi", "tool_calls", "hi", "stop"),
        ("hi", "a new word", "hi", "stop"),
        ("hi", 3, "hi", "stop"),
        ("hi", "length", "hi", "length"),
        ("hi", "max_tokens", "hi", "length"),
        ("hi", "MAX_TOKENS", "hi", "length"),
        ([{"type": "text", "text": "h"}, {"type": "text", "text": "i"}], "stop", "hi", "stop"),
        (["h", "i"], "stop", "hi", "stop"),
        ([{"type": "thinking", "thinking": "so"}, {"text": "hi"}], "stop", "hi", "stop"),
        ("a\ud800b", "stop", "a\ufffdb", "stop"),
        ("<think>\n\n</think>\n\nhi", "stop", "hi", "stop"),
        ("so it is</think>hi", "stop", "hi", "stop"),
        ("", "stop", "", "stop"),
    ],
)
def test_what_other_servers_write_is_read(
    server: Server, content: object, word: object, text: str, finish: str
) -> None:
    async def odd(
        server: Server, value: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        choice = {"message": {"content": content}, "finish_reason": word}
        return web.Response(body=json.dumps({"choices": [choice]}).encode())

    server.answer = odd
    [found] = ask(server, ["a"], chat=True)
    assert (found.text, found.finish) == (text, finish)


def test_reasoning_beside_the_answer_is_kept_apart(server: Server) -> None:
    async def odd(
        server: Server, value: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        cut = prompt(value) == "cut"
        message = {"content": None if cut else "hi", "reasoning_content": "so"}
        word = "length" if cut else "stop"
        return web.json_response({"choices": [{"message": message, "finish_reason": word}]})

    server.answer = odd
    found = ask(server, ["a", "cut"], chat=True)
    assert [(one.text, one.finish, one.thinking) for one in found] == [
        ("hi", "stop", "<think>so</think>"),
        ("", "length", "<think>so</think>"),
    ]


def test_a_stop_text_inside_a_think_block_is_asked_again_without_it(server: Server) -> None:
    async def thinks(
        server: Server, value: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        whole = "<think>a\n\nb</think>\n\nYes.\n\nMore"
        text = whole.split("\n\n")[0] if "stop" in value else whole
        return web.json_response(completion(text))

    server.answer = thinks
    found = ask(server, ["a", "b"], sampling=Sampling(stop=("\n\n",)), concurrency=1)
    assert [(one.text, one.finish) for one in found] == [("Yes.", "stop")] * 2
    assert len(server.bodies) == 3, "the second request is asked without it at once"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (402, {"error": {"message": "Insufficient balance"}}),
        (429, {"error": {"message": "quota", "code": "insufficient_quota"}}),
        (200, {"error": {"message": "credits", "code": 402}}),
    ],
)
def test_an_account_that_runs_dry_ends_the_call_and_keeps_what_came(
    server: Server, status: int, body: dict[str, Any]
) -> None:
    async def dry(
        server: Server, value: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        if sum(server.tries.values()) > 10:
            return web.json_response(body, status=status)
        return await good(server, value, request)

    server.answer = dry
    engine = OpenAIText("m", base_url=server.url, retry_policy=QUICK, concurrency=1)
    requests = [Request(f"id-{place}", f"p{place}", place) for place in range(30)]
    came: list[Completion] = []
    with pytest.raises(DependencyError, match=r"no credit .* pay and run again"):
        engine.generate_each(requests, Sampling(), came.append)
    assert len(came) == 10
    assert sum(server.tries.values()) == 11, "nothing more is asked for"


def test_a_hanging_endpoint_ends_within_the_stated_time(server: Server) -> None:
    async def hangs(
        server: Server, value: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        await asyncio.sleep(4)
        return await good(server, value, request)

    server.answer = hangs
    retry_policy = RetryPolicy(tries=9, timeout=0.5, total=1.2, first_wait=0.01, longest_wait=0.1)
    engine = OpenAIText("m", base_url=server.url, retry_policy=retry_policy, concurrency=1)
    started = time.monotonic()
    with pytest.raises(DependencyError, match="no answer within"):
        engine.generate([Request(f"{place}", "p", place) for place in range(9)], Sampling())
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("field", "sampling", "said"),
    [
        ("seed", Sampling(), "Extra inputs are not permitted: seed"),
        ("seed", Sampling(), "bad request"),
        ("response_format", Sampling(choices=("1", "2")), "response_format is not supported"),
        ("response_format", Sampling(json_schema='{"type": "object"}'), "unknown field"),
        ("max_tokens", Sampling(), "Use 'max_completion_tokens' instead of max_tokens"),
        ("presence_penalty", Sampling(), "presence_penalty is unknown"),
    ],
)
def test_a_refused_field_is_left_out_from_then_on(
    server: Server, field: str, sampling: Sampling, said: str
) -> None:
    async def strict(
        server: Server, value: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        if field in value:
            return web.json_response({"error": {"message": said}}, status=400)
        text = '{"a": 1}' if sampling.json_schema else "1"
        return web.json_response(
            {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
        )

    server.answer = strict
    engine = OpenAIText("m", base_url=server.url, chat=True, retry_policy=QUICK, concurrency=1)
    for place in range(3):
        [found] = engine.generate([Request("1", f"p{place}", 1)], sampling)
        assert found.finish == "stop"
    assert sum(field in body for body in server.bodies) == 1
    assert field in str(engine.describe()) or field == "max_tokens"


def test_a_request_that_is_itself_at_fault_teaches_nothing(server: Server) -> None:
    async def strict(
        server: Server, value: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        if prompt(value) == "long":
            return web.json_response({"error": {"message": "too long"}}, status=400)
        return await good(server, value, request)

    server.answer = strict
    found = ask(server, ["a", "long", "b"], concurrency=1)
    assert [one.refused for one in found] == [False, True, False]
    assert "seed" in server.bodies[-1]


def test_vllms_server_is_known_by_its_models_and_gets_every_field(server: Server) -> None:
    server.models = {"data": [{"id": "m", "owned_by": "vllm"}]}
    ask(server, ["a"])
    assert server.bodies[0]["top_k"] == -1
    assert server.bodies[0]["repetition_penalty"] == 1.0
    server.models = {"data": [{"id": "m", "owned_by": "openai"}]}
    ask(server, ["a"])
    assert "top_k" not in server.bodies[1]


def test_proxies_of_the_environment_are_used_but_for_this_machine(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxied: list[str] = []

    async def proxy(
        server: Server, value: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        proxied.append(str(request.url))
        return await good(server, value, request)

    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server.answer = proxy
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
    engine = OpenAIText(
        "m", base_url="http://models.example/v1", dialect="openai", retry_policy=QUICK
    )
    [found] = engine.generate([Request("1", "a", 1)], Sampling())
    assert found.text == "A"
    assert proxied == ["http://models.example/v1/completions"]
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert ask(server, ["a"])[0].text == "A"


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("1", "1"),
        (" 1.", "1"),
        ("**2**", "2"),
        ('"0"', "0"),
        ('{"answer": "1"}', "1"),
        ('```json\n{"answer": 2}\n```', "2"),
        ("2, because it is shorter.", "2"),
        ("Both are fine.\n\nAnswer: 0", "0"),
        ("I prefer answer 2", "2"),
        ("1 or 2", None),
        ("10", None),
        ("neither", None),
        ("", None),
    ],
)
def test_choices_are_read_leniently(text: str, choice: str | None) -> None:
    assert read_choice(text, ("1", "2", "0")) == choice


def test_words_are_choices_too() -> None:
    assert read_choice("Yes, it is.", ("Yes", "No")) == "Yes"
    assert read_choice(" no.", ("Yes", "No")) == "No"
    assert read_choice("Nothing", ("Yes", "No")) is None
    assert read_choice(" Yes", (" Yes", " No")) == " Yes"


def test_a_refused_request_is_a_row_and_others_go_on(server: Server) -> None:
    async def too_long(
        server: Server, body: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        if prompt(body) == "bad":
            error = {"error": {"message": "maximum context\x1b[31m is 2048"}}
            return web.json_response(error, status=400)
        return await good(server, body, request)

    server.answer = too_long
    found = ask(server, ["a", "bad"])
    assert found[1].error == "status 400: maximum context [31m is 2048"
    assert found[0].text == "A"


def test_a_row_that_never_succeeds_among_others_is_a_row(server: Server) -> None:
    async def one_bad(
        server: Server, body: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        if prompt(body) == "bad":
            return web.Response(status=500, text="boom")
        await asyncio.sleep(0.01)
        return await good(server, body, request)

    server.answer = one_bad
    found = ask(server, ["bad", *["x"] * 5], concurrency=1)
    assert found[0].finish == "error"
    assert "given up after 4 tries: status 500: boom" in found[0].error
    assert {one.text for one in found[1:]} == {"X"}


def test_an_endpoint_that_is_down_ends_soon_with_a_clear_error(server: Server) -> None:
    engine = OpenAIText("m", base_url="http://127.0.0.1:9/v1", retry_policy=QUICK)
    requests = [Request(str(place), "a", place) for place in range(500)]
    with pytest.raises(DependencyError, match="3 requests in a row failed 4 times") as caught:
        engine.generate(requests, Sampling())
    assert caught.value.retry_can_help

    async def down(
        server: Server, body: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        return web.Response(status=503, text="loading")

    server.answer = down
    with pytest.raises(DependencyError, match="status 503: loading"):
        ask(server, ["a"] * 2000, concurrency=8)
    assert len(server.bodies) < 100, "it does not try all 2,000"


@pytest.mark.parametrize(("status", "hint"), [(401, "OPENAI_API_KEY"), (404, "base_url")])
def test_a_wrong_key_or_model_ends_at_once(
    server: Server, status: int, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(
        server: Server, body: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        return web.json_response({"error": "no"}, status=status)

    monkeypatch.setenv("OPENAI_API_KEY", "very-secret")
    server.answer = refuse
    with pytest.raises(DependencyError, match=hint) as caught:
        ask(server, ["a"] * 20)
    assert "very-secret" not in str(caught.value)
    assert len(server.bodies) <= 32


def test_a_redirect_does_not_carry_the_key_away(server: Server) -> None:
    async def elsewhere(
        server: Server, body: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": server.url + "/other"})

    server.answer = elsewhere
    with pytest.raises(DependencyError, match="status 307"):
        ask(server, ["a"])
    assert all(body["path"] == "/v1/completions" for body in server.bodies)


def test_an_endless_answer_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_text, "MOST_ANSWER_BYTES", 100_000)

    async def endless(
        server: Server, body: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b" " * 10_000)
        return response

    server.answer = endless
    assert "exceeds 100000 bytes" in ask(server, ["a"])[0].error


def test_large_and_naughty_texts_come_through(server: Server) -> None:
    texts = ["x" * 100_000, "\x00\x07\x1b[2J", "\u2028\u202e\ufeff", "\U0001f600"]

    async def echo(
        server: Server, body: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        return web.json_response(completion(prompt(body)))

    server.answer = echo
    assert [one.text for one in ask(server, texts)] == texts


def test_choices_are_asked_for_and_checked(server: Server) -> None:
    async def parrot(
        server: Server, body: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        return web.json_response(completion(prompt(body)))

    server.answer = parrot
    found = ask(server, ["Yes", "Well"], sampling=Sampling(choices=("Yes", "No")), dialect="vllm")
    assert server.bodies[0]["structured_outputs"] == {"choice": ["Yes", "No"]}
    assert [one.finish for one in found] == ["stop", "error"]
    assert "did not hold to the choices: 'Well'" in found[1].error


SCHEMA = '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}'


@pytest.mark.parametrize("chat", [False, True])
def test_a_json_schema_goes_in_the_form_of_hosted_endpoints(server: Server, chat: bool) -> None:
    async def parrot(
        server: Server, body: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        reason = "length" if prompt(body) == '{"n": ' else "stop"
        message = {"content": prompt(body)}
        choice = {"message": message} if chat else {"text": prompt(body)}
        return web.json_response({"choices": [choice | {"finish_reason": reason}]})

    server.answer = parrot
    sampling = Sampling(json_schema=SCHEMA, stop=("n",))
    found = ask(server, ['{"n": 1}', "Surely: 1", '{"n": '], sampling=sampling, chat=chat)
    asked = next(body for body in server.bodies if prompt(body) == '{"n": 1}')
    assert asked["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": json.loads(SCHEMA), "strict": True},
    }
    assert "structured_outputs" not in asked
    assert "stop" not in asked, "it would cut the JSON"
    assert [(one.text, one.finish) for one in found] == [
        ('{"n": 1}', "stop"),
        ("", "error"),
        ('{"n": ', "length"),
    ]
    assert "did not hold to the JSON schema: 'Surely: 1'" in found[1].error


def test_a_pattern_is_asked_for_and_checked(server: Server) -> None:
    async def parrot(
        server: Server, body: dict[str, Any], request: web.Request
    ) -> web.StreamResponse:
        return web.json_response(completion(prompt(body)))

    server.answer = parrot
    pattern = Sampling(regex="[a-z]+[0-9]+")
    found = ask(server, ["ab12", "ab12 and more"], sampling=pattern, dialect="vllm")
    assert server.bodies[0]["structured_outputs"] == {"regex": "[a-z]+[0-9]+"}
    assert [(one.text, one.finish) for one in found] == [("ab12", "stop"), ("", "error")]
    assert "did not hold to the pattern: 'ab12 and more'" in found[1].error


def test_settings_are_checked_and_the_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("", "localhost:8000", "ftp://host/v1", "http:///v1"):
        with pytest.raises(ParameterError, match="base_url is"):
            OpenAIText("m", base_url=url)
    with pytest.raises(ParameterError, match="user or password"):
        OpenAIText("m", base_url="http://me:word@host/v1")
    with pytest.raises(ParameterError, match="concurrency is 0"):
        OpenAIText("m", base_url="http://host/v1", concurrency=0)
    monkeypatch.setenv("OPENAI_API_KEY", "very-secret")
    engine = open_engine(EngineParams(engine="openai", model="m", base_url="http://host/v1/"))
    assert "very-secret" not in str(engine.describe())
    assert engine.describe()["base_url"] == "http://host/v1"
    assert engine.determinism == "none"
    engine.close()


def test_nothing_to_ask(server: Server) -> None:
    assert ask(server, []) == []
    assert not server.bodies


def raw_body(*choices: dict[str, Any], **fields: Any) -> bytes:  # noqa: ANN401
    return json.dumps({"choices": list(choices)} | fields).encode()


FINE = {"text": "fine", "finish_reason": "stop"}
ODD_BODIES: dict[str, tuple[bytes, str, int, int]] = {
    "a stream": (
        b": ping\n\ndata: " + raw_body({"text": "fi", "finish_reason": None}) + b"\n\ndata: "
        + raw_body({"text": "ne", "finish_reason": "stop"}) + b"\n\ndata: [DONE]\n\n",
        "stop", 0, 0,
    ),
    "a stream of chat": (
        b'data: {"choices": [{"delta": {"role": "assistant"}}]}\n\n'
        b'data: {"choices": [{"delta": {"content": "fine"}}]}\n\n'
        b'data: {"choices": [{"delta": {}, "finish_reason": "length"}]}\n\n'
        b'data: {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 5}}\n\n',
        "length", 4, 5,
    ),
    "the only item of a list": (b"[" + raw_body(FINE) + b"]", "stop", 0, 0),
    "a message that is a text": (raw_body(FINE | {"text": None, "message": "fine"})
                                 .replace(b'"text": null, ', b""), "stop", 0, 0),
    "a huge integer": (raw_body(FINE, n=1).replace(b"1}", b"9" * 5000 + b"}"), "stop", 0, 0),
    "Latin 1 beside": (raw_body(FINE, a="xyz").replace(b"xyz", b"\xe9"), "stop", 0, 0),
    "max_output_tokens": (raw_body(FINE | {"finish_reason": "max_output_tokens"}), "length", 0, 0),
    "incomplete": (raw_body(FINE | {"finish_reason": "incomplete"}), "length", 0, 0),
    "window": (
        raw_body(FINE | {"finish_reason": "model_context_window_exceeded"}), "length", 0, 0,
    ),
    "counts that are none": (
        raw_body(FINE, usage={"prompt_tokens": True, "completion_tokens": -1}), "stop", 0, 0,
    ),
    "counts without an end": (
        raw_body(FINE, usage={"prompt_tokens": 10**18, "completion_tokens": 7}), "stop", 0, 7,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_BODIES)
def test_an_answer_in_an_odd_body_is_read(name: str, server: Server) -> None:
    body, finish, read, written = ODD_BODIES[name]

    async def answer(_: Server, __: dict[str, Any], ___: web.Request) -> web.Response:
        return web.Response(body=body)

    server.answer = answer
    [one] = ask(server, ["a"])
    assert (one.text, one.finish, one.prompt_tokens, one.tokens) == ("fine", finish, read, written)
    assert server.tries["a"] == 1


@pytest.mark.parametrize("status", [201, 206])
def test_an_answer_with_another_status_of_success_is_read(status: int, server: Server) -> None:
    async def answer(_: Server, __: dict[str, Any], ___: web.Request) -> web.Response:
        return web.json_response(completion("fine"), status=status)

    server.answer = answer
    assert ask(server, ["a"])[0].text == "fine"


@pytest.mark.parametrize("status", [202, 204, 420, 499, 507, 520, 522, 524, 530, 598])
def test_a_status_of_a_moment_is_repeated(status: int, server: Server) -> None:
    async def answer(server: Server, body: dict[str, Any], _: web.Request) -> web.Response:
        if server.tries[prompt(body)] == 1:
            return web.Response(status=status)
        return web.json_response(completion("fine"))

    server.answer = answer
    assert ask(server, ["a"])[0].text == "fine"
    assert server.tries["a"] == 2


@pytest.mark.parametrize(
    "body",
    [b'data: {"choices": [{"text": "fi", "finish_reason": null}]}\n\n', b"data: <html>\n\n",
     b'data: {"error": {"message": "busy"}}\n\n', b'[{"error": {"code": 500}}]'],
)  # fmt: skip
def test_a_stream_that_breaks_off_or_an_error_in_it_is_asked_again(
    body: bytes, server: Server
) -> None:
    async def answer(server: Server, asked: dict[str, Any], _: web.Request) -> web.Response:
        if server.tries[prompt(asked)] == 1:
            return web.Response(body=body)
        return web.json_response(completion("fine"))

    server.answer = answer
    assert ask(server, ["a"])[0].text == "fine"


@pytest.mark.parametrize(
    ("status", "message", "ends"),
    [
        (400, "Your credit balance is too low to access the API.", True),
        (403, "Insufficient Balance", True),
        (200, "out of credits", True),
        (429, "You exceeded your current quota, retry in 30 s; see billing", False),
        (400, "the prompt is too long", False),
    ],
)
def test_an_account_without_credit_is_known_by_words_too(
    status: int, message: str, ends: bool, server: Server
) -> None:
    async def answer(server: Server, body: dict[str, Any], _: web.Request) -> web.Response:
        if server.tries[prompt(body)] == 1:
            return web.json_response({"error": {"message": message}}, status=status)
        return web.json_response(completion("fine"))

    server.answer = answer
    if ends:
        with pytest.raises(DependencyError, match="no credit"):
            ask(server, ["a"])
    else:
        assert ask(server, ["a"])[0].finish in ("stop", "error")


@pytest.mark.parametrize(
    "body",
    [
        {"message": "Insufficient Balance", "status": 402},
        {"code": 402, "msg": "no money"},
        {"code": "insufficient_quota", "choices": []},
        {"errors": [{"message": "your credit balance is too low"}]},
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_an_account_without_credit_is_known_without_an_error_object(
    status: int, body: dict[str, Any], server: Server
) -> None:
    async def answer(server: Server, asked: dict[str, Any], _: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    server.answer = answer
    with pytest.raises(DependencyError, match="no credit"):
        ask(server, ["a"])
    assert server.tries["a"] == 1
