"""The ``transformers`` text engine: batches on one CPU or GPU, without a server."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Self

from refine_af.contracts.errors import ParameterError
from refine_af.engines.adapters import apply_adapter, require_base
from refine_af.engines.choose import choose
from refine_af.engines.decode import Decoded, batch_order, decode
from refine_af.engines.encoding import PromptEncoder
from refine_af.engines.memory import RowsAtOnce
from refine_af.engines.models import Dtype, load_model, resolve_model
from refine_af.engines.stopping import Answer, completion_text, read_answer
from refine_af.engines.text import Completion, Determinism, Request, Sampling, refuse_forms
from refine_af.storage.manifest import digest_directory

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DEFAULT_BATCH = 32


class TransformersText:
    """Writes completions with a model in this process.

    Prompts are sorted by length, those with a common beginning side by side, and cut into batches
    of a fixed size, so that little is padded and a beginning is read once a batch;
    the answers come back in the order of the requests. The randomness of a request depends on its
    seed only; its logits depend in their last bits on the shape of its batch.
    """

    determinism: Determinism = "same_batch"

    def __init__(
        self,
        model: str,
        adapter: Path | None = None,
        *,
        device: str = "auto",
        dtype: Dtype = "auto",
        batch_size: int = DEFAULT_BATCH,
        chat: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        """Load the model.

        Args:
            model: As :func:`refine_af.engines.models.resolve_model`.
            adapter: A PEFT LoRA folder.
            device: A torch device; ``auto`` is the first GPU where there is one.
            dtype: ``auto`` is bfloat16 on a GPU and float32 on the CPU.
            batch_size: Prompts per batch.
            chat: Put each prompt into the model's chat template as the user's turn.
            trust_remote_code: Whether code that travels with the model may run.

        Raises:
            DataError: The model cannot be read, or the adapter does not fit it.
            ParameterError: ``chat`` for a model without a chat template.
        """
        if adapter is not None:
            require_base(adapter, model)
        loaded, tokenizer = load_model(
            model, dtype=dtype, device=device, trust_remote_code=trust_remote_code
        )
        facts = {"model": model, "model_digest": digest_directory(resolve_model(model))}
        if adapter is not None:
            loaded = apply_adapter(loaded, adapter)
            facts["adapter_digest"] = digest_directory(adapter)
        self._start(loaded, tokenizer, batch_size, chat, facts)

    @classmethod
    def wrap(
        cls,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        *,
        batch_size: int = DEFAULT_BATCH,
        chat: bool = False,
    ) -> Self:
        """Return an engine over a model in memory, as it is at each call."""
        engine = cls.__new__(cls)
        engine._start(model, tokenizer, batch_size, chat, {"model": "in memory"})
        return engine

    def _start(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        batch_size: int,
        chat: bool,
        facts: dict[str, str],
    ) -> None:
        if batch_size < 1:
            raise ParameterError(f"batch_size is {batch_size}; it must be at least 1")
        context = getattr(model.config, "max_position_embeddings", None)
        self._encoder = PromptEncoder(tokenizer, context=context, chat=chat)
        self._model, self._tokenizer = model, tokenizer
        self._batch_size, self._chat, self._facts = batch_size, chat, facts
        self._rows = RowsAtOnce(
            batch_size, task="generation", lower="the most new tokens, or the length of the prompts"
        )

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return one completion per request, in order.

        A prompt that leaves no room for ``max_tokens`` in the model's context gets an error.

        Batches that do not fit the memory are cut in two.

        Raises:
            ParameterError: For a JSON schema or a pattern: no grammar runs here.
            MemoryShortageError: When one request does not fit.
        """
        refuse_forms("transformers", sampling)
        prompts = [self._encoder.encode(request.prompt) for request in requests]
        room = self._encoder.room(sampling)
        completions: dict[int, Completion] = {}
        fitting: list[int] = []
        for index, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
            refusal = self._encoder.refusal(request, len(prompt), room)
            if refusal is not None:
                completions[index] = refusal
            else:
                fitting.append(index)
        write = choose if sampling.choices else decode

        def answer(indices: Sequence[int]) -> None:
            decoded = write(
                self._model,
                self._tokenizer,
                [prompts[index] for index in indices],
                [requests[index].seed for index in indices],
                sampling,
            )
            for index, row in zip(indices, decoded, strict=True):
                completions[index] = self._completion(
                    requests[index], prompts[index], row, sampling
                )

        self._rows.run(batch_order(prompts, fitting), answer)
        return [completions[index] for index in range(len(requests))]

    def _completion(
        self, request: Request, prompt: Sequence[int], decoded: Decoded, sampling: Sampling
    ) -> Completion:
        if sampling.choices:
            answer = Answer(completion_text(self._tokenizer, prompt, decoded.tokens))
        else:
            answer = read_answer(self._tokenizer, prompt, decoded.tokens, sampling.stop)
        return Completion(
            id=request.id,
            text=answer.text,
            finish=decoded.finish,
            prompt_tokens=len(prompt),
            tokens=len(decoded.tokens),
            logprob=decoded.logprob,
            choice_logprobs=decoded.choice_logprobs,
            thinking=answer.thinking,
        )

    def describe(self) -> dict[str, str]:
        """Return engine, versions, model and adapter digests, and what the numbers depend on."""
        return {
            "engine": "transformers",
            "transformers": version("transformers"),
            "torch": version("torch"),
            "determinism": self.determinism,
            "device": str(self._model.device),
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "batch_size": str(self._batch_size),
            "chat": str(self._chat).lower(),
            **self._facts,
        }

    def close(self) -> None:
        """Drop the model; the engine cannot be used afterwards."""
        del self._model
