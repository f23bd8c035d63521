"""The one place that opens text engines by name; an engine's library loads when it is opened."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from refine_af.contracts.errors import ParameterError, missing_library, nearest
from refine_af.engines.text import Determinism, TextEngine

EngineKind = Literal["transformers", "vllm", "openai", "scripted"]
PROMISED: dict[EngineKind, Determinism] = {
    "transformers": "same_batch",
    "vllm": "none",
    "openai": "none",
    "scripted": "exact",
}
"""What an engine promises on every machine, for provenance; an opened one may promise more (vLLM on
a CPU: ``same_batch``), and telemetry says so."""
_EXTRAS = {"transformers": "train", "vllm": "vllm", "openai": "openai"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How an engine runs; each engine reads what concerns it.

    Attributes:
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
        endpoint_dialect: ``openai``: which fields the endpoint takes.
        endpoint_seconds: ``openai``: most seconds for one request, all tries together.
        trust_remote_code: ``transformers``, ``vllm``: run code that travels with the model.
    """

    chat: bool = False
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    batch_size: int = 32
    max_model_len: int | None = None
    gpu_memory_utilization: float = 0.9
    tensor_parallel_size: int = 1
    quantization: str | None = None
    max_lora_rank: int = 64
    base_url: str = ""
    api_key_variable: str = "OPENAI_API_KEY"
    endpoint_dialect: Literal["auto", "openai", "vllm"] = "auto"
    endpoint_seconds: float = 900.0
    trust_remote_code: bool = False


DEFAULT = EngineSettings()


def open_text_engine(
    kind: EngineKind,
    model: str,
    *,
    adapter: Path | None = None,
    settings: EngineSettings = DEFAULT,
) -> TextEngine:
    """Return the engine ``kind`` with its model.

    Args:
        kind: Never replaced by another one: an engine that cannot start is an error.
        model: As :func:`refine_af.engines.models.resolve_model`; for ``openai`` the name that the
            endpoint knows, for ``scripted`` see :class:`refine_af.engines.scripted.ScriptedText`.
        adapter: What training wrote (``transformers``, ``vllm``): a PEFT LoRA folder, or a whole
            model, which stands in for ``model``.
        settings: How it runs.

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
    try:
        return _open(kind, *trained_weights(model, adapter), settings)
    except ImportError as error:
        remedy = f"pip install 'refine-af[{_EXTRAS[kind]}]' or use that stage's image"
        raise missing_library(error, f"engine {kind!r}", remedy) from error


def trained_weights(model: str, trained: Path | None) -> tuple[str, Path | None]:
    """Return the model and adapter to load where a training wrote ``trained``.

    Training every weight writes a whole model, which then stands in for ``model``; otherwise
    ``trained`` is an adapter of ``model``.
    """
    if trained is None or (trained / "adapter_config.json").exists():
        return model, trained
    return (str(trained), None) if (trained / "config.json").is_file() else (model, trained)


def _open(
    kind: EngineKind, model: str, adapter: Path | None, settings: EngineSettings
) -> TextEngine:
    if kind == "transformers":
        return _transformers(model, adapter, settings)
    if kind == "vllm":
        return _vllm(model, adapter, settings)
    if kind == "openai":
        return _openai(model, settings)
    from refine_af.engines.scripted import ScriptedText

    return ScriptedText(model)


def _transformers(model: str, adapter: Path | None, settings: EngineSettings) -> TextEngine:
    from refine_af.engines.transformers_text import TransformersText

    return TransformersText(
        model,
        adapter,
        device=settings.device,
        dtype=settings.dtype,
        batch_size=settings.batch_size,
        chat=settings.chat,
        trust_remote_code=settings.trust_remote_code,
    )


def _vllm(model: str, adapter: Path | None, settings: EngineSettings) -> TextEngine:
    from refine_af.engines.vllm_text import VLLMText

    return VLLMText(
        model,
        adapter,
        dtype=settings.dtype,
        chat=settings.chat,
        max_num_seqs=settings.batch_size,
        max_model_len=settings.max_model_len,
        gpu_memory_utilization=settings.gpu_memory_utilization,
        tensor_parallel_size=settings.tensor_parallel_size,
        quantization=settings.quantization,
        max_lora_rank=settings.max_lora_rank,
        trust_remote_code=settings.trust_remote_code,
    )


def _openai(model: str, settings: EngineSettings) -> TextEngine:
    from refine_af.engines.openai_text import OpenAIText, Patience

    return OpenAIText(
        model,
        base_url=settings.base_url,
        api_key_variable=settings.api_key_variable,
        concurrency=settings.batch_size,
        chat=settings.chat,
        dialect=settings.endpoint_dialect,
        patience=Patience(total=settings.endpoint_seconds),
    )
