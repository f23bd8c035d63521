"""The interface of every text engine, and the one place that opens them by name."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

from refine_af.contracts.errors import MissingLibraryError, ParameterError, nearest

Finish = Literal["stop", "length", "error"]
Determinism = Literal["exact", "same_batch", "none"]
"""``exact``: a completion depends on nothing but its request. ``same_batch``: also on the other
requests of the same call (float rounding differs with the shape of a batch). ``none``: no
promise. Provenance stores it."""

EngineKind = Literal["transformers", "vllm", "openai", "scripted"]
_EXTRAS = {"transformers": "train", "vllm": "vllm", "openai": "openai"}


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one completion is drawn.

    Attributes:
        max_tokens: Most new tokens.
        temperature: 0 is greedy.
        top_p: Nucleus mass in (0, 1].
        presence_penalty: Subtracted once from the logit of every token already written.
        stop: Texts that end a completion; they are not part of it.
        choices: When not empty, the completion is one of these (constrained choice).
        json_schema: When not empty, the completion is JSON that follows this JSON Schema, itself
            a JSON text (``vllm``, ``openai``).
        regex: When not empty, the whole completion matches it (``vllm``, ``openai``). Write what
            Python's ``re`` and the engine's grammar read alike: no look-around, no back-references.

    ``choices``, ``json_schema`` and ``regex`` exclude each other, and a stop text never cuts what
    they ask for. A completion of theirs that met ``max_tokens`` is the beginning of one.

    Raises:
        ParameterError: For two of the three, a schema that is no JSON object, or a pattern that
            cannot be read.
    """

    max_tokens: int = 256
    temperature: float = 1.0
    top_p: float = 1.0
    presence_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    json_schema: str = ""
    regex: str = ""

    def __post_init__(self) -> None:
        """Check what can be checked without an engine."""
        if bool(self.choices) + bool(self.json_schema) + bool(self.regex) > 1:
            raise ParameterError("choices, json_schema and regex exclude each other; give one")
        if self.json_schema:
            _check_schema(self.json_schema)
        try:
            re.compile(self.regex)
        except re.error as error:
            raise ParameterError(f"regex is {self.regex!r}, which is none: {error}") from None

    @property
    def free(self) -> bool:
        """Tell whether the completion may be any text."""
        return not (self.choices or self.json_schema or self.regex)


def _check_schema(text: str) -> None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"json_schema is not JSON ({error}); give a JSON Schema") from None
    if not isinstance(value, dict):
        raise ParameterError(f"json_schema is {text[:60]!r}; it must be a JSON object")


