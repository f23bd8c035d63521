"""Half-precision models are trained in float32, and engines that round otherwise are corrected."""

import json
import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file
from test_ppo_update import ACTIONS, PROMPTS, SCORES
from tiny_ppo import tiny_model, tiny_settings, tiny_tokenizer

from refine_af.ppo.experience import experience, forward_outputs
from refine_af.ppo.losses import importance_weights, policy_loss
from refine_af.ppo.metrics import rollout_mismatch
from refine_af.ppo.padding import pad
from refine_af.ppo.policy import Policy
from refine_af.ppo.trained_model import save_trained
from refine_af.ppo.update import accumulate_gradient, make_optimizer
from refine_af.ppo.vllm_rollout import VLLMServerRollout


def half_policy(**changes: Any) -> Policy:  # noqa: ANN401
    return Policy(tiny_model(initializer_range=0.02).bfloat16(), tiny_settings(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"lora_rank": 4},
        {"lora_rank": 0},
        {"lora_rank": 0, "trained_weights": r"model\.norm\.weight"},
    ],
    ids=["adapter", "all", "some"],
)
def test_what_is_trained_of_a_bfloat16_model_is_float32(changes: dict[str, Any]) -> None:
    policy = half_policy(**changes)
    optimizer = make_optimizer(policy, tiny_settings())
    said = policy(pad([[3, 4], [5]], [[6, 7], [8, 1]]))
    (said.logprobs.sum() + said.values.sum()).backward()
    optimizer.step()
    assert {one.dtype for one in policy.trainable().values()} == {torch.float32}
    assert {one.grad.dtype for one in policy.trainable().values() if one.grad is not None} == {
        torch.float32
    }
    moments = [moment for state in optimizer.state.values() for moment in state.values()]
    assert {one.dtype for one in moments} == {torch.float32}


def test_small_steps_do_not_round_away() -> None:
    """Twenty steps of 1e-5 in one direction: in bfloat16 84 % of such weights would stay."""
    policy = half_policy(lora_rank=0)
    optimizer = make_optimizer(policy, tiny_settings(learning_rate=1e-5))
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"]
    before = {name: one.detach().clone() for name, one in policy.model.named_parameters()}
    for _ in range(20):
        for one in policy.trainable().values():
            one.grad = torch.ones_like(one)
        optimizer.step()
    for name, one in policy.model.named_parameters():
        moved = before[name] - one.detach()
        assert (moved / 2e-4).mean().item() == pytest.approx(1, abs=0.02), name
        assert (moved > 1e-4).float().mean().item() > 0.99, name


def test_the_start_policy_is_its_own_reference_in_half_precision() -> None:
    batch = pad([[3, 4], [5]], [[6, 7], [8, 1]])
    for rank in (0, 4):
        policy = half_policy(lora_rank=rank)
        with torch.no_grad():
            assert torch.equal(policy(batch).logprobs, policy.reference_logprobs(batch))


def test_a_whole_model_is_saved_in_the_precision_that_it_came_in(tmp_path: Path) -> None:
    policy = half_policy(lora_rank=0)
    save_trained(policy, tiny_tokenizer(), tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert {one.dtype for one in saved.values()} == {torch.bfloat16}
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
    names = {name.removeprefix("model.") for name, _ in policy.model.named_parameters()}
    assert {name.removeprefix("model.") for name in saved} == names


def test_importance_weights_by_hand() -> None:
    trained = torch.tensor([[-1.0, -2.0, -0.5]])
    acted = torch.tensor([[-1.0, -1.5, -3.0]])
    found = importance_weights(trained, acted, 2.0)
    torch.testing.assert_close(found, torch.tensor([[1.0, math.exp(-0.5), 2.0]]))
    assert importance_weights(trained, acted, 0.0).tolist() == [[1.0, 1.0, 1.0]]


def test_actions_of_another_engine_weigh_the_policy_loss_and_the_difference_is_reported() -> None:
    options = tiny_settings(minibatch=5, microbatch=5, entropy_coefficient=0.0)
    policy = Policy(tiny_model(), options)
    plain = forward_outputs(policy, PROMPTS, ACTIONS, 1, options)
    assert plain.acted is None
    said = [
        plain.logprobs[row, -len(action.tokens) :].tolist() for row, action in enumerate(ACTIONS)
    ]
    others = [
        replace(action, logprobs=tuple(value - 0.1 for value in row))
        for action, row in zip(ACTIONS, said, strict=True)
    ]
    outputs = forward_outputs(policy, PROMPTS, others, 1, options)
    known = experience(PROMPTS, others, outputs, SCORES, 0.1, options)
    same = experience(PROMPTS, ACTIONS, plain, SCORES, 0.1, options)
    assert known.weights is not None
    mask = outputs.mask
    torch.testing.assert_close(known.weights[mask], torch.full((int(mask.sum()),), math.exp(0.1)))
    weighed = accumulate_gradient(policy, known, range(5), options)["policy_loss"]
    expected = policy_loss(plain.logprobs, plain.logprobs, same.advantages, options.clip)[mask]
    assert weighed == pytest.approx(math.exp(0.1) * expected.sum().item(), abs=1e-5)
    row = rollout_mismatch(known)
    assert row["rollout_difference"] == pytest.approx(0.1, abs=1e-6)
    assert row["rollout_difference_max"] == pytest.approx(0.1, abs=1e-6)
    assert row["rollout_weight"] == pytest.approx(math.exp(0.1), abs=1e-5)
    assert rollout_mismatch(same) == {}


class _Server(BaseHTTPRequestHandler):
    """Answers as vLLM's server does, and keeps what it was asked."""

    asked: ClassVar[list[tuple[str, Any]]] = []

    def _answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._answer({"data": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body))
        choice = {
            "token_ids": [5, 1],
            "finish_reason": "stop",
            "logprobs": {"token_logprobs": [-0.5, -0.25]},
        }
        self._answer({"choices": [choice]})

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    _Server.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_a_server_is_told_every_sampling_setting(
    tmp_path: Path, server: str, temperature: float
) -> None:
    """What is left out would be taken from the model's generation_config."""
    settings = tiny_settings(temperature=temperature)
    rollout = VLLMServerRollout(server, tiny_tokenizer(), settings, tmp_path)
    (action,) = rollout.act(Policy(tiny_model(), settings), [[3, 4]], [7])
    body = next(body for path, body in _Server.asked if path == "/v1/completions")
    plain = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
    assert {name: body[name] for name in plain} == plain
    assert (body["presence_penalty"], body["frequency_penalty"]) == (0.0, 0.0)
    assert (body["temperature"], body["seed"]) == (temperature, 7)
    # The server tells log-probabilities of the untempered policy: of no use at 0.7.
    assert action.logprobs == ((-0.5, -0.25) if temperature == 1 else None)
