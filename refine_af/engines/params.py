"""The model of a stage, and the text engine that runs it."""

from collections.abc import Collection
from typing import Literal

from refine_af.contracts.content import EngineKind
from refine_af.contracts.params import Params, param, rule
from refine_af.engines.chat import Chat, uses_chat

MAX_FAILED = 0.01
"""Default share of requests that an engine may leave unanswered: one bad answer must not end a
stage of thousands, an endpoint without credit must."""


class ModelParams(Params):
    """The start model, as every stage that opens one names it."""

    model: str = param(
        "builtin:tiny",
        "builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://.",
        names="model",
        digest="model_digest",
    )
    model_digest: str = param("", "Digest or revision of the model, as check_inputs found it.")
    seed: int = param(1, "Seed of all randomness.")
    chat: Chat = param(
        "auto",
        "Ask through the model's chat template: yes, no, or auto: where it has one (the engines"
        " transformers and vllm; for others auto is no).",
    )

    @property
    def asks_by_chat(self) -> bool:
        """Return whether prompts go through the chat template; ``auto`` may fetch the model."""
        return uses_chat(self.chat, self.model, getattr(self, "engine", "transformers"))


class EngineParams(ModelParams):
    """The model that writes and its engine; each engine reads the parameters that concern it."""

    model: str = param(
        "builtin:tiny",
        "builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://; for the engine openai"
        " the endpoint's name of it, for scripted a file of answers.",
        names="model",
        digest="model_digest",
        opened_by="engine",
    )
    engine: EngineKind = param("transformers", "Text engine.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = param("auto", "Weights' precision.")
    engine_batch: int = param(
        32, "Prompts per batch (transformers) or in flight (openai, vllm).", method=False, ge=1
    )
    max_model_len: int = param(0, "Longest prompt and answer, tokens (vllm); 0: the model's.", ge=0)
    gpu_memory_utilization: float = param(
        0.9, "Share of the GPU's memory that vLLM takes.", method=False, gt=0.0, le=1.0
    )
    tensor_parallel_size: int = param(1, "GPUs per model (vllm).", method=False, ge=1)
    quantization: str = param("", "Quantisation that vLLM applies, such as fp8 or awq.")
    max_lora_rank: int = param(64, "Largest adapter rank (vllm).", method=False, ge=1)
    base_url: str = param(
        "", "Address of an OpenAI-compatible endpoint (openai).", names="endpoint"
    )
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
    price_per_million_read: float = param(
        0.0,
        "What the endpoint asks for a million tokens that it reads (openai); plan, progress and"
        " timing then show money. 0: not known.",
        method=False,
        ge=0.0,
    )
    price_per_million_written: float = param(
        0.0, "Likewise for a million tokens that it writes.", method=False, ge=0.0
    )
    max_failed: float = param(
        MAX_FAILED,
        "Largest share of requests that the engine may leave unanswered; above it the stage ends"
        " and keeps what was answered.",
        method=False,
        ge=0.0,
        le=1.0,
    )

    @property
    def holds_to_choices(self) -> bool:
        """Return whether the engine writes one of given texts; an endpoint need not."""
        return self.engine != "openai"

    @property
    def has_price(self) -> bool:
        """Return whether money can be told."""
        return self.price_per_million_read > 0 or self.price_per_million_written > 0

    def money(self, read: int, written: int) -> float:
        """Return what an endpoint asks for so many tokens; 0 without a price or an endpoint."""
        if self.engine != "openai":
            return 0.0
        prices = (self.price_per_million_read, self.price_per_million_written)
        return (prices[0] * read + prices[1] * written) / 1e6

    @rule("base_url")
    def endpoint_has_an_address(self) -> str:
        """The engine openai asks an endpoint."""
        if self.engine == "openai" and not self.base_url.startswith(("http://", "https://")):
            return "engine openai needs an address such as http://HOST:8000/v1"
        return ""

    @rule("engine", reads_inputs=True)
    def engine_applies_the_adapter(self, inputs: Collection[str]) -> str:
        """Only engines that load weights here can apply what a training wrote."""
        if "adapter" in inputs and self.engine in ("openai", "scripted"):
            return (
                "it cannot apply an adapter; use transformers or vllm, or serve the adapter and"
                " name it as the model"
            )
        return ""
