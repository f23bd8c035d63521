"""Batched decoding of a causal language model, for the transformers engine and for PPO.

Why not ``model.generate``: it joins the cache anew for every token, keeps computing rows that have
ended until the last one ends, and draws from one global generator, so that a completion depends
on its neighbours and their order. ``benchmarks/decode.py`` measures both.

Shapes: B rows of the batch (only those still in it), T columns so far, V words of the vocabulary.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional
from transformers.cache_utils import Cache, DynamicCache

from refine_af.contracts.errors import DataError
from refine_af.engines.draw import draw, noise
from refine_af.engines.kv_cache import can_grow, joined, repeated, select_rows, truncate
from refine_af.engines.stopping import end_tokens, read_answer, stop_triggers
from refine_af.engines.text import Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PREFILL_TOKENS = {"cpu": 1024}
PREFILL_TOKENS_ELSEWHERE = 16384
"""Prompt tokens of one forward pass: fits a core's caches, or a GPU's memory."""

SHARED_AT_LEAST = 64
"""Shortest shared prefix, in tokens, that gets a forward pass of its own."""

COMPACT_AT = 0.75
"""Finished rows leave the batch when at most this share of its rows is unfinished."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One completion.

    Attributes:
        tokens: What was written, with the end token, and with the tokens of a stop text (its
            last token may hold characters beyond it: cut the text, not the tokens).
        finish: ``stop`` for an end token, a stop text or a choice; ``length`` for a cut.
        logprob: Sum over ``tokens`` of log p under the model itself: temperature 1, no nucleus,
            no penalty; nats.
        choice_logprobs: Of every choice, where the completion is one of a few.
    """

    tokens: list[int]
    finish: Literal["stop", "length"]
    logprob: float
    choice_logprobs: tuple[float, ...] | None = None


def decode(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    sampling: Sampling,
) -> list[Decoded]:
    """Return one completion per prompt, in order, computed as one left-padded batch.

    The randomness of a row is a function of its seed and of the step only. The logits still
    depend on the shape of the batch in their last bits.

    Args:
        model: Any causal model of transformers, with or without a PEFT adapter. It is put into
            evaluation mode for the call and left in the mode that it was in.
        tokenizer: The model's tokenizer.
        prompts: Token ids; no prompt may be empty, and prompt and completion must fit the
            model's context (the caller checks).
        seeds: One per prompt.
        sampling: Without ``choices``; :func:`refine_af.engines.choose.choose` draws those.

    Raises:
        DataError: The model's logits are not finite (a training that diverged).
    """
    if not prompts:
        return []
    with evaluation(model):
        return _Batch(model, tokenizer, prompts, seeds, sampling).run()


@contextmanager
def evaluation(model: "PreTrainedModel") -> Iterator[None]:
    """Switch off dropout and gradients, and put the training mode back afterwards."""
    was_training = model.training
    model.train(False)
    try:
        # Not inference_mode: tensors that a model caches inside would be unusable for training.
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


@dataclass(slots=True)
class Prefilled:
    """A batch whose prompts have been read.

    Attributes:
        cache: Keys and values of all prompt columns.
        mask: Which columns hold a token, bool, shape (B, T).
        positions: Position of the last token of each row, shape (B, 1).
        logits: Of the token after each prompt, float32, shape (B, V).
        growing: Whether the cache is ours: every layer sees all columns and can be rewound.
    """

    cache: Cache
    mask: Tensor
    positions: Tensor
    logits: Tensor
    growing: bool

    def step(self, model: "PreTrainedModel", tokens: Tensor) -> Tensor:
        """Append ``tokens``, shape (B, new); return their logits, float32, (B, new, V)."""
        new = tokens.shape[1]
        self.mask = functional.pad(self.mask, (0, new), value=True)
        positions = self.positions + torch.arange(1, new + 1, device=tokens.device)
        # A ready (B, 1, 1, T) mask spares the model building one per step.
        ready = self.growing and new == 1 and model.config._attn_implementation == "sdpa"
        output = model(
            input_ids=tokens,
            attention_mask=self.mask[:, None, None, :] if ready else self.mask.long(),
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
        )
        self.positions = positions[:, -1:]
        logits: Tensor = output.logits
        return logits.float()

    def rewind(self, width: int, positions: Tensor) -> None:
        """Drop the columns from ``width`` on; ``positions`` are the ones before them."""
        truncate(self.cache, width)
        self.mask, self.positions = self.mask[:, :width], positions

    def keep(self, rows: list[int]) -> None:
        """Drop all other rows."""
        select_rows(self.cache, rows)
        self.mask, self.positions = self.mask[rows], self.positions[rows]


def prefill(model: "PreTrainedModel", prompts: Sequence[Sequence[int]], room: int) -> Prefilled:
    """Read the prompts; several forward passes when they hold many tokens.

    A prefix that some prompts share, such as few-shot examples or a task's definition, is read
    once, and prompts of similar length are read together.

    Args:
        model: In evaluation mode, without gradients.
        prompts: At least one, none empty.
        room: Most tokens that may be appended to each.
    """
    if not can_grow(model.config, max(map(len, prompts)) + room):
        part = _read(model, prompts, list(range(len(prompts))), DynamicCache(config=model.config))
        return Prefilled(part.cache, part.mask, part.positions, part.logits, growing=False)
    budget = PREFILL_TOKENS.get(model.device.type, PREFILL_TOKENS_ELSEWHERE)
    parts = [
        part
        for rows, shared in shared_groups(prompts, budget // 16)
        for part in _group_read(model, prompts, rows, shared, budget)
    ]
    order = [row for part in parts for row in part.rows]
    back = torch.tensor(order, device=model.device).argsort()
    width = max(part.mask.shape[1] for part in parts)
    masks = [functional.pad(part.mask, (width - part.mask.shape[1], 0)) for part in parts]
    return Prefilled(
        cache=joined([part.cache for part in parts], [part.rows for part in parts]),
        mask=torch.cat(masks)[back],
        positions=torch.cat([part.positions for part in parts])[back],
        logits=torch.cat([part.logits for part in parts])[back],
        growing=True,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows after one forward pass; ``rows`` are their indices, the rest as in Prefilled."""

    rows: list[int]
    cache: Cache
    mask: Tensor
    positions: Tensor
    logits: Tensor


