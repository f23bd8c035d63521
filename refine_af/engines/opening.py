"""Opens text engines by name; an engine's library is loaded when the engine is opened."""

from collections.abc import Callable
from pathlib import Path

from refine_af.contracts.content import EngineKind
from refine_af.contracts.errors import ParameterError, missing_library
from refine_af.engines.params import EngineParams
from refine_af.engines.text import Determinism, TextEngine

PROMISED: dict[EngineKind, Determinism] = {
    "transformers": "same_batch",
    "vllm": "none",
    "openai": "none",
    "scripted": "exact",
}
"""What an engine promises on every machine, for provenance; an opened one may promise more (vLLM on
a CPU: ``same_batch``), and telemetry says so."""
_EXTRAS = {"transformers": "train", "vllm": "vllm", "openai": "openai"}

Opener = Callable[[EngineParams, Path | None], TextEngine]
"""From a stage's parameters and its adapter, if any, to the engine; :func:`open_engine` is one."""


def open_engine(params: EngineParams, adapter: Path | None = None) -> TextEngine:
    """Return the engine ``params.engine`` with its model; never a substitute.

    Args:
        params: The engine, its model and how it runs.
        adapter: What training wrote (``transformers``, ``vllm``): a PEFT LoRA folder, or a whole
            model, which stands in for ``params.model``.

    Raises:
        ParameterError: A setting that the engine cannot honour.
        MissingLibraryError: The engine's library is not installed here.
        DataError: The model or the adapter cannot be read, or they do not fit.
        DependencyError: The model or the endpoint cannot be reached.
    """
    if adapter is not None and (problem := params.engine_applies_the_adapter(["adapter"])):
        raise ParameterError(f"engine is {params.engine!r}; {problem}")
    try:
        return _OPENERS[params.engine](params, *trained_weights(params.model, adapter))
    except ImportError as error:
        remedy = f"pip install 'refine-af[{_EXTRAS[params.engine]}]' or use that stage's image"
        raise missing_library(error, f"engine {params.engine!r}", remedy) from error


def trained_weights(model: str, trained: Path | None) -> tuple[str, Path | None]:
    """Return the model and adapter to load where a training wrote ``trained``.

    Training every weight writes a whole model, which then stands in for ``model``; otherwise
    ``trained`` is an adapter of ``model``.
    """
    if trained is None or (trained / "adapter_config.json").exists():
        return model, trained
    return (str(trained), None) if (trained / "config.json").is_file() else (model, trained)


def _transformers(params: EngineParams, model: str, adapter: Path | None) -> TextEngine:
    from refine_af.engines.transformers_text import TransformersText

    return TransformersText(
        model, adapter, dtype=params.dtype, batch_size=params.engine_batch, chat=params.asks_by_chat
    )


def _vllm(params: EngineParams, model: str, adapter: Path | None) -> TextEngine:
    from refine_af.engines.vllm_text import VLLMText

    return VLLMText(
        model,
        adapter,
        dtype=params.dtype,
        chat=params.asks_by_chat,
        max_num_seqs=params.engine_batch,
        max_model_len=params.max_model_len or None,
        gpu_memory_utilization=params.gpu_memory_utilization,
        tensor_parallel_size=params.tensor_parallel_size,
        quantization=params.quantization or None,
        max_lora_rank=params.max_lora_rank,
    )


def _openai(params: EngineParams, model: str, _adapter: Path | None) -> TextEngine:
    from refine_af.engines.openai_text import OpenAIText, RetryPolicy

    return OpenAIText(
        model,
        base_url=params.base_url,
        api_key_variable=params.api_key_variable,
        concurrency=params.engine_batch,
        chat=params.asks_by_chat,
        dialect=params.endpoint_dialect,
        retry_policy=RetryPolicy(total=params.endpoint_seconds),
    )


def _scripted(_params: EngineParams, model: str, _adapter: Path | None) -> TextEngine:
    from refine_af.engines.scripted import ScriptedText

    return ScriptedText(model)


_OPENERS: dict[EngineKind, Callable[[EngineParams, str, Path | None], TextEngine]] = {
    "transformers": _transformers,
    "vllm": _vllm,
    "openai": _openai,
    "scripted": _scripted,
}
