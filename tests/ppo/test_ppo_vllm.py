"""PPO whose actions come from the real vLLM; ``make test-vllm`` runs it in its own environment."""

import copy
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed here; make test-vllm runs this")

import torch
from tiny_ppo import StoppingParams, letter_share

from refine_af.contracts.errors import DependencyError, ParameterError
from refine_af.contracts.progress import StageProgress
from refine_af.engines.models import load_model, resolve_model
from refine_af.ppo.episodes import Prompt
from refine_af.ppo.params import PPOParams
from refine_af.ppo.policy import Policy
from refine_af.ppo.rollout import Action, RolloutEngine
from refine_af.ppo.trainer import train
from refine_af.ppo.transformers_rollout import TransformersRollout
from refine_af.ppo.vllm_rollout import VLLMRollout, VLLMServerRollout
from refine_af.storage.journal import MemoryJournal

pytestmark = pytest.mark.vllm

MODEL = "builtin:fixture"
PROMPTS = [
    Prompt(f"p{number}", f"Instruction: {text}\nInput:")
    for number, text in enumerate(["Sort the words.", "Count the letters.", "Reverse the list."])
]
SETTINGS = PPOParams(
    updates=3,
    episodes_per_update=12,
    minibatch=6,
    microbatch=6,
    epochs=2,
    learning_rate=2e-2,  # so large that single updates change greedy outputs
    warmup_updates=0,
    max_new_tokens=16,
    lora_rank=4,
    lora_alpha=16,
    max_kl=1e9,
)
GREEDY = SETTINGS.model_copy(update={"temperature": 0.01})  # vLLM takes no smaller one above 0


class Compared:
    """Acts through vLLM, and lets vLLM and transformers say greedily what they know of a policy."""

    def __init__(self, engine: RolloutEngine, greedy: RolloutEngine, plain: RolloutEngine) -> None:
        self.engine, self.greedy, self.plain = engine, greedy, plain
        self.seen: list[list[Action]] = []

    def act(
        self, policy: Policy, prompts: Sequence[Sequence[int]], seeds: Sequence[int]
    ) -> list[Action]:
        """Return sampled actions of the policy as it is now."""
        found = self.greedy.act(policy, prompts[:3], seeds[:3])
        plain = self.plain.act(policy, prompts[:3], seeds[:3])
        for prompt, one, other in zip(prompts, found, plain, strict=False):
            assert_same_choices(policy, prompt, one.tokens, other.tokens)
        self.seen.append(found)
        return self.engine.act(policy, prompts, seeds)


def assert_same_choices(
    policy: Policy, prompt: Sequence[int], one: Sequence[int], other: Sequence[int]
) -> None:
    """Where two greedy actions part, the policy as it is now must hold both tokens for equal.

    At a temperature of 0.01 a token that lies 0.1 below the best is drawn once in 22,000 times;
    nearer ones are drawn, and the two engines draw differently.
    """
    place = next((at for at, pair in enumerate(zip(one, other)) if pair[0] != pair[1]), None)  # noqa: B905
    if place is None:
        assert len(one) == len(other)
        return
    tokens = torch.tensor([[*prompt, *one[:place]]])
    with torch.no_grad():
        logits = policy.model(input_ids=tokens).logits[0, -1]
    near = logits[[one[place], other[place]]]
    assert logits.max() - near.min() < 0.1, (place, near.tolist(), float(logits.max()))


def train_with(rollout: Compared, output: Path) -> list[dict[str, float]]:
    model, tokenizer = load_model(MODEL)
    return train(
        Policy(model, SETTINGS, base_name=MODEL),
        tokenizer,
        PROMPTS,
        letter_share,
        SETTINGS,
        journal=MemoryJournal(),
        progress=StageProgress("train_ppo"),
        rollout=rollout,
        output=output,
    ).metrics


