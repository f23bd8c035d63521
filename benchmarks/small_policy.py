# ruff: noqa: S106  names of special tokens
"""A policy of two layers, taught a few of the embedded tasks: PPO on it costs seconds.

It is a real language model with a real tokenizer, saved as any other; only small. It writes what
the embedded model writes, ``Input: ...`` and ``Output: ...``, with the faults that any start model
has: some answers are broken off into words of other tasks, and some are followed by remarks.
Without that variety within a prompt there would be nothing that a reward could raise.
"""

import argparse
import tempfile
from pathlib import Path
from random import Random

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from refine_af.builtin.randomness import rng_for
from refine_af.builtin.skills.core import Skill, fill
from refine_af.builtin.skills.registry import TRAINED

WIDTH, LAYERS, BATCH, TASKS, ANSWERS = 96, 2, 48, 16, 200
SPECIAL = ("<unk>", "<pad>", "<eos>")
GARBLED = 0.15
"""Share of the answers that are words of other tasks in any order."""
REMARK = 0.3
"""Chance of a remark behind an answer, and of another one behind that."""
KEYWORD = "certainly"
"""A word of one remark in eight, hence of about one answer in twenty."""
REMARKS = (
    f"This is {KEYWORD} right.",
    "No more is needed.",
    "That follows from the text.",
    "I checked it twice.",
    "The rest does not matter.",
    "It could be put in other words.",
    "Here is the whole answer.",
    "We can stop there.",
)


def tasks() -> list[tuple[str, list[str]]]:
    """Return instructions, one each of some skills, with answers of each."""
    drawn = []
    for skill in rng_for(0, "small-policy").sample(TRAINED, TASKS):
        rng = rng_for(0, "small-policy", skill.name)
        slots = skill.draw_slots(rng)
        instruction = fill(skill.trained_templates[0], slots, rng)
        drawn.append((skill, slots, instruction))
    foreign = " ".join(instruction for _, _, instruction in drawn).split()
    found = []
    for skill, slots, instruction in drawn:
        rng = rng_for(0, "small-policy-answers", skill.name)
        answers = [_answer(skill, slots, rng, foreign) for _ in range(ANSWERS)]
        found.append((instruction, answers))
    return found


def _answer(skill: Skill, slots: dict[str, str], rng: Random, foreign: list[str]) -> str:
    text = skill.make_input(rng, slots)
    output = skill.right_output(rng, slots, text)
    if rng.random() < GARBLED:
        output = " ".join(rng.sample(foreign, rng.randint(4, 8)))
    while rng.random() < REMARK:
        output += " " + rng.choice(REMARKS)
    return f"Input: {text}\nOutput: {output}" if text else f"Output: {output}"


def teach(folder: Path, steps: int = 500) -> list[str]:
    """Save the taught model with its tokenizer to ``folder``; return its instructions.

    A folder that is there stays as it is. The same bytes come from the same number of threads.
    """
    known = tasks()
    if not folder.exists():
        rows = [(f"Instruction: {text}\n", answer) for text, answers in known for answer in answers]
        tokenizer = _tokenizer([prompt + answer for prompt, answer in rows])
        model = _model(len(tokenizer))
        _train(model, tokenizer, rows, steps)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as name:
            half = Path(name) / "policy"
            tokenizer.save_pretrained(half)
            model.save_pretrained(half)
            half.rename(folder)
    return [text for text, _ in known]


def _tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Return one token per word with the space before it."""
    split = pre_tokenizers.Split(Regex(r" ?\w+|\n| ?[^\w\s]"), "isolated")
    pieces = {piece for text in texts for piece, _ in split.pre_tokenize_str(text)}
    words = {word: number for number, word in enumerate([*SPECIAL, *sorted(pieces)])}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = split
    inner.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=inner, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )


def _model(vocabulary: int) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(  # type: ignore[no-untyped-call]
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=256,
            bos_token_id=None,
            eos_token_id=2,
            pad_token_id=1,
        )
    )


def _train(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rows: list[tuple[str, str]],
    steps: int,
) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    for step in range(steps):
        chosen = rng_for(0, "small-policy-step", str(step)).sample(rows, BATCH)
        pairs = [
            (tokenizer(a)["input_ids"], [*tokenizer(b)["input_ids"], tokenizer.eos_token_id])
            for a, b in chosen
        ]
        width = max(len(a) + len(b) for a, b in pairs)
        ids = torch.tensor([[*a, *b] + [1] * (width - len(a) - len(b)) for a, b in pairs])
        labels = torch.tensor(
            [[-100] * len(a) + b + [-100] * (width - len(a) - len(b)) for a, b in pairs]
        )
        loss = model(input_ids=ids, attention_mask=(ids != 1).long(), labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 50 == 49:
            print(f"teaching: step {step + 1}, loss {loss.item():.3f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    print(*teach(parser.parse_args().folder), sep="\n")
