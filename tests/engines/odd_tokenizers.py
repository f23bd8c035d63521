"""Tokenizers of every kind that people's models have, tiny, with control tokens of every kind."""

from typing import Any

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

TEXT = [
    "Write <b>bold</b> and <s>struck</s> words in HTML, then explain the tags.",
    "def add(a, b):\n    return a + b  # a sum of two numbers",
    "0123456789 <|im_start|> <|endoftext|> [INST] user assistant system </s> <pad>",
]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CHATML_THINK = CHATML.replace(
    "{{ m['content'] }}",
    "{% if m['role'] == 'assistant' %}<think>\n\n</think>\n\n{% endif %}{{ m['content'] }}",
)
CHATML_OPENED = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
TRIMMED = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] | trim }} </s>"
    "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)
IM = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def _fast(core: Tokenizer, template: str | None = None, **fields: str) -> Any:  # noqa: ANN401
    kind: Any = PreTrainedTokenizerFast
    found = kind(tokenizer_object=core, **fields)
    found.chat_template = template
    return found


def _bytes(special: list[str], added: tuple[str, ...] = ()) -> Tokenizer:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(TEXT * 20, trainer)
    core.add_special_tokens(special)  # the trainer puts them into the vocabulary alone
    core.add_tokens([AddedToken(name, normalized=False) for name in added])
    return core


def _begin(core: Tokenizer, begin: str, end: str = "") -> Tokenizer:
    names = [name for name in (begin, end) if name]
    core.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}".strip(),
        special_tokens=[(name, core.token_to_id(name)) for name in names],
    )
    return core


def chatml(template: str = CHATML, end: str = "<|endoftext|>") -> Any:  # noqa: ANN401
    """As Qwen: the template's end of turn need not be the tokenizer's end."""
    return _fast(_bytes(IM, ("<think>", "</think>")), template, eos_token=end)


def llama() -> Any:  # noqa: ANN401
    """As LLaMA 2: SentencePiece's BPE with byte fallback; ``<s>`` stands in the vocabulary."""
    letters = sorted({letter for text in TEXT for letter in text.replace(" ", "\u2581")} - {"\n"})
    pieces = [*letters, "</", "s>", "<s", "\u2581<", "\u2581t", "he"]
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    vocabulary = {name: index for index, name in enumerate(dict.fromkeys(names))}
    merges = [("<", "/"), ("s", ">"), ("</", "s>"), ("<", "s"), ("<s", ">"), ("h", "e")]
    core = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)  # noqa: S106
    )
    core.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    core.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    core.add_special_tokens(["<unk>", "<s>", "</s>"])
    fields = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return _fast(_begin(core, "<s>"), TRIMMED, **fields)


def unigram() -> Any:  # noqa: ANN401
    """As T5: a Unigram vocabulary that holds ``</s>`` as a piece, behind a normaliser."""
    letters = sorted({letter for text in TEXT for letter in text.replace(" ", "\u2581")} - {"\n"})
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(letter, -9.0) for letter in letters] + [("\u2581the", -3.0)]
    core = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    core.normalizer = normalizers.NFKC()
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    core.add_special_tokens(["<pad>", "</s>", "<unk>"])
    core.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    fields = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return _fast(core, None, **fields)


def wordpiece() -> Any:  # noqa: ANN401
    """As BERT: lower case, words, ``[CLS]`` and ``[SEP]`` around a text."""
    words = sorted({word for text in TEXT for word in text.lower().split()})
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[", "]", *"abcdefghijklmnopqrstuvwxyz"]
    names += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"] + words
    vocabulary = {name: index for index, name in enumerate(dict.fromkeys(names))}
    core = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    core.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    fields = {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
    }
    return _fast(_begin(core, "[CLS]", "[SEP]"), None, **fields)


def stripping() -> Any:  # noqa: ANN401
    """As Phi-3: control tokens that take the blanks around them."""
    core = _bytes(["<s>", "</s>"])
    core.add_special_tokens(
        [AddedToken("<|end|>", rstrip=True), AddedToken("<|user|>", lstrip=True)]
    )
    template = (
        "{% for m in messages %}<|user|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|user|>\n{% endif %}"
    )
    return _fast(_begin(core, "<s>"), template, bos_token="<s>", eos_token="</s>")  # noqa: S106


def in_python() -> Any:  # noqa: ANN401
    """As ByT5: bytes, written in Python, so that there is no tokenizer.json."""
    kind: Any = ByT5Tokenizer
    found = kind(extra_ids=2)
    found.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    found.chat_template = CHATML
    return found


KINDS = {
    "chatml": chatml(),
    "think": chatml(CHATML_THINK, end="<|im_end|>"),
    "opened": chatml(CHATML_OPENED, end="<|im_end|>"),
    "llama": llama(),
    "unigram": unigram(),
    "wordpiece": wordpiece(),
    "stripping": stripping(),
    "in_python": in_python(),
}