def _group_read(
    model: "PreTrainedModel",
    prompts: Sequence[Sequence[int]],
    rows: Sequence[int],
    shared: int,
    budget: int,
) -> Iterator[_Part]:
    """Read prompts that share their first tokens, at most ``budget`` tokens of them at a time."""
    first = _first_part(model, prompts[rows[0]][:shared]) if shared else None
    waiting = sorted(rows, key=lambda row: (-len(prompts[row]), row))
    while waiting:
        count = max(1, budget // (len(prompts[waiting[0]]) - shared))
        chosen, waiting = waiting[:count], waiting[count:]
        cache = DynamicCache() if first is None else repeated(first, len(chosen))
        yield _read(model, prompts, chosen, cache, shared)


def _read(
    model: "PreTrainedModel",
    prompts: Sequence[Sequence[int]],
    rows: list[int],
    cache: Cache,
    shared: int = 0,
) -> _Part:
    """Read what follows the first ``shared`` tokens, which the cache holds, in one pass."""
    rests = [prompts[row][shared:] for row in rows]
    width = max(map(len, rests))
    padded = [[0] * (width - len(rest)) + list(rest) for rest in rests]
    padding = width - torch.tensor([len(rest) for rest in rests], device=model.device)[:, None]
    columns = torch.arange(width, device=model.device)
    mask = functional.pad(columns >= padding, (shared, 0), value=True)
    positions = shared + (columns - padding).clamp(min=0)
    output = model(
        input_ids=torch.tensor(padded, device=model.device),
        attention_mask=mask.long(),
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return _Part(rows, cache, mask, positions[:, -1:], output.logits[:, -1].float())


def shared_groups(prompts: Sequence[Sequence[int]], spared: int) -> list[tuple[list[int], int]]:
    """Return groups of rows and the number of first tokens that each group shares.

    Args:
        prompts: Token ids.
        spared: Tokens that reading a beginning once must spare to be worth a pass of its own.
    """
    likely: dict[tuple[int, ...], list[int]] = {}
    for row, prompt in enumerate(prompts):
        likely.setdefault(tuple(prompt[:SHARED_AT_LEAST]), []).append(row)
    groups, alone = [], []
    for rows in likely.values():
        shared = shared_tokens([prompts[row] for row in rows])
        if shared * (len(rows) - 1) >= max(spared, 1):
            groups.append((rows, shared))
        else:
            alone += rows
    return [*groups, (alone, 0)] if alone else groups


def batch_order(prompts: Sequence[Sequence[int]], rows: Iterable[int]) -> list[int]:
    """Return rows ordered by length, but those with a common beginning next to each other."""
    begins = {row: tuple(prompts[row][:SHARED_AT_LEAST]) for row in rows}
    longest: dict[tuple[int, ...], int] = {}
    for row, begin in begins.items():
        longest[begin] = max(longest.get(begin, 0), len(prompts[row]))
    return sorted(
        begins, key=lambda row: (longest[begins[row]], begins[row], len(prompts[row]), row)
    )


def shared_tokens(prompts: Sequence[Sequence[int]]) -> int:
    """Return how many first tokens all prompts share, but for the last of each; 0 if too few."""
    if len(prompts) == 1:
        return 0
    rows = [tuple(prompt) for prompt in prompts]
    least, most = min(rows), max(rows)  # what these two share, all others share
    most_shared = min(map(len, prompts)) - 1
    count = next(
        (at for at in range(most_shared) if least[at] != most[at]),
        most_shared,
    )
    return count if count >= SHARED_AT_LEAST else 0


def _first_part(model: "PreTrainedModel", tokens: Sequence[int]) -> Cache:
    """Return keys and values of one row of tokens."""
    cache = DynamicCache()
    ids = torch.tensor([list(tokens)], device=model.device)
    model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return cache


@dataclass(slots=True)
class _Row:
    """A completion in the making; ``index`` is its position in the caller's order."""

    index: int
    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    finish: Literal["stop", "length"] | None = None


class _Batch:
    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        sampling: Sampling,
    ) -> None:
        self.model, self.tokenizer, self.sampling = model, tokenizer, sampling
        self.prompts = prompts
        self.ends = end_tokens(model, tokenizer)
        self.triggers = stop_triggers(tokenizer, sampling.stop) if sampling.stop else frozenset()
        self.noise = noise(seeds, sampling.max_tokens).to(model.device)
        self.rows = [_Row(index) for index in range(len(prompts))]
        self.seen: Tensor | None = None

    def run(self) -> list[Decoded]:
        everything = list(self.rows)
        if self.sampling.max_tokens > 0:
            self._write()
        return [Decoded(row.tokens, row.finish or "length", row.logprob) for row in everything]

    def _write(self) -> None:
        state = prefill(self.model, self.prompts, self.sampling.max_tokens)
        logits = state.logits
        for step in range(self.sampling.max_tokens):
            tokens = self._choose(logits, step)
            alive = [index for index, row in enumerate(self.rows) if row.finish is None]
            if not alive or step + 1 == self.sampling.max_tokens:
                return
            if len(alive) <= COMPACT_AT * len(self.rows):
                state.keep(alive)
                self._keep(alive)
                tokens = tokens[alive]
            logits = state.step(self.model, tokens[:, None])[:, -1]

    def _choose(self, logits: Tensor, step: int) -> Tensor:
        """Draw a token for each row, note it, and return them, shape (B,)."""
        normaliser = logits.logsumexp(-1)
        tokens = draw(self._penalised(logits), self.noise[:, step], self.sampling)
        logprobs = logits.gather(1, tokens[:, None]).squeeze(1) - normaliser
        if self.seen is not None:
            self.seen.scatter_(1, tokens[:, None], 1.0)
        # One transfer per step: on a GPU each one waits for the device.
        drawn, scores = torch.stack([tokens.double(), logprobs.double()]).tolist()
        for row, token, score in zip(self.rows, drawn, scores, strict=True):
            if row.finish is None:
                self._note(row, int(token), score, step)
        return tokens

    def _penalised(self, logits: Tensor) -> Tensor:
        if self.sampling.presence_penalty == 0.0:
            return logits
        if self.seen is None:
            self.seen = torch.zeros_like(logits)
        return logits - self.sampling.presence_penalty * self.seen

    def _note(self, row: _Row, token: int, score: float, step: int) -> None:
        if score != score or score == float("-inf"):
            raise DataError(
                f"the model's logits at step {step} of row {row.index} are not finite; its weights"
                " are damaged or its training diverged: use an earlier checkpoint"
            )
        row.tokens.append(token)
        row.logprob += score
        if token in self.ends or self._stopped(row, token):
            row.finish = "stop"

    def _stopped(self, row: _Row, token: int) -> bool:
        if not self.sampling.stop or (self.triggers is not None and token not in self.triggers):
            return False
        prompt = self.prompts[row.index]
        return read_answer(self.tokenizer, prompt, row.tokens, self.sampling.stop).stopped

    def _keep(self, alive: list[int]) -> None:
        self.rows = [self.rows[index] for index in alive]
        self.noise = self.noise[alive]
        if self.seen is not None:
            self.seen = self.seen[alive]
