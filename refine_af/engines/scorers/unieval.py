"""UniEval dialogue evaluator: naturalness, coherence and understandability in [0, 1].

Source: Zhong et al., "Towards a Unified Multi-Dimensional Evaluator for Text Generation" (EMNLP
2022), and its code maszhongming/UniEval: T5 answers a yes/no question about the response; the
score is p(Yes) / (p(Yes) + p(No)) at the first decoder position. Differences from that code:

1. ``</s>`` in the texts stays text: the separator is UniEval's own.
2. p(Yes) / (p(Yes) + p(No)) is computed as sigmoid(logit Yes - logit No), which is the same
   number and cannot divide zero by zero.
3. A failure raises; the original prints and exits with code 0.
"""

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

MODEL = "MingZhong/unieval-dialog"
MAX_TOKENS = 1024
DIMENSIONS = ("naturalness", "coherence", "understandability")


QUESTIONS = {
    "naturalness": (
        "question: Is this a natural response in the dialogue? </s> response: {response}"
    ),
    "coherence": (
        "question: Is this a coherent response given the dialogue history? </s> response:"
        " {response} </s> dialogue history: {history}"
    ),
    "understandability": (
        "question: Is this an understandable response in the dialogue? </s> response: {response}"
    ),
}
"""The exact input texts. ``response`` is the output, ``history`` the dialogue before it, which ends
with two newlines."""


class UniEval:
    """Scores the output as a dialogue response to the prompt side of the triplet."""

    part_names: tuple[str, ...] = DIMENSIONS

    def __init__(self, model: str = MODEL, loading: Loading | None = None) -> None:
        """Load the model.

        Raises:
            ParameterError: For a UniEval model of another task: it was never trained on these
                questions and its answers to them mean nothing.
            DataError: When "Yes" and "No" do not start with different tokens.
        """
        from transformers import T5ForConditionalGeneration

        self.name = f"unieval:{model}"
        self._loading = loading or Loading()
        self._model, self._tokenizer = load_model(T5ForConditionalGeneration, model, self._loading)
        self._yes = self._tokenizer("Yes")["input_ids"][0]
        self._no = self._tokenizer("No")["input_ids"][0]
        if self._yes == self._no:
            raise DataError(f"{model}: its tokenizer starts Yes and No with the same token")

    def score(self, rows: Sequence[Triplet]) -> list[Parts]:
        """Return the three scores of each row; one encoder pass and one decoder step each."""
        scores = self._answers([ids for row in rows for ids in self._questions(row)])
        size = len(DIMENSIONS)
        return [
            dict(zip(DIMENSIONS, scores[start : start + size], strict=True))
            for start in range(0, len(scores), size)
        ]

    def _questions(self, row: Triplet) -> list[list[int]]:
        encoder = text_encoder(self._tokenizer)
        history = f"{row.prompt}\n\n"
        questions = [
            encoder.template(QUESTIONS[dimension], response=row.output, history=history)
            for dimension in DIMENSIONS
        ]
        # as the tokenizer truncates: its end token stays
        return [
            ids if len(ids) <= MAX_TOKENS else ids[: MAX_TOKENS - 1] + ids[-1:] for ids in questions
        ]

    def _answers(self, encoded: Sequence[list[int]]) -> list[float]:
        import torch

        scores = [0.0] * len(encoded)

        def score_part(indices: Sequence[int]) -> None:
            ids, mask = right_padded(
                [encoded[index] for index in indices],
                self._model.config.pad_token_id,
                self._model.device,
            )
            start = torch.full_like(ids[:, :1], self._model.config.decoder_start_token_id)
            with torch.inference_mode():
                # logits: float [rows, 1, vocabulary]
                logits = self._model(
                    input_ids=ids, attention_mask=mask, decoder_input_ids=start
                ).logits
            difference = logits[:, 0, self._yes].float() - logits[:, 0, self._no].float()
            for index, value in zip(indices, torch.sigmoid(difference).tolist(), strict=True):
                scores[index] = value

        in_batches([len(ids) for ids in encoded], self._loading.batch_size, score_part)
        return scores
