"""Rollouts through a stand-in for vLLM's server: what is asked, and where an action ends."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tiny_ppo import LETTERS, StoppingParams, tiny_model, tiny_settings
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from refine_af.ppo.policy import Policy
from refine_af.ppo.rollout import Action
from refine_af.ppo.vllm_rollout import PLAIN, VLLMServerRollout

WORDS = ["<unk>", "<eos>", *LETTERS, "<", ">", "/", "\n"]
END = 1


def letters() -> Any:  # noqa: ANN401
    """Return a tokenizer of one token per character, which can write think blocks."""
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.decoder = decoders.Fuse()
    kind: Any = PreTrainedTokenizerFast
    return kind(tokenizer_object=inner, eos_token="<eos>", unk_token="<unk>")  # noqa: S106


def ids(text: str) -> list[int]:
    return [WORDS.index(letter) for letter in text]


class _Server(BaseHTTPRequestHandler):
    """Writes on in ``script`` from where a prompt ends, as vLLM does with stop texts."""

    script: ClassVar[list[int]] = []
    prompt_size: ClassVar[int] = 0
    asked: ClassVar[list[dict[str, Any]]] = []

    def do_GET(self) -> None:
        """Know one model."""
        self._reply({"data": []})

    def do_POST(self) -> None:
        """Take an adapter, or write."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._reply(self._written(body) if self.path == "/v1/completions" else {})

    def _written(self, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(body)
        tokens: list[int] = []
        finish = "length"
        for token in self.script[len(body["prompt"]) - self.prompt_size :][: body["max_tokens"]]:
            tokens.append(token)
            text = "".join(WORDS[number] for number in tokens)
            if token in body["stop_token_ids"] or any(stop in text for stop in body["stop"] or ()):
                finish = "stop"
                break
        logprobs = {"token_logprobs": [-0.5 - len(self.asked)] * len(tokens)}
        choice = {"token_ids": tokens, "finish_reason": finish, "logprobs": logprobs}
        return {"choices": [choice]}

    def _reply(self, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    _Server.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def act(address: str, folder: Path, script: str, *, room: int = 64, end: bool = True) -> Action:
    """Return the action of a policy that writes ``script``."""
    prompt = ids("sort:")
    _Server.script, _Server.prompt_size = [*ids(script), *[END] * end], len(prompt)
    options = tiny_settings(max_new_tokens=room).model_dump()
    settings = StoppingParams.parse(options).ending(("\n\n",))
    rollout = VLLMServerRollout(address, letters(), settings, folder)
    policy = Policy(tiny_model(vocab_size=len(WORDS)), settings)
    [action] = rollout.act(policy, [prompt], [7])
    return action


THOUGHT = "<think>a b\n\nc</think>\n\n"


def test_a_stop_text_inside_a_think_block_ends_nothing(address: str, tmp_path: Path) -> None:
    action = act(address, tmp_path, THOUGHT + "an answer.\n\nmore")
    assert list(action.tokens) == ids(THOUGHT + "an answer.\n\n")
    assert action.finish == "stop"
    first, second = _Server.asked
    assert (first["stop"], second["stop"]) == (["\n\n"], None)
    assert first["max_tokens"] == 64
    thought = len(ids("<think>a b\n\n"))
    assert second["max_tokens"] == 64 - thought
    assert first["seed"] != second["seed"]
    if action.logprobs is not None:
        assert action.logprobs == (-1.5,) * thought + (-2.5,) * (len(action.tokens) - thought)


def test_the_end_token_ends_what_was_written_on(address: str, tmp_path: Path) -> None:
    action = act(address, tmp_path, THOUGHT + "an answer.")
    assert list(action.tokens) == [*ids(THOUGHT + "an answer."), END]
    assert action.finish == "stop"


def test_a_thought_without_room_behind_it_is_cut_off(address: str, tmp_path: Path) -> None:
    room = len("<think>a b\n\n")
    action = act(address, tmp_path, THOUGHT, room=room)
    assert (len(action.tokens), action.finish) == (room, "length")
    assert len(_Server.asked) == 1
    action = act(address, tmp_path, THOUGHT, room=room + 2)
    assert (len(action.tokens), action.finish) == (room + 2, "length")


def test_an_answer_without_a_thought_is_asked_for_once_and_plainly(
    address: str, tmp_path: Path
) -> None:
    action = act(address, tmp_path, "an answer.\n\nmore")
    assert list(action.tokens) == ids("an answer.\n\n")
    [asked] = _Server.asked
    assert {name: asked[name] for name in PLAIN} == PLAIN
    assert asked["stop_token_ids"] == [END]
