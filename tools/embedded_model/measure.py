"""Measurements of an embedded model: answers per skill, parseable share, copies, instructions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from embedded_model import render
from refine_af.builtin.examples import Example, draw_example, draw_instruction
from refine_af.builtin.gold import gold_score
from refine_af.builtin.randomness import rng_for
from refine_af.builtin.skills.core import Skill, normalise
from refine_af.builtin.skills.registry import HELD_OUT, TRAINED


@dataclass(frozen=True)
class Sampling:
    """How text is drawn; a temperature of 0 takes the likeliest token."""

    temperature: float = 0.0
    top_p: float = 1.0
    new_tokens: int = 64
    seed: int = 0


class Generator:
    """An embedded model with its tokenizer, for batches of prompts."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.device = device
        self.tokenizer = cast(Any, AutoTokenizer).from_pretrained(folder)
        self.model = cast(Any, AutoModelForCausalLM).from_pretrained(folder, dtype=torch.float32)
        self.model.to(device).eval()

    def complete(
        self, prompts: Sequence[str], sampling: Sampling, batch: int = 64
    ) -> list[tuple[str, bool]]:
        """Return for every prompt the new text and whether the end mark closed it."""
        torch.manual_seed(sampling.seed)
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        out: dict[int, tuple[str, bool]] = {}
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            found = self._batch([prompts[i] for i in chosen], sampling)
            out.update(zip(chosen, found, strict=True))
        return [out[i] for i in range(len(prompts))]

    @torch.inference_mode()
    def _batch(self, prompts: list[str], sampling: Sampling) -> list[tuple[str, bool]]:
        fed = self.tokenizer(prompts, return_tensors="pt", padding=True).to(self.device)
        warm = sampling.temperature > 0
        choice: dict[str, Any] = (
            {
                "do_sample": True,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": 0,
            }
            if warm
            else {"do_sample": False}
        )
        ids = self.model.generate(
            input_ids=fed["input_ids"],
            attention_mask=fed["attention_mask"],
            max_new_tokens=sampling.new_tokens,
            **choice,
        )
        new = ids[:, fed["input_ids"].shape[1] :]
        closed = (new == self.tokenizer.eos_token_id).any(dim=1).tolist()
        texts = self.tokenizer.batch_decode(new, skip_special_tokens=True)
        return list(zip(texts, closed, strict=True))


def held_out_examples(
    skills: Sequence[Skill], each: int, seed: int, wording_held_out: bool = True
) -> list[Example]:
    """Draw test instances, in held-out wordings unless told otherwise."""
    return [
        draw_example(rng_for(seed, "measure", skill.name, i), skill, wording_held_out)
        for skill in skills
        for i in range(each)
    ]


def majority_share(examples: Sequence[Example]) -> float:
    """Return the share of the commonest answer of the skill, the best constant guess."""
    counts = Counter(normalise(e.output).casefold() for e in examples)
    return counts.most_common(1)[0][1] / len(examples)


def answer_table(generator: Generator, examples: Sequence[Example]) -> dict[str, dict[str, float]]:
    """Answer greedily and count: per skill the exact share, the majority share and the number."""
    prompts = [render.instance_prompt(e.instruction, e.input) for e in examples]
    found = generator.complete(prompts, Sampling())
    right: dict[str, list[bool]] = {}
    for example, (text, _closed) in zip(examples, found, strict=True):
        good = example.skill.check(example.slots, example.input, text.strip())
        right.setdefault(example.skill.name, []).append(good)
    return {
        name: {
            "exact": sum(good) / len(good),
            "majority": majority_share([e for e in examples if e.skill.name == name]),
            "n": len(good),
        }
        for name, good in right.items()
    }


def mean_of(table: dict[str, dict[str, float]], key: str) -> float:
    """Return the mean of a column over skills."""
    return sum(row[key] for row in table.values()) / len(table)


@dataclass(frozen=True)
class Sampled:
    """One sampled instance; ``pair`` is None when the text is not of the instance form."""

    instruction: str
    text: str
    pair: tuple[str, str] | None
    gold: float | None


def sample_instances(
    generator: Generator, count: int, sampling: Sampling, held_out: bool, seed: int = 0
) -> list[Sampled]:
    """Let the model write input and output for instructions of trained skills."""
    instructions = []
    for i in range(count):
        rng = rng_for(seed, "instances", i)
        instructions.append(draw_instruction(rng, rng.choice(TRAINED), held_out)[0])
    prompts = [render.instance_prompt(text) for text in instructions]
    out = []
    found = generator.complete(prompts, sampling)
    for instruction, (text, closed) in zip(instructions, found, strict=True):
        pair = render.parse_instance(text) if closed else None
        gold = gold_score(instruction, *pair) if pair else 0.0
        out.append(Sampled(instruction, text, pair, gold))
    return out


def overview(generator: Generator, each: int = 10, seed: int = 0) -> dict[str, float]:
    """Measure the main numbers of a model in a minute or two."""
    new_words = answer_table(generator, held_out_examples(TRAINED, each, seed))
    old_words = answer_table(generator, held_out_examples(TRAINED, each, seed, False))
    new_skills = answer_table(generator, held_out_examples(HELD_OUT, 2 * each, seed))
    out = {
        "held-out wording exact": mean_of(new_words, "exact"),
        "held-out wording majority": mean_of(new_words, "majority"),
        "trained wording exact": mean_of(old_words, "exact"),
        "held-out skills exact": mean_of(new_skills, "exact"),
        "held-out skills majority": mean_of(new_skills, "majority"),
    }
    for temperature in (0.7, 1.0):
        rows = sample_instances(generator, 400, Sampling(temperature, seed=seed), False, seed)
        out[f"parseable T={temperature}"] = sum(r.pair is not None for r in rows) / len(rows)
        out[f"gold T={temperature}"] = sum(r.gold or 0.0 for r in rows) / len(rows)
    return out
