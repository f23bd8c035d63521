"""The parameters that every stage with a text engine shares, and how they open one."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from refine_af.calls.failures import MAX_FAILED
from refine_af.contracts.params import Params, param
from refine_af.engines.opening import EngineSettings, open_text_engine
from refine_af.engines.text import TextEngine


class EngineParams(Params):
    """Which model writes, and through which engine."""

    model: str = param(
        "builtin:tiny", "builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://."
    )
    model_digest: str = param("", "Digest or revision of the model, as check_inputs found it.")
    engine: Literal["transformers", "vllm", "openai", "scripted"] = param(
        "transformers", "Text engine."
    )
    seed: int = param(1, "Seed of all randomness.")
    chat: bool = param(False, "Put prompts into the model's chat template.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = param("auto", "Weights' precision.")
    engine_batch: int = param(
        32, "Prompts per batch (transformers) or in flight (openai).", method=False, ge=1
    )
    max_model_len: int = param(0, "Longest prompt and answer, tokens (vllm); 0: the model's.", ge=0)
    gpu_memory_utilization: float = param(
        0.9, "Share of the GPU's memory that vLLM takes.", method=False, gt=0.0, le=1.0
    )
    tensor_parallel_size: int = param(1, "GPUs per model (vllm).", method=False, ge=1)
    quantization: str = param("", "Quantisation that vLLM applies, such as fp8 or awq.")
    max_lora_rank: int = param(64, "Largest adapter rank (vllm).", method=False, ge=1)
    base_url: str = param("", "Address of an OpenAI-compatible endpoint (openai).")
    api_key_variable: str = param(
        "OPENAI_API_KEY", "Environment variable that holds the endpoint's key.", method=False
    )
    endpoint_dialect: Literal["auto", "openai", "vllm"] = param(
        "auto",
        "Fields that the endpoint takes (openai): the standard ones, or vLLM's; auto asks its list"
        " of models. A field that is refused is left out from then on.",
        method=False,
    )
    endpoint_seconds: float = param(
        900.0,
        "Most seconds for one request to an endpoint (openai), all tries together.",
        method=False,
        ge=1.0,
    )
    max_failed: float = param(
        MAX_FAILED,
        "Largest share of requests that the engine may leave unanswered; above it the stage ends"
        " and keeps what was answered.",
        method=False,
        ge=0.0,
        le=1.0,
    )


Opener = Callable[[EngineParams, Path | None], TextEngine]
"""From a stage's parameters and its adapter, if any, to the engine; :func:`open_engine` is one."""


def open_engine(params: EngineParams, adapter: Path | None) -> TextEngine:
    """Return the engine with its model, and the adapter applied where one is given."""
    return open_text_engine(
        params.engine,
        params.model,
        adapter=adapter,
        settings=EngineSettings(
            chat=params.chat,
            dtype=params.dtype,
            batch_size=params.engine_batch,
            max_model_len=params.max_model_len or None,
            gpu_memory_utilization=params.gpu_memory_utilization,
            tensor_parallel_size=params.tensor_parallel_size,
            quantization=params.quantization or None,
            max_lora_rank=params.max_lora_rank,
            base_url=params.base_url,
            api_key_variable=params.api_key_variable,
            endpoint_dialect=params.endpoint_dialect,
            endpoint_seconds=params.endpoint_seconds,
        ),
    )
