"""The byte-level BPE tokenizer of the embedded models: any text comes back unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

PAD, EOS = "<pad>", "<eos>"
VOCAB_SIZE = 4096
FILE = "tokenizer.json"


def train(texts: Iterable[str], vocab_size: int = VOCAB_SIZE) -> Tokenizer:
    """Learn the merges from texts; all 256 bytes are in the vocabulary from the start."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, EOS],
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save_pretrained(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    """Write the files that ``AutoTokenizer.from_pretrained`` reads."""
    from transformers import PreTrainedTokenizerFast

    fast = cast(Any, PreTrainedTokenizerFast)(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=context,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    fast.save_pretrained(folder)
    # The class name that every version of transformers knows.
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"tokenizer_class": "PreTrainedTokenizerFast"}, indent=2))


def load(folder: Path) -> Tokenizer:
    """Load the tokenizer of an embedded model without transformers."""
    return Tokenizer.from_file(str(folder / FILE))


def build(folder: Path, documents: Iterable[str]) -> None:
    """Train the tokenizer on documents of the corpus and write its one file."""
    from refine_af.builtin import words

    lists = [value for value in vars(words).values() if isinstance(value, tuple)]
    tables = [value for value in vars(words).values() if isinstance(value, dict)]
    found = [w for value in lists for w in value if isinstance(w, str)]
    found += [w for t in tables for pair in t.items() for w in pair if isinstance(w, str)]
    # Words that only one small table holds would be too rare to become one token.
    boost = " ".join(["x", *sorted({w for w in found if w.isalpha()})])
    trained = train([*documents, *([boost] * 50)])
    folder.mkdir(parents=True, exist_ok=True)
    trained.save(str(folder / FILE))
