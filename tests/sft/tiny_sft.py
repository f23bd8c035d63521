"""A random model with a byte tokenizer, and rows of our own, for the tests of this folder."""

from pathlib import Path
from typing import Any

from refine_af.contracts.records import Instance
from refine_af.sft.run import Material

END = "<|end|>"


def save_random_model(folder: Path, *, positions: int = 512, chat: bool = False) -> Path:
    """Write a Llama of about 30,000 random weights with a tokenizer of one token per byte."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), END]
    bare = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, []))
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    kind: Any = PreTrainedTokenizerFast
    tokenizer = kind(tokenizer_object=bare, eos_token=END, pad_token=END)
    if chat:
        tokenizer.chat_template = (
            "{% for m in messages %}[{{ m.role }}]{{ m.content }}"
            "{% if m.role == 'assistant' %}<|end|>{% endif %}{% endfor %}"
            "{% if add_generation_prompt %}[assistant]{% endif %}"
        )
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=positions,
        eos_token_id=len(words) - 1,
        pad_token_id=len(words) - 1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(7)
        lm: Any = LlamaForCausalLM
        lm(config).save_pretrained(folder)
    return folder


def instance(number: int, output: str = "", *, parent: str = "", sample: int = 0) -> Instance:
    """Return a row of our own; ``number`` decides instruction and input."""
    word = ("apple", "pear", "plum", "fig", "lime", "date")[number % 6]
    return Instance.make(
        parent or f"ins-{number}",
        f"Write the word {word} {number} times.",
        word if number % 2 else "",
        output or f"{word} {word}",
        is_classification=False,
        sample=sample,
    )


def material(**changes: Any) -> Material:  # noqa: ANN401
    """Return 24 rows of our own for an arm without others."""
    rows = [instance(number) for number in range(24)]
    known: dict[str, Any] = {
        "instances": rows,
        "others": [],
        "seeds": [],
    }
    return Material(**known | changes)
