"""Reward models: one scalar for an answer to a prompt, from two families of checkpoints.

``OpenAssistantScorer`` reads OpenAssistant's pythia models; ``ChatRewardScorer`` reads any
``AutoModelForSequenceClassification`` with one label and a chat template, such as
Skywork-Reward-V2. :func:`open_reward_model` looks at the checkpoint's configuration and chooses.
"""

from collections.abc import Sequence
from typing import Any

from refine_af.contracts.errors import DataError, DependencyError
from refine_af.engines.control_tokens import text_encoder
from refine_af.engines.scorers.checkpoint import (
    Loading,
    in_batches,
    load_model,
    right_padded,
)
from refine_af.feedback.interface import Parts, Scorer, Triplet

CHAT_MAX_TOKENS = 16384
"""The length that Skywork-Reward-V2 was trained to; a smaller context of the model wins."""

PART = "reward"


def open_reward_model(model: str, loading: Loading | None = None) -> Scorer:
    """Return the scorer for the checkpoint's architecture.

    Raises:
        DependencyError: When its configuration cannot be read.
        DataError: When it is neither kind of reward model.
    """
    from transformers import PretrainedConfig

    from refine_af.engines.scorers.openassistant import MODEL_TYPE

    loading = loading or Loading()
    options = {"revision": loading.revision} if loading.revision else {}
    try:
        values, _ = PretrainedConfig.get_config_dict(model, **options)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise DependencyError(
            f"reward model {model}: its config.json cannot be read: {first}. Give a local"
            " directory or a hub id"
        ) from error
    if values.get("model_type") == MODEL_TYPE:
        return OpenAssistantScorer(model, loading)
    return ChatRewardScorer(model, loading)


class OpenAssistantScorer:
    """Scores ``<|prompter|>prompt<eos><|assistant|>answer<eos>``; part ``reward``, unbounded.

    Prompt and answer are tokenised apart and joined by the ids of the control tokens, which gives
    the ids of the joined text: control tokens split it anyway.
    """

    part_names: tuple[str, ...] = (PART,)

    def __init__(self, model: str, loading: Loading | None = None) -> None:
        """Load the model; DataError for another architecture, pooling or tokenizer."""
        from refine_af.engines.scorers.openassistant import (
            ASSISTANT,
            MAX_TOKENS,
            PROMPTER,
            OpenAssistantRewardModel,
        )

        self.name = f"reward_model:{model}"
        self._loading = loading or Loading()
        self._model, self._tokenizer = load_model(OpenAssistantRewardModel, model, self._loading)
        config = self._model.config
        if config.pooling != "last":
            raise DataError(f"{model}: pooling is {config.pooling!r}; it must be 'last'")
        self._prompter = _control_id(self._tokenizer, PROMPTER, model)
        self._assistant = _control_id(self._tokenizer, ASSISTANT, model)
        self._eos = self._tokenizer.eos_token_id
        self._max_tokens = min(MAX_TOKENS, config.max_position_embeddings)

    def score(self, rows: Sequence[Triplet]) -> list[Parts]:
        """Return the scalar of each row, one forward pass each."""
        import torch

        encoded = [self._encode(row) for row in rows]
        scores = [0.0] * len(rows)

        def score_part(indices: Sequence[int]) -> None:
            batch = [encoded[index] for index in indices]
            ids, mask = right_padded(batch, self._eos, self._model.device)
            with torch.inference_mode():
                values = self._model(ids, mask).float().tolist()
            for index, value in zip(indices, values, strict=True):
                scores[index] = value

        in_batches([len(ids) for ids in encoded], self._loading.batch_size, score_part)
        return [{PART: score} for score in scores]

    def _encode(self, row: Triplet) -> list[int]:
        from refine_af.engines.scorers.openassistant import truncated

        prompt = [self._prompter, *self._text(row.prompt), self._eos]
        reply = [self._assistant, *self._text(row.output), self._eos]
        return truncated(prompt, reply, self._max_tokens)

    def _text(self, text: str) -> list[int]:
        return text_encoder(self._tokenizer).ids(text)


