"""Indicators from a causal language model: perplexities, IFD and PMI of the answer.

With A the answer's tokens and Q the prompt, in nats per token::

    given = mean log p(A | Q)      alone = mean log p(A)
    perplexity = exp(-given)       answer_perplexity = exp(-alone)
    ifd = perplexity / answer_perplexity      pmi = given - alone = -log ifd
    likelihood = given

Source: IFD is from Li et al., "From Quantity to Quality" (NAACL 2024), and Superfiltering (ACL
2024), which computes it with GPT-2. Difference: they score A alone without its first token, which
nothing precedes; here the begin token (the end token where there is none) precedes it, so that
both perplexities are over the same tokens.
"""

import math
from collections.abc import Sequence

from refine_af.contracts.errors import DataError
from refine_af.engines.control_tokens import text_encoder
from refine_af.engines.scorers.checkpoint import (
    Loading,
    in_batches,
    load_model,
    right_padded,
)
from refine_af.feedback.interface import Parts, Triplet

MAX_TOKENS = 1024


class LanguageModelScorer:
    """Scores how well the prompt explains the answer; parts as on the module's page.

    A text over the context loses the left of the prompt, then the right of the answer.
    """

    part_names: tuple[str, ...] = ("perplexity", "answer_perplexity", "ifd", "pmi", "likelihood")

    def __init__(self, model: str, loading: Loading | None = None) -> None:
        """Load any causal language model, such as ``gpt2``."""
        from transformers import AutoModelForCausalLM

        self.name = f"language_model:{model}"
        self._loading = loading or Loading()
        self._model, self._tokenizer = load_model(AutoModelForCausalLM, model, self._loading)
        config = self._model.config
        begin = self._tokenizer.bos_token_id
        self._begin = self._tokenizer.eos_token_id if begin is None else begin
        if self._begin is None:
            raise DataError(f"{model}: its tokenizer has neither a begin nor an end token")
        context = getattr(config, "max_position_embeddings", None) or MAX_TOKENS
        self._max_tokens = min(MAX_TOKENS, int(context))

    def score(self, rows: Sequence[Triplet]) -> list[Parts]:
        """Return the numbers of each row; two forward passes each."""
        answers = [self._answer(row) for row in rows]
        prompts = [self._ids(f"{row.prompt}\n") for row in rows]
        given = self._mean_log_probs(prompts, answers)
        alone = self._mean_log_probs([[] for _ in rows], answers)
        return [
            _parts(with_prompt, without) for with_prompt, without in zip(given, alone, strict=True)
        ]

    def _answer(self, row: Triplet) -> list[int]:
        # One token of the context is the begin token.
        ids = self._ids(row.output)[: self._max_tokens - 1]
        if not ids:
            raise DataError(f"{self.name}: the output {row.output[:80]!r} has no token to score")
        return ids

    def _ids(self, text: str) -> list[int]:
        return text_encoder(self._tokenizer).ids(text)

    def _mean_log_probs(
        self, prompts: Sequence[list[int]], answers: Sequence[list[int]]
    ) -> list[float]:
        """Return the mean log-probability (nats) of each answer's tokens after its prompt."""
        import torch

        heads = []
        for prompt, answer in zip(prompts, answers, strict=True):
            room = self._max_tokens - 1 - len(answer)
            heads.append([self._begin, *(prompt[-room:] if room else [])])
        full = [head + answer for head, answer in zip(heads, answers, strict=True)]
        means = [0.0] * len(full)

        def score_part(indices: Sequence[int]) -> None:
            ids, mask = right_padded([full[index] for index in indices], 0, self._model.device)
            with torch.inference_mode():
                # float [rows, tokens, vocabulary]; position t predicts token t + 1
                logits = self._model(input_ids=ids, attention_mask=mask).logits
            for line, index in enumerate(indices):
                start, end = len(heads[index]) - 1, len(full[index]) - 1
                log_probs = logits[line, start:end].float().log_softmax(-1)
                target = ids[line, start + 1 : end + 1]
                picked = log_probs.gather(-1, target[:, None]).squeeze(-1)
                means[index] = float(picked.double().mean())

        in_batches([len(ids) for ids in full], self._loading.batch_size, score_part)
        return means


def _parts(given: float, alone: float) -> Parts:
    return {
        "perplexity": math.exp(-given),
        "answer_perplexity": math.exp(-alone),
        "ifd": math.exp(alone - given),
        "pmi": given - alone,
        "likelihood": given,
    }
