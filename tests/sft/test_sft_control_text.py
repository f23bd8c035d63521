"""Control tokens named in rows stay text, and what is tuned learns, obeys and saves its ends."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_sft import material

from refine_af.contracts.progress import StageProgress
from refine_af.contracts.records import Instance
from refine_af.engines.text import Request, Sampling
from refine_af.engines.transformers_text import TransformersText
from refine_af.sft.base_model import load_tokenizer, save_merged
from refine_af.sft.encoding import encode
from refine_af.sft.params import SFTParams, Template
from refine_af.sft.run import fine_tune
from refine_af.sft.templates import training_text
from refine_af.storage.journal import MemoryJournal

IM_END, END, BEGIN = "<|im_end|>", "<|endoftext|>", "<s>"
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
BARE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
QUESTION = "{% if add_generation_prompt %}assistant: {% endif %}"


def save_model(folder: Path, template: str | None) -> Path:
    """Write a random Llama; its end is ``<|endoftext|>``, ChatML's end of turn another token."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = [END, "<|im_start|>", IM_END, BEGIN, "</s>"]
    words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *special]
    core = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(special)
    core.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, core.token_to_id(BEGIN))]
    )
    kind: Any = PreTrainedTokenizerFast
    tokenizer = kind(tokenizer_object=core, bos_token=BEGIN, eos_token=END, pad_token=END)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = LlamaConfig(
        vocab_size=len(words),
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        **sizes,
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        lm: Any = LlamaForCausalLM
        lm(config).save_pretrained(folder)
    return folder


def row(output: str, instruction: str = "Strike out the old price in HTML.") -> Instance:
    return Instance.make("ins-0", instruction, "", output, is_classification=False, sample=0)


HTML = row("Use <s>9 euro</s> 7 euro.")


@pytest.mark.parametrize("template", ["plain", "alpaca", "mix", "chat"])
@pytest.mark.parametrize("mark", [END, "<|im_start|>", IM_END, BEGIN, "</s>"])
def test_every_control_name_in_a_row_is_trained_as_text(
    tmp_path: Path, template: Template, mark: str
) -> None:
    tokenizer: Any = load_tokenizer(str(save_model(tmp_path, CHATML)))

    def control(word: str) -> list[int]:
        given = Instance.make(
            "i",
            f"Say {word}.",
            f"in {word}",
            f"{word} out {word}",
            is_classification=False,
            sample=0,
        )
        [example] = encode([training_text(given, template, 1, tokenizer)], tokenizer)
        special = set(tokenizer.all_special_ids)
        found = example.tokens.tolist()
        assert tokenizer.decode(found).count(f"{word} out {word}") == 1
        return [one for one in found if one in special]

    assert control(mark) == control("word")


def test_a_chat_answer_is_trained_to_end_its_turn(tmp_path: Path) -> None:
    tokenizer: Any = load_tokenizer(str(save_model(tmp_path, CHATML)))
    [example] = encode([training_text(HTML, "chat", 1, tokenizer)], tokenizer)
    answer = example.tokens[example.prompt_tokens :].tolist()
    assert tokenizer.decode(answer) == f"Use <s>9 euro</s> 7 euro.{IM_END}\n"
    assert answer.count(tokenizer.convert_tokens_to_ids(IM_END)) == 1


def test_a_template_without_an_end_of_turn_gets_the_end_token(tmp_path: Path) -> None:
    tokenizer: Any = load_tokenizer(str(save_model(tmp_path, BARE + QUESTION)))
    [example] = encode([training_text(HTML, "chat", 1, tokenizer)], tokenizer)
    assert tokenizer.decode(example.tokens.tolist()).endswith(f"7 euro.\n{END}")


def tune(base: Path, folder: Path, rows: list[Instance], **changes: Any) -> Path:  # noqa: ANN401
    scratch = folder / "scratch"
    scratch.mkdir()
    settings: dict[str, Any] = {
        "batch_size": 2,
        "learning_rate": 0.01,
        "max_steps": 80,
        "lora_dropout": 0.0,
        "max_length": 200,
        "checkpoint_steps": 0,
        "device": "cpu",
    }
    fine_tune(
        material(instances=rows),
        SFTParams(**settings | changes),
        str(base),
        folder / "tuned",
        journal=MemoryJournal(),
        progress=StageProgress("train_sft"),
        scratch=scratch,
    )
    return folder / "tuned"


@pytest.mark.parametrize("template", ["plain", "chat"])
def test_a_row_of_html_is_learned_and_its_answer_ends(tmp_path: Path, template: Template) -> None:
    base = save_model(tmp_path / "base", CHATML)
    other = row("Rhine, Danube, Loire.", "Name three rivers of Europe.")
    tuned = tune(base, tmp_path, [HTML, other], template=template, method="full")
    tokenizer: Any = load_tokenizer(str(tuned))
    ends = json.loads((tuned / "generation_config.json").read_text())["eos_token_id"]
    assert ends == sorted(map(tokenizer.convert_tokens_to_ids, (END, IM_END)))
    engine = TransformersText(str(tuned), chat=template == "chat")
    prompt = training_text(HTML, template, 1, tokenizer).prompt
    asked = HTML.instruction if template == "chat" else prompt
    [answer] = engine.generate([Request("1", asked, 1)], Sampling(max_tokens=60, temperature=0.0))
    assert answer.text.strip() == HTML.output
    assert answer.finish == "stop"


def test_an_adapter_and_a_merged_model_say_where_an_answer_ends(tmp_path: Path) -> None:
    base = save_model(tmp_path / "base", CHATML)
    adapter = tune(base, tmp_path, [HTML, HTML], template="chat", method="lora", max_steps=1)
    save_merged(str(base), adapter, tmp_path / "merged")
    for folder in (adapter, tmp_path / "merged"):
        config = json.loads((folder / "generation_config.json").read_text())
        assert len(config["eos_token_id"]) == 2