def assert_changing(rollout: Compared, rows: list[dict[str, float]]) -> None:
    assert len(rows) == len(rollout.seen) == 3
    assert abs(rows[0]["kl"]) < 1e-6  # the first actions are the start model's
    assert all(row["ratio_first"] == 0 for row in rows)  # old log-probabilities are the trainer's
    for before, after in zip(rollout.seen, rollout.seen[1:], strict=False):
        assert before != after


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> VLLMRollout:
    folder = tmp_path_factory.mktemp("adapters")
    _, tokenizer = load_model(MODEL)
    return VLLMRollout(resolve_model(MODEL), tokenizer, SETTINGS, folder, max_model_len=256)


def with_settings(engine: VLLMRollout, settings: PPOParams) -> VLLMRollout:
    """Return a rollout with another sampling on the same engine: a second one would not start."""
    other = copy.copy(engine)
    other._settings = settings
    return other


def test_a_changed_adapter_shows_in_the_next_actions(engine: VLLMRollout, tmp_path: Path) -> None:
    _, tokenizer = load_model(MODEL)
    greedy = with_settings(engine, GREEDY)
    rollout = Compared(engine, greedy, TransformersRollout(tokenizer, GREEDY))
    assert_changing(rollout, train_with(rollout, tmp_path / "out"))


def test_the_same_seed_draws_the_same_actions(engine: VLLMRollout) -> None:
    model, tokenizer = load_model(MODEL)
    policy = Policy(model, SETTINGS)
    rows = [tokenizer(prompt.text)["input_ids"] for prompt in PROMPTS]
    first = engine.act(policy, rows, [1, 2, 3])
    assert engine.act(policy, rows, [1, 2, 3]) == first
    assert engine.act(policy, rows[::-1], [3, 2, 1]) == first[::-1]
    assert engine.act(policy, rows, [4, 5, 6]) != first
    eos = tokenizer.eos_token_id
    for action in first:
        assert (action.tokens[-1] == eos) == (action.finish == "stop")


def test_stop_texts_end_actions_as_they_do_in_transformers(
    engine: VLLMRollout, tmp_path: Path
) -> None:
    model, tokenizer = load_model(MODEL)
    policy = Policy(model, SETTINGS)
    rows = [tokenizer(prompt.text)["input_ids"] for prompt in PROMPTS]
    stopping = StoppingParams.parse(GREEDY.model_dump()).ending(("e", "t"))
    found = [
        replace(action, logprobs=None)  # only an engine with weights of its own says them
        for action in with_settings(engine, stopping).act(policy, rows, [1, 2, 3])
    ]
    assert found == TransformersRollout(tokenizer, stopping).act(policy, rows, [1, 2, 3])
    assert any(action.tokens[-1] != tokenizer.eos_token_id for action in found)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(resolve_model(MODEL)), "--port", str(port), "--dtype", "float32"]
    command += ["--enforce-eager", "--max-model-len", "256", "--max-num-seqs", "16"]
    command += ["--max-num-batched-tokens", "4096", "--enable-lora", "--max-lora-rank", "8"]
    own = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_CPU_KVCACHE_SPACE": "1"}
    own |= {"VLLM_NO_USAGE_STATS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    process = subprocess.Popen(command, env=os.environ | own)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 300
        while True:
            assert process.poll() is None, "the server ended"
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()  # noqa: S310
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


def test_a_server_takes_each_new_adapter(server: str, tmp_path: Path) -> None:
    _, tokenizer = load_model(MODEL)
    sampled, greedy = (
        VLLMServerRollout(server, tokenizer, settings, tmp_path) for settings in (SETTINGS, GREEDY)
    )
    rollout = Compared(sampled, greedy, TransformersRollout(tokenizer, GREEDY))
    assert_changing(rollout, train_with(rollout, tmp_path / "out"))


def test_refusals(tmp_path: Path) -> None:
    _, tokenizer = load_model(MODEL)
    with pytest.raises(ParameterError, match="reloads an adapter after each update, and lora_rank"):
        PPOParams.parse({"rollout": "vllm", "lora_rank": 0})
    with pytest.raises(ParameterError, match="rollout_url is 'x'"):
        PPOParams.parse({"rollout": "vllm_server", "rollout_url": "x"})
    with pytest.raises(DependencyError, match=r"127\.0\.0\.1:9/v1/models does not answer"):
        VLLMServerRollout("http://127.0.0.1:9", tokenizer, SETTINGS, tmp_path)
