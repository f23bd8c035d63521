"""Heavy scorers through their real loading code, against straight one-row computations."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="model scorers need refine-af[train]")

import torch
from safetensors.torch import load_file, save_file
from tiny_models import (
    ROWS,
    save_chat_reward,
    save_language_model,
    save_openassistant,
    save_unieval,
)
from transformers import AutoTokenizer, GPT2LMHeadModel, T5ForConditionalGeneration
from transformers import Qwen3ForSequenceClassification as QwenReward

from refine_af.contracts.errors import DataError, DependencyError, ParameterError
from refine_af.engines.scorers.checkpoint import Loading
from refine_af.engines.scorers.language_model import LanguageModelScorer
from refine_af.engines.scorers.openassistant import OpenAssistantRewardModel, truncated
from refine_af.engines.scorers.reward_model import open_reward_model
from refine_af.engines.scorers.unieval import QUESTIONS, UniEval
from refine_af.feedback.interface import Parts, Scorer, Triplet
from refine_af.feedback.params import RewardParams


def parts_of(scorer: Scorer, rows: Sequence[Triplet]) -> list[Parts]:
    """Return the scores of rows that all have one."""
    return [parts for parts in scorer.score(rows) if isinstance(parts, dict)]


def _evaluating(model_class: Any, folder: Path) -> Any:  # noqa: ANN401  transformers is untyped
    return model_class.from_pretrained(folder).eval()


def test_openassistant_scores_equal_a_straight_run_of_its_published_form(tmp_path: Path) -> None:
    folder = save_openassistant(tmp_path / "rm", max_position=512)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = _evaluating(OpenAssistantRewardModel, folder)
    expected = []
    for row in ROWS:
        text = f"<|prompter|>{row.prompt}<|endoftext|><|assistant|>{row.output}<|endoftext|>"
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            hidden = model.gpt_neox(ids).last_hidden_state[0, -1]
            expected.append(float(hidden @ model.out_proj.weight[0] + model.out_proj.bias[0]))
    found = [parts["reward"] for parts in parts_of(open_reward_model(str(folder)), ROWS)]
    assert found == pytest.approx(expected, abs=1e-5)
    assert len({round(value, 3) for value in found}) == len(ROWS)


def test_openassistant_truncation_follows_the_training_collator() -> None:
    prompt, reply = list(range(400)), list(range(1000, 1010))
    assert truncated(prompt, reply, 300) == prompt[-290:] + reply
    assert truncated(prompt, list(range(1000, 1100)), 300) == prompt[-256:] + list(
        range(1000, 1044)
    )
    assert truncated([1], list(range(400)), 300) == [1, *range(44)]


def test_openassistant_refuses_weights_with_another_head(tmp_path: Path) -> None:
    folder = save_openassistant(tmp_path / "rm")
    weights = load_file(folder / "model.safetensors")
    weights["score.weight"] = weights.pop("out_proj.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"out_proj\.weight, which would be random"):
        open_reward_model(str(folder))


def test_a_language_model_is_refused_as_a_reward_model(tmp_path: Path) -> None:
    folder = save_language_model(tmp_path / "lm")
    with pytest.raises(DataError, match=r"score\.weight, which would be random"):
        open_reward_model(str(folder))


@pytest.mark.parametrize("pad", [True, False])
def test_chat_reward_equals_a_straight_run(tmp_path: Path, pad: bool) -> None:
    folder = save_chat_reward(tmp_path / "rm", pad=pad)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = _evaluating(QwenReward, folder)
    expected = []
    for row in ROWS:
        text = (
            f"<|im_start|>user\n{row.prompt}<|im_end|>\n"
            f"<|im_start|>assistant\n{row.output}<|im_end|>\n"
        )
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            hidden = model.model(ids).last_hidden_state[0, -1]
            expected.append(float(model.score(hidden)))
    found = [parts["reward"] for parts in parts_of(open_reward_model(str(folder)), ROWS)]
    assert found == pytest.approx(expected, abs=1e-5)


def test_chat_reward_cuts_the_prompt_before_the_answer(tmp_path: Path) -> None:
    scorer = open_reward_model(str(save_chat_reward(tmp_path / "rm")))
    long = Triplet("begin " + "water " * 500 + "end", "", "A seal.")
    twice = Triplet("other " + "water " * 600 + "end", "", "A seal.")
    changed = Triplet("begin " + "water " * 500 + "end", "", "A whale.")
    first, second, third = (parts["reward"] for parts in parts_of(scorer, [long, twice, changed]))
    assert first == pytest.approx(second, abs=1e-5)
    assert first != pytest.approx(third, abs=1e-3)
    huge = Triplet("Say it.", "", "whale " * 5000)
    assert parts_of(scorer, [huge]) == parts_of(scorer, [huge])


def test_chat_reward_refuses_two_labels_and_a_missing_template(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gives 2 numbers"):
        open_reward_model(str(save_chat_reward(tmp_path / "two", labels=2)))
    folder = save_chat_reward(tmp_path / "plain")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(DataError, match="no chat template"):
        open_reward_model(str(folder))


def test_unieval_asks_the_published_questions_word_for_word() -> None:
    texts = {name: text.format(response="R", history="H\n\n") for name, text in QUESTIONS.items()}
    assert texts["naturalness"] == (
        "question: Is this a natural response in the dialogue? </s> response: R"
    )
    assert texts["understandability"] == (
        "question: Is this an understandable response in the dialogue? </s> response: R"
    )
    assert texts["coherence"] == (
        "question: Is this a coherent response given the dialogue history?"
        " </s> response: R </s> dialogue history: H\n\n"
    )


def test_unieval_equals_yes_over_yes_plus_no_after_the_original_code(tmp_path: Path) -> None:
    folder = save_unieval(tmp_path / "unieval-dialog")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = _evaluating(T5ForConditionalGeneration, folder)
    yes, no = (tokenizer(word)["input_ids"][0] for word in ("Yes", "No"))
    scorer = UniEval(str(folder))
    for row, parts in zip(ROWS, scorer.score(ROWS), strict=True):
        for dimension, found in parts.items():
            text = QUESTIONS[dimension].format(response=row.output, history=row.prompt + "\n\n")
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
            # As the original: a label of one token, shifted right inside the model.
            label = tokenizer("No", return_tensors="pt")["input_ids"][:, :1]
            with torch.no_grad():
                chances = model(input_ids=ids, labels=label).logits[0, 0].softmax(-1)
            assert found == pytest.approx(float(chances[yes] / (chances[yes] + chances[no])))


@pytest.mark.parametrize(
    "name", ["MingZhong/unieval-sum", "/models/my-unieval-sum", "unieval-fact"]
)
def test_unieval_refuses_the_models_of_other_tasks(name: str) -> None:
    with pytest.raises(ParameterError, match="MingZhong/unieval-dialog"):
        RewardParams.parse({"unieval": name})


def test_language_model_parts_equal_a_token_by_token_sum(tmp_path: Path) -> None:
    folder = save_language_model(tmp_path / "lm")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = _evaluating(GPT2LMHeadModel, folder)

    def mean_log_prob(head: list[int], answer: list[int]) -> float:
        ids, total = [tokenizer.eos_token_id, *head], 0.0
        for token in answer:
            with torch.no_grad():
                total += float(model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)[token])
            ids.append(token)
        return total / len(answer)

    for row, parts in zip(ROWS, LanguageModelScorer(str(folder)).score(ROWS), strict=True):
        answer = tokenizer(row.output)["input_ids"][:63]
        prompt = tokenizer(row.prompt + "\n")["input_ids"]
        room = 63 - len(answer)
        given = mean_log_prob(prompt[-room:] if room else [], answer)
        alone = mean_log_prob([], answer)
        assert parts["perplexity"] == pytest.approx(torch.tensor(-given).exp().item(), rel=1e-4)
        assert parts["answer_perplexity"] == pytest.approx(
            torch.tensor(-alone).exp().item(), rel=1e-4
        )
        assert parts["ifd"] == pytest.approx(parts["perplexity"] / parts["answer_perplexity"])
        assert parts["pmi"] == pytest.approx(given - alone, abs=1e-4)


def _scorers(folder: Path, loading: Loading) -> list[Scorer]:
    return [
        open_reward_model(str(save_openassistant(folder / "oa", 512)), loading),
        open_reward_model(str(save_chat_reward(folder / "chat")), loading),
        UniEval(str(save_unieval(folder / "unieval")), loading),
        LanguageModelScorer(str(save_language_model(folder / "lm")), loading),
    ]


def test_scores_depend_on_neither_batch_size_nor_order_nor_company(tmp_path: Path) -> None:
    rows = [*ROWS, *ROWS[:2]]
    alone = _scorers(tmp_path / "1", Loading(batch_size=1))
    together = _scorers(tmp_path / "3", Loading(batch_size=3))
    for single, batched in zip(alone, together, strict=True):
        expected, backwards = single.score(rows), batched.score(rows[::-1])[::-1]
        for one, other in zip(expected, backwards, strict=True):
            assert other == pytest.approx(one, rel=1e-4, abs=1e-5)
        assert batched.score(rows) == batched.score(rows)


@pytest.mark.parametrize("mark", ["<|im_end|>", "<|im_start|>", "<|endoftext|>"])
def test_a_text_cannot_smuggle_a_control_token(tmp_path: Path, mark: str) -> None:
    folder = save_chat_reward(tmp_path / "rm")
    scorer: Any = open_reward_model(str(folder))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    control = set(tokenizer.all_special_ids)
    clean = scorer._encode(Triplet("Say yes.", "", "Yes"))
    dirty = scorer._encode(Triplet(f"Say {mark}yes.", "", f"Yes{mark}"))
    assert [one for one in dirty if one in control] == [one for one in clean if one in control]
    assert tokenizer.decode(dirty).count(mark) == tokenizer.decode(clean).count(mark) + 2


def test_unieval_reads_its_separator_in_a_text_as_text(tmp_path: Path) -> None:
    folder = save_unieval(tmp_path / "unieval-dialog")
    scorer: Any = UniEval(str(folder))
    end = AutoTokenizer.from_pretrained(folder).eos_token_id
    clean = scorer._questions(Triplet("Say yes.", "", "Yes"))
    dirty = scorer._questions(Triplet("Say </s> yes.", "", "Yes </s> or <pad> no"))
    assert [ids.count(end) for ids in dirty] == [ids.count(end) for ids in clean]


def test_pickled_weights_and_missing_folders_are_refused(tmp_path: Path) -> None:
    folder = save_unieval(tmp_path / "u")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(DependencyError, match=r"\.bin files are"):
        UniEval(str(folder))
    with pytest.raises(DependencyError, match=r"config\.json cannot be read"):
        open_reward_model(str(tmp_path / "nothing"))
