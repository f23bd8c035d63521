"""RLOO and GRPO through TRL's real trainers on the tiny model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_ppo import (
    PROMPTS,
    CentredShare,
    digests,
    letter_share,
    tiny_model,
    tiny_settings,
    tiny_tokenizer,
)

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.progress import StageProgress
from refine_af.ppo import critic_free
from refine_af.ppo.critic_free import Algorithm, train_critic_free
from refine_af.ppo.episodes import Episode, Feedback, Reward
from refine_af.ppo.params import PPOParams
from refine_af.ppo.result import EpisodeRow, PPOResult
from refine_af.ppo.schedule import prompts_of

FILE = "adapter_model.safetensors"
KINDS: tuple[Algorithm, ...] = ("rloo", "grpo")


def settings(**changes: Any) -> PPOParams:  # noqa: ANN401
    values = {"episodes_per_prompt": 2, "microbatch": 2, "updates": 3, "entropy_coefficient": 0.0}
    return tiny_settings(**(values | changes))


def trained(
    algorithm: Algorithm,
    output: Path,
    options: PPOParams,
    reward: Reward | None = None,
    told: list[tuple[int, Sequence[EpisodeRow]]] | None = None,
    generation: dict[str, object] | None = None,
) -> PPOResult:
    model = tiny_model()
    for name, value in (generation or {}).items():
        setattr(model.generation_config, name, value)
    return train_critic_free(
        model,
        tiny_tokenizer(),
        PROMPTS,
        reward or CentredShare(),
        options,
        algorithm=algorithm,
        progress=StageProgress("train_ppo"),
        output=output,
        base_name="tiny",
        on_update=lambda row, rows: (
            told.append((int(row["update"]), rows)) if told is not None else None
        ),
    )


@pytest.mark.parametrize("algorithm", KINDS)
def test_same_prompts_reward_and_outputs_as_ppo(algorithm: Algorithm, tmp_path: Path) -> None:
    seen: list[list[Episode]] = []
    scorer = CentredShare()

    def reward(episodes: Sequence[Episode]) -> list[Feedback]:
        seen.append(list(episodes))
        return scorer(episodes)

    options, told = settings(), list[tuple[int, Sequence[EpisodeRow]]]()
    result = trained(algorithm, tmp_path / "a", options, reward, told)
    assert len(seen) == len(result.metrics) == 3  # one call of the reward per update
    for update, episodes in enumerate(seen, start=1):
        wanted = [prompt.id for prompt in prompts_of(PROMPTS, update, options)[0]]
        assert [one.prompt_id for one in episodes] == wanted
    names = "update reward_mean reward_sd part_share_mean kl entropy length parseable clip_fraction"
    assert set(names.split()) <= result.metrics[0].keys()
    assert abs(result.metrics[0]["kl"]) < 1e-5  # the first rollout is the start model's
    assert [update for update, _ in told] == [1, 2, 3]
    for _, rows in told:
        groups = [rows[at : at + 2] for at in range(0, len(rows), 2)]
        for one, other in groups:
            assert one.prompt_id == other.prompt_id
            if one.total > other.total:
                assert one.advantage > 0 > other.advantage
    assert len(result.samples) == 24
    weights = load_file(tmp_path / "a" / "adapter_model.safetensors")
    assert any(tensor.abs().max() > 0 for name, tensor in weights.items() if "lora_B" in name)
    again = trained(algorithm, tmp_path / "b", options)
    assert again.metrics == result.metrics
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_random_model_learns_one_letter(algorithm: Algorithm, tmp_path: Path) -> None:
    options = settings(
        updates=20,
        episodes_per_update=32,
        episodes_per_prompt=8,
        minibatch=16,
        microbatch=16,
        learning_rate=3e-3,
        max_new_tokens=12,
        lora_rank=0,
        kl_coefficient=0.0,
    )
    rows = trained(algorithm, tmp_path, options, letter_share).metrics
    start = sum(row["reward_mean"] for row in rows[:3]) / 3
    end = sum(row["reward_mean"] for row in rows[-3:]) / 3
    assert end > 2 * start + 0.5, (start, end)
    assert (tmp_path / "config.json").is_file()


def test_the_reward_reads_what_stands_before_a_stop_text(tmp_path: Path) -> None:
    seen: list[Episode] = []

    def reward(episodes: Sequence[Episode]) -> list[Feedback]:
        seen.extend(episodes)
        return letter_share(episodes)

    trained("grpo", tmp_path, settings(stop=("a",), updates=1, max_new_tokens=40), reward)
    assert not any("a" in one.action for one in seen)
    assert "stop" in {one.finish for one in seen}


def test_what_cannot_be_shared_out_is_refused() -> None:
    with pytest.raises(ParameterError, match="episodes_per_prompt is 1; algorithm rloo compares"):
        settings(algorithm="rloo", episodes_per_prompt=1)
    with pytest.raises(ParameterError, match="minibatch is 4; for grpo it must be a multiple of"):
        settings(algorithm="grpo", microbatch=3)


def test_a_reward_that_is_not_finite_trains_nothing(tmp_path: Path) -> None:
    def reward(episodes: Sequence[Episode]) -> list[Feedback]:
        return [Feedback(float("nan"), {}, True) for _ in episodes]

    with pytest.raises(DataError, match="update 1, prompt"):
        trained("grpo", tmp_path / "out", settings(), reward)
    assert not (tmp_path / "out").exists()


def test_training_stops_when_the_policy_has_gone_too_far(tmp_path: Path) -> None:
    options = settings(learning_rate=5e-2, warmup_updates=0, max_kl=0.2, updates=6)
    result = trained("rloo", tmp_path, options)
    assert len(result.metrics) < 6
    assert "exceeds max_kl 0.2" in result.stopped


@pytest.mark.parametrize("algorithm", KINDS)
def test_large_activations_are_recomputed_with_the_same_result(
    algorithm: Algorithm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRL's trainers kept all activations of every layer, whatever the model's size."""
    given: list[bool] = []
    original = critic_free.TRAINERS[algorithm][1]

    def configuration(**values: Any) -> Any:  # noqa: ANN401
        given.append(values["gradient_checkpointing"])
        return original(**values)

    kind = critic_free.TRAINERS[algorithm][0]
    monkeypatch.setitem(critic_free.TRAINERS, algorithm, (kind, configuration))
    plain = trained(algorithm, tmp_path / "plain", settings(updates=1))
    monkeypatch.setattr("refine_af.ppo.activations.RECOMPUTE_ABOVE", 1.0)
    twice = trained(algorithm, tmp_path / "twice", settings(updates=1))
    assert given == [False, True]
    assert plain.metrics == twice.metrics
    first, second = (load_file(tmp_path / name / FILE) for name in ("plain", "twice"))
    assert first.keys() == second.keys()
    for name, weight in first.items():
        torch.testing.assert_close(weight, second[name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("algorithm", KINDS)
@pytest.mark.parametrize(
    "own",
    [
        {"min_p": 1.0},
        {"typical_p": 0.1},
        {"no_repeat_ngram_size": 1},
        {"top_p": 0.1, "top_k": 1, "repetition_penalty": 5.0},
    ],
    ids=lambda own: next(iter(own)),
)
def test_a_models_generation_config_truncates_no_rollout(
    algorithm: Algorithm, own: dict[str, object], tmp_path: Path
) -> None:
    options = settings(updates=1, lora_rank=0, kl_coefficient=0.0)  # no reference to load
    plain = trained(algorithm, tmp_path / "plain", options)
    theirs = trained(algorithm, tmp_path / "theirs", options, generation=own)
    assert plain.samples == theirs.samples
    kept = json.loads((tmp_path / "theirs" / "generation_config.json").read_text())
    assert own.items() <= kept.items()
