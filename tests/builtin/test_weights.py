"""The shipped files: tokenizer, weights, evaluation tasks, reward."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embedded_model import corpus, eval_tasks, measure, pretrain, tokenizer
from embedded_model.train_reward import area
from refine_af.builtin import EOS_ID, PAD_ID, PATHS, resolve
from refine_af.builtin.reward_model import INDICATORS, TinyReward
from refine_af.statistics import ranks, spearman

MODELS = ("fixture", "tiny")
MOST_BYTES = 32_000_000


@pytest.fixture(scope="module")
def fixture_model() -> measure.Generator:
    torch.set_num_threads(1)
    return measure.Generator(resolve("builtin:fixture"))


def test_unknown_names_are_refused_with_the_allowed_ones() -> None:
    with pytest.raises(ValueError, match="builtin:tiny, builtin:fixture"):
        resolve("builtin:small")
    with pytest.raises(ValueError, match="unknown"):
        resolve("tiny")


def test_all_embedded_files_stay_small() -> None:
    folder = PATHS["tiny"].parents[1]
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < MOST_BYTES


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=80))
def test_any_text_comes_back_from_the_tokenizer(name: str, text: str) -> None:
    found = tokenizer.load(PATHS[name])
    assert found.decode(found.encode(text).ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("name", MODELS)
def test_configuration_names_the_end_and_the_padding(name: str) -> None:
    config = json.loads((PATHS[name] / "config.json").read_text())
    assert config["eos_token_id"] == EOS_ID
    assert config["pad_token_id"] == PAD_ID
    assert config["max_position_embeddings"] == pretrain.CONTEXT
    assert config["hidden_size"] // config["num_attention_heads"] == 64
    assert config["model_type"] == "llama"


def test_checked_in_tasks_are_current() -> None:
    found = {path.stem: json.loads(path.read_text()) for path in PATHS["tasks"].glob("*.json")}
    assert found == eval_tasks.tasks()


def test_the_fixture_writes_instances(fixture_model: measure.Generator) -> None:
    rows = measure.sample_instances(fixture_model, 24, measure.Sampling(0.7), False)
    assert sum(row.pair is not None for row in rows) >= 12


def test_generation_repeats_with_its_seed(fixture_model: measure.Generator) -> None:
    prompts = ["Instruction: Odd or even?\n", "Instruction: Count up to 4.\nOutput:"]
    warm = measure.Sampling(1.0, new_tokens=12, seed=3)
    assert fixture_model.complete(prompts, warm) == fixture_model.complete(prompts, warm)


def test_blocks_hold_whole_documents_apart() -> None:
    found = next(corpus.blocks(tokenizer.load(PATHS["fixture"]), seed=0, length=320, size=4))
    again = next(corpus.blocks(tokenizer.load(PATHS["fixture"]), seed=0, length=320, size=4))
    assert (found.tokens == again.tokens).all()
    assert (found.document > 0).mean() > 0.9
    starts = found.position == 0
    assert ((found.document > 0) & starts).sum() == found.document.max(axis=1).sum()
    mask = pretrain.document_mask(torch.from_numpy(found.document))
    row = found.document[0]
    second = int((row == 2).argmax())
    assert mask[0, 0, second, second] == 0
    assert mask[0, 0, second, second - 1] < 0


def test_a_training_run_continues_where_it_was_stopped(tmp_path: Path) -> None:
    size = pretrain.Size(64, 1, 64)
    vocabulary = PATHS["fixture"]

    def trained(folder: Path, steps: int) -> pretrain.Training:
        plan = pretrain.Plan(0.0, steps=steps, batch=1, length=64)
        run = pretrain.Training(size, plan, folder, vocabulary, compiled=False)
        run.run(lambda line: None)
        return run

    first = trained(tmp_path / "a", 2)
    assert trained(tmp_path / "a", 3).step == 3
    again = trained(tmp_path / "b", 2)
    for left, right in zip(first.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(left, right)


def test_the_embedded_reward_scores_every_indicator() -> None:
    torch.set_num_threads(1)
    reward = TinyReward()
    rows = [
        ("Write the first word of the list.", "cat, dog, pear", "cat"),
        ("Write the first word of the list.", "cat, dog, pear", "x q wx the the the the"),
        ("Count up to 4.", "", "1, 2, 3, 4"),
        ("", "", ""),
    ]
    found = reward.score(rows)
    assert [tuple(row) for row in found] == [INDICATORS] * len(rows)
    for row in found:
        assert all(0.0 <= row[name] <= 1.0 for name in INDICATORS[:3])
    assert found[0]["reward"] > found[1]["reward"]
    assert reward.score(rows) == found
    assert reward.score([]) == []


def test_ranks_and_areas() -> None:
    assert ranks([3.0, 1.0, 3.0]) == [2.5, 1.0, 2.5]
    assert area(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0, 1.0])) == 1.0
    assert area(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0])) == 0.5
    assert spearman([1.0, 2.0, 3.0], [5.0, 6.0, 9.0]) == pytest.approx(1)