class ChatRewardScorer:
    """Scores a user turn and an assistant turn in the model's chat template, no system turn.

    Source: SkyworkAI/Skywork-Reward-V2 (usage). Part ``reward``: the logit, unbounded. A text
    that is too long loses the left of the prompt down to 256 tokens, then the right of the answer.
    """

    part_names: tuple[str, ...] = (PART,)

    def __init__(self, model: str, loading: Loading | None = None) -> None:
        """Load the model.

        Raises:
            DataError: When it has no chat template, or gives more than one number.
        """
        from transformers import AutoModelForSequenceClassification

        self.name = f"reward_model:{model}"
        self._loading = loading or Loading()
        self._model, self._tokenizer = load_model(
            AutoModelForSequenceClassification, model, self._loading
        )
        config = self._model.config
        if config.num_labels != 1:
            raise DataError(
                f"{model} gives {config.num_labels} numbers for a text; a reward model gives one"
            )
        if self._tokenizer.chat_template is None:
            raise DataError(
                f"{model} has no chat template, so the text form that it was trained on is not"
                " known; name a reward model whose tokenizer has one"
            )
        self._max_tokens = min(CHAT_MAX_TOKENS, _context(config))

    def score(self, rows: Sequence[Triplet]) -> list[Parts]:
        """Return the logit of each row, one forward pass each."""
        import torch

        encoded = [self._encode(row) for row in rows]
        scores = [0.0] * len(rows)
        pad = self._model.config.pad_token_id
        # Without a pad id the class cannot distinguish padding from text, so rows go alone.
        size = 1 if pad is None else self._loading.batch_size

        def score_part(indices: Sequence[int]) -> None:
            batch = [encoded[index] for index in indices]
            ids, mask = right_padded(batch, pad or 0, self._model.device)
            with torch.inference_mode():
                logits = self._model(input_ids=ids, attention_mask=mask).logits
            for index, value in zip(indices, logits[:, 0].float().tolist(), strict=True):
                scores[index] = value

        in_batches([len(ids) for ids in encoded], size, score_part)
        return [{PART: score} for score in scores]

    def _encode(self, row: Triplet) -> list[int]:
        from refine_af.engines.scorers.openassistant import MIN_PROMPT_TOKENS

        prompt, answer = row.prompt, row.output
        ids = self._rendered(prompt, answer)
        while (over := len(ids) - self._max_tokens) > 0:
            prompt, cut = self._cut_left(prompt, over, MIN_PROMPT_TOKENS)
            answer = self._cut_right(answer, over - cut)
            ids = self._rendered(prompt, answer)
        return ids

    def _rendered(self, prompt: str, answer: str) -> list[int]:
        turns = [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": answer},
        ]
        encoder = text_encoder(self._tokenizer)
        ids = encoder.chat(turns)
        before, after = encoder.around
        # the tokenizer's begin and end tokens, unless the template writes them
        head = [] if ids[: len(before)] == list(before) else list(before)
        return [*head, *ids, *after]

    def _cut_left(self, text: str, count: int, least: int) -> tuple[str, int]:
        ids = text_encoder(self._tokenizer).ids(text)
        cut = min(count, max(0, len(ids) - least))
        return (self._tokenizer.decode(ids[cut:]), cut) if cut else (text, 0)

    def _cut_right(self, text: str, count: int) -> str:
        if count <= 0:
            return text
        ids = text_encoder(self._tokenizer).ids(text)
        if not ids:
            raise DataError(
                f"{self.name}: the chat template and {self._max_tokens} tokens of context leave"
                " no room for an answer; use a reward model with a longer context"
            )
        return str(self._tokenizer.decode(ids[: max(0, len(ids) - count)]))


def _control_id(tokenizer: Any, mark: str, model: str) -> int:  # noqa: ANN401
    ids = tokenizer(mark, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        raise DataError(
            f"{model}: its tokenizer does not know {mark}; the tokenizer files are not those of"
            " an OpenAssistant reward model"
        )
    return int(ids[0])


def _context(config: Any) -> int:  # noqa: ANN401
    return int(getattr(config, "max_position_embeddings", None) or CHAT_MAX_TOKENS)