def refuse_forms(engine: str, sampling: Sampling) -> None:
    """Refuse a JSON schema or pattern for an engine that cannot hold a model to it.

    Raises:
        ParameterError: With the engines that can.
    """
    if sampling.json_schema or sampling.regex:
        name = "json_schema" if sampling.json_schema else "regex"
        raise ParameterError(
            f"engine {engine!r} cannot hold a completion to {name}; use vllm, or openai with an"
            " endpoint that can (every engine takes choices)"
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt. ``seed`` is derived per request (run seed, row id, sample number)."""

    id: str
    prompt: str
    seed: int


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer, in the order of the requests.

    Attributes:
        id: Id of the request.
        text: What the model wrote, without the prompt and the stop text.
        finish: ``stop`` (end token or stop text), ``length`` (cut off) or ``error``.
        prompt_tokens: Tokens read.
        tokens: Tokens written.
        logprob: Sum of the log-probabilities of the written tokens; None where not asked for.
        error: What went wrong, for ``finish == "error"``.
        choice_logprobs: log p of each of ``Sampling.choices`` after the prompt, nats, in their
            order; None without choices, or from an engine that only knows the one it picked.
    """

    id: str
    text: str
    finish: Finish
    prompt_tokens: int
    tokens: int
    logprob: float | None = None
    error: str = ""
    choice_logprobs: tuple[float, ...] | None = None


class TextEngine(Protocol):
    """Writes completions."""

    determinism: Determinism

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return one completion per request, in order; a failed one has ``finish == "error"``."""

    def describe(self) -> dict[str, str]:
        """Return engine, version, model and adapter digests, for provenance."""

    def close(self) -> None:
        """Free memory and processes."""


def trained_weights(model: str, trained: Path | None) -> tuple[str, Path | None]:
    """Return the model and adapter to load where a training wrote ``trained``.

    Training every weight writes a whole model, which then stands in for ``model``; otherwise
    ``trained`` is an adapter of ``model``.
    """
    if trained is None or (trained / "adapter_config.json").exists():
        return model, trained
    return (str(trained), None) if (trained / "config.json").is_file() else (model, trained)


def open_text_engine(
    kind: EngineKind,
    model: str,
    *,
    adapter: Path | None = None,
    chat: bool = False,
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    device: str = "auto",
    batch_size: int = 32,
    max_model_len: int | None = None,
    gpu_memory_utilization: float = 0.9,
    tensor_parallel_size: int = 1,
    quantization: str | None = None,
    max_lora_rank: int = 64,
    base_url: str = "",
    api_key_variable: str = "OPENAI_API_KEY",
    trust_remote_code: bool = False,
) -> TextEngine:
    """Return the engine ``kind`` with its model; its library loads here, not at import.

    Args:
        kind: Never replaced by another one: an engine that cannot start is an error.
        model: As :func:`refine_af.engines.models.resolve_model`; for ``openai`` the name that the
            endpoint knows, for ``scripted`` see :class:`refine_af.engines.scripted.ScriptedText`.
        adapter: What training wrote (``transformers``, ``vllm``): a PEFT LoRA folder, or a whole
            model, which stands in for ``model``.
        chat: Put prompts into the model's chat template.
        dtype: Precision of the weights; ``auto`` is bfloat16 on a GPU, float32 on a CPU.
        device: ``transformers``: a torch device.
        batch_size: Prompts per batch (``transformers``), in flight (``openai``), or at once in
            the scheduler (``vllm``).
        max_model_len: ``vllm``: longest prompt and completion; None for the model's own.
        gpu_memory_utilization: ``vllm``: share of a GPU's memory.
        tensor_parallel_size: ``vllm``: GPUs that share one model.
        quantization: ``vllm``: such as ``fp8`` or ``awq``.
        max_lora_rank: ``vllm``: largest rank of an adapter.
        base_url: ``openai``: such as ``http://localhost:8000/v1``.
        api_key_variable: ``openai``: environment variable that holds the key.
        trust_remote_code: ``transformers``, ``vllm``: run code that travels with the model.

    Raises:
        ParameterError: An unknown kind, or a setting that it cannot honour.
        MissingLibraryError: The engine's library is not installed here.
        DataError: The model or the adapter cannot be read, or they do not fit.
        DependencyError: The model or the endpoint cannot be reached.
    """
    if kind not in get_args(EngineKind):
        kinds = sorted(get_args(EngineKind))
        raise ParameterError(
            f"engine is {kind!r};{nearest(kind, kinds)} it must be one of: {', '.join(kinds)}"
        )
    if adapter is not None and kind in ("openai", "scripted"):
        raise ParameterError(
            f"engine {kind!r} cannot apply the adapter {adapter}; use transformers or vllm, or"
            " serve the adapter and name it as the model"
        )
    model, adapter = trained_weights(model, adapter)
    try:
        if kind == "transformers":
            from refine_af.engines.transformers_text import TransformersText

            return TransformersText(
                model,
                adapter,
                device=device,
                dtype=dtype,
                batch_size=batch_size,
                chat=chat,
                trust_remote_code=trust_remote_code,
            )
        if kind == "vllm":
            from refine_af.engines.vllm_text import VLLMText

            return VLLMText(
                model,
                adapter,
                dtype=dtype,
                chat=chat,
                max_num_seqs=batch_size,
                max_model_len=max_model_len,
                gpu_memory_utilization=gpu_memory_utilization,
                tensor_parallel_size=tensor_parallel_size,
                quantization=quantization,
                max_lora_rank=max_lora_rank,
                trust_remote_code=trust_remote_code,
            )
        if kind == "openai":
            from refine_af.engines.openai_text import OpenAIText

            return OpenAIText(
                model,
                base_url=base_url,
                api_key_variable=api_key_variable,
                concurrency=batch_size,
                chat=chat,
            )
    except ImportError as error:
        raise MissingLibraryError(
            f"engine {kind!r} needs {error.name}, which is not installed here;"
            f" pip install 'refine-af[{_EXTRAS[kind]}]' or use that stage's image"
        ) from error
    from refine_af.engines.scripted import ScriptedText

    return ScriptedText(model)
