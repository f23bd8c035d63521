"""Random tiny checkpoints of the scorers' architectures, saved as a trainer would save them."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForSequenceClassification,
    T5Config,
    T5ForConditionalGeneration,
)

from refine_af.engines.scorers.openassistant import OpenAssistantConfig, OpenAssistantRewardModel
from refine_af.feedback.interface import Triplet

CORPUS = [
    "question: Is this a natural response in the dialogue? response: Yes No",
    "Is this an understandable response? dialogue history: List three animals that live in water.",
    "Is this a coherent response given the dialogue history? A seal, a whale and a dolphin.",
]
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
)

ROWS = [
    Triplet("List three animals that live in water.", "", "A seal, a whale and a dolphin."),
    Triplet("Add the numbers.", "2 and 3", "5"),
    Triplet("Say yes.", "", "Yes. " * 12),
    Triplet("Is this coherent?", "water water", "No, it is not."),
]


def _saved(folder: Path, model_class: Any, config: Any, tokenizer: Any) -> Path:  # noqa: ANN401
    model_class(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def byte_tokenizer(special: list[str], eos: str) -> Any:  # noqa: ANN401  transformers is untyped
    """Return a byte-level BPE tokenizer: every text has ids and no unknown token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    fast: Any = PreTrainedTokenizerFast
    return fast(
        tokenizer_object=tokenizer,
        eos_token=eos,
        pad_token=special[0],
        extra_special_tokens=special,
    )


def save_openassistant(folder: Path, max_position: int = 64) -> Path:
    """Save a reward model of the OpenAssistant architecture."""
    torch.manual_seed(1)
    tokenizer = byte_tokenizer(
        ["<|padding|>", "<|endoftext|>", "<|prompter|>", "<|assistant|>"], "<|endoftext|>"
    )
    config = OpenAssistantConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=max_position,
        initializer_range=0.5,
    )
    return _saved(folder, OpenAssistantRewardModel, config, tokenizer)


def save_chat_reward(folder: Path, *, pad: bool = True, labels: int = 1) -> Path:
    """Save a Qwen3 sequence classifier with a chat template, as Skywork-Reward-V2 is."""
    torch.manual_seed(2)
    tokenizer = byte_tokenizer(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "<|im_end|>")
    tokenizer.chat_template = CHAT_TEMPLATE
    settings: dict[str, Any] = {"num_labels": labels}
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        intermediate_size=32,
        max_position_embeddings=512,
        initializer_range=0.5,
        pad_token_id=tokenizer.pad_token_id if pad else None,
        **settings,
    )
    return _saved(folder, Qwen3ForSequenceClassification, config, tokenizer)


def save_unieval(folder: Path) -> Path:
    """Save a T5 v1.1 with a word tokenizer that knows Yes, No and the separator."""
    torch.manual_seed(3)
    pad, end, unknown = "<pad>", "</s>", "<unk>"
    words = sorted({word for text in CORPUS for word in text.split()})
    vocabulary = {word: place for place, word in enumerate([pad, end, unknown, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer_class: Any = PreTrainedTokenizerFast
    fast = tokenizer_class(
        tokenizer_object=tokenizer,
        eos_token=end,
        pad_token=pad,
        unk_token=unknown,
    )
    settings: dict[str, Any] = {"tie_word_embeddings": False, "decoder_start_token_id": 0}
    config = T5Config(
        vocab_size=len(vocabulary),
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        initializer_factor=1.0,
        **settings,
    )
    return _saved(folder, T5ForConditionalGeneration, config, fast)


def save_language_model(folder: Path, context: int = 64) -> Path:
    """Save a GPT-2."""
    torch.manual_seed(4)
    tokenizer = byte_tokenizer(["<|endoftext|>"], "<|endoftext|>")
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=context,
        n_embd=16,
        n_layer=2,
        n_head=2,
        initializer_range=0.5,
    )
    return _saved(folder, GPT2LMHeadModel, config, tokenizer)
