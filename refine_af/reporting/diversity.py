"""Diversity of the data: verbs and objects, similarity to the seeds, lengths, copies."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Indel

from refine_af.contracts.records import Instance, Instruction, Seed
from refine_af.dedup.rouge_l import rouge_tokens
from refine_af.reporting.distinct import Repetitions
from refine_af.reporting.verb_noun import verb_and_noun

TOP_VERBS = 15
TOP_NOUNS = 4
"""Self-Instruct's figure 2 shows the 20 most common verbs and 4 objects of each."""

BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Verb:
    """A root verb, how many instructions open with it, and its most common objects."""

    verb: str
    count: int
    nouns: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Variety:
    """Of the kept instructions.

    Attributes:
        verbs: The most common root verbs with an object.
        covered: Instructions in which verb and object were found.
        pairs: Different verb-object pairs.
        similarity: Per instruction, the largest ROUGE-L F1 with a seed, in [0, 1]; empty without
            seeds.
        words: Per instruction, its words.
    """

    verbs: tuple[Verb, ...]
    covered: int
    pairs: int
    similarity: tuple[float, ...]
    words: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Copies:
    """Shares of one arm's instances, in [0, 1].

    Attributes:
        rows: Instances.
        of_prompt: The output is the instruction or the input, white space and case aside.
        repeated: The output stands in more than one instance.
        empty_input: There is no input; not a fault by itself.
        output_words: Mean words of an output.
    """

    rows: int
    of_prompt: float
    repeated: float
    empty_input: float
    output_words: float


def variety(instructions: Sequence[Instruction], seeds: Sequence[Seed]) -> Variety:
    """Return the variety of the instructions."""
    covered = 0
    words: list[int] = []
    nouns: dict[str, Counter[str]] = {}
    for row in instructions:
        words.append(len(row.instruction.split()))
        if pair := verb_and_noun(row.instruction):
            covered += 1
            nouns.setdefault(pair[0], Counter())[pair[1]] += 1
    ranked = sorted(nouns, key=lambda verb: (-nouns[verb].total(), verb))
    return Variety(
        verbs=tuple(_verb(verb, nouns[verb]) for verb in ranked[:TOP_VERBS]),
        covered=covered,
        pairs=sum(map(len, nouns.values())),
        similarity=nearest_seed(instructions, seeds),
        words=tuple(words),
    )


def nearest_seed(instructions: Sequence[Instruction], seeds: Sequence[Seed]) -> tuple[float, ...]:
    """Return each instruction's largest ROUGE-L F1 with a seed instruction, in [0, 1].

    As the near-duplicate filter measures it (no stemmer), up to float rounding: F1 of the longest
    common subsequence is 2 L / (m + n), rapidfuzz's normalised Indel similarity.
    """
    if not seeds:
        return ()
    ids: dict[bytes, int] = {}
    known = [_ids(row.instruction, ids) for row in seeds]
    similarities: list[float] = []
    every = iter(instructions)
    while block := [_ids(row.instruction, ids) for row in islice(every, BLOCK)]:
        table = process.cdist(block, known, scorer=Indel.normalized_similarity, dtype=np.float32)
        # Two texts without a token would count as equal.
        best = [float(row.max()) if ids_ else 0.0 for row, ids_ in zip(table, block, strict=True)]
        similarities += best
    return tuple(similarities)


def copies(instances: Sequence[Instance]) -> Copies:
    """Return the shares of an arm's rows that repeat others or their prompt; zeros without rows."""
    count = len(instances)
    if not count:
        return Copies(0, 0.0, 0.0, 0.0, 0.0)
    of_prompt = empty_input = words = 0
    outputs = Repetitions()
    for row in instances:
        output = _folded(row.output)
        outputs.add(output)
        of_prompt += output in (_folded(row.instruction), _folded(row.input))
        empty_input += not row.input.strip()
        words += len(row.output.split())
    times = outputs.counts()
    return Copies(
        rows=count,
        of_prompt=of_prompt / count,
        repeated=int(times[times > 1].sum()) / count,
        empty_input=empty_input / count,
        output_words=words / count,
    )


def _verb(verb: str, nouns: Counter[str]) -> Verb:
    ranked = sorted(nouns.items(), key=lambda item: (-item[1], item[0]))
    return Verb(verb, nouns.total(), tuple(ranked[:TOP_NOUNS]))


def _ids(text: str, ids: dict[bytes, int]) -> list[int]:
    return [ids.setdefault(token, len(ids)) for token in rouge_tokens(text)]


def _folded(text: str) -> str:
    return " ".join(text.lower().split())
