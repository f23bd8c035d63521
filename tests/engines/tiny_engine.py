"""A random Llama of 0.1 M parameters and a byte-level tokenizer, made here in milliseconds."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END = 256


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, ids in the order of the byte-level alphabet; 256 is the end token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: place for place, piece in enumerate(alphabet)} | {"<end>": END}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.add_special_tokens(["<end>"])
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)  # type: ignore[no-untyped-call]
    tokenizer.eos_token = "<end>"  # noqa: S105
    return tokenizer


def random_llama(seed: int = 0, layers: int = 2, hidden: int = 32) -> LlamaForCausalLM:
    """Grouped key-value heads; the last norm is scaled up so that the next token is not uniform."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=257,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
        initializer_range=0.2,
        eos_token_id=END,
        bos_token_id=None,
        pad_token_id=None,
    )
    model: LlamaForCausalLM = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    model.generation_config.eos_token_id = END
    model.train(False)
    return model


def save(folder: Path, model: LlamaForCausalLM) -> str:
    """Write model and tokenizer as a user would have them; return the folder's name."""
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return str(folder)
