"""The shape of known models, and the bytes that follow from it."""

import json
import struct
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from refine_af.contracts.errors import ParameterError, nearest
from refine_af.engines.pretrained import stored_weights
from refine_af.ppo.activations import LayerShape


class Backbone(BaseModel):
    """The shape of a model, for estimates of memory and time.

    Attributes:
        parameters: All weights.
        layers: Blocks.
        hidden: Width of the residual stream.
        intermediate: Width of the feed-forward layer, which is gated.
        kv_width: Key-value heads times the size of a head.
        vocabulary: Tokens of the output layer.
        context: Most positions, for which vLLM keeps room unless ``max_model_len`` says less; 0
            counts what a prompt and its answer take.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parameters: float
    layers: int
    hidden: int
    intermediate: int
    kv_width: int
    vocabulary: int
    context: int = 0

    @property
    def layer_shape(self) -> LayerShape:
        """Return what activations depend on."""
        return LayerShape(self.layers, self.hidden, self.intermediate)

    def adapter_weights(self, rank: int) -> float:
        """Return the weights of LoRA on every linear layer: r (in + out) each."""
        attention = 2 * (2 * self.hidden) + 2 * (self.hidden + self.kv_width)
        return rank * self.layers * (attention + 3 * (self.hidden + self.intermediate))

    def cache_bytes(self, width: int) -> float:
        """Return keys and values of one token, ``width`` bytes a number."""
        return 2 * width * self.layers * self.kv_width

    def nf4_bytes(self) -> float:
        """Return 4 bits and a little a weight, but 16 for embedding and output layer."""
        outside = 2 * self.vocabulary * self.hidden
        matrix = 2 * self.hidden * self.intermediate  # one at a time, in bfloat16
        return 0.52 * (self.parameters - outside) + 2 * outside + matrix


def _like(shape: Backbone, **changes: float) -> Backbone:
    return shape.model_copy(update=changes)


def _shape(parameters: float, *sizes: int) -> Backbone:
    names = ("layers", "hidden", "intermediate", "kv_width", "vocabulary", "context")
    return Backbone(parameters=parameters, **dict(zip(names, sizes, strict=True)))


_LLAMA2_7B = _shape(6.74e9, 32, 4096, 11008, 4096, 32000, 4096)
_LLAMA2_13B = _shape(1.302e10, 40, 5120, 13824, 5120, 32000, 4096)
_LLAMA31_8B = _shape(8.03e9, 32, 4096, 14336, 1024, 128256, 131072)
_LLAMA32_1B = _shape(1.236e9, 16, 2048, 8192, 512, 128256, 131072)
_LLAMA32_3B = _shape(3.213e9, 28, 3072, 8192, 1024, 128256, 131072)
_MISTRAL_7B = _shape(7.242e9, 32, 4096, 14336, 1024, 32000, 32768)
_MISTRAL_7B_V03 = _like(_MISTRAL_7B, parameters=7.248e9, vocabulary=32768)
_QWEN25_05B = _shape(4.94e8, 24, 896, 4864, 128, 151936, 32768)
_QWEN25_15B = _shape(1.544e9, 28, 1536, 8960, 256, 151936, 131072)
_QWEN25_7B = _shape(7.616e9, 28, 3584, 18944, 512, 152064, 131072)
_SMOLLM2_135M = _shape(1.345e8, 30, 576, 1536, 192, 49152, 8192)
_SMOLLM2_360M = _shape(3.618e8, 32, 960, 2560, 320, 49152, 8192)
_SMOLLM2_17B = _shape(1.711e9, 24, 2048, 8192, 2048, 49152, 8192)
_GEMMA3_270M = _shape(2.681e8, 18, 640, 2048, 256, 262144, 32768)

KNOWN: dict[str, Backbone] = {
    "meta-llama/Llama-2-7b-hf": _LLAMA2_7B,
    "meta-llama/Llama-2-7b-chat-hf": _LLAMA2_7B,
    "meta-llama/Llama-2-13b-hf": _LLAMA2_13B,
    "meta-llama/Llama-2-13b-chat-hf": _LLAMA2_13B,
    "meta-llama/Llama-3.1-8B": _LLAMA31_8B,
    "meta-llama/Llama-3.1-8B-Instruct": _LLAMA31_8B,
    "meta-llama/Llama-3.2-1B": _LLAMA32_1B,
    "meta-llama/Llama-3.2-1B-Instruct": _LLAMA32_1B,
    "meta-llama/Llama-3.2-3B": _LLAMA32_3B,
    "meta-llama/Llama-3.2-3B-Instruct": _LLAMA32_3B,
    "mistralai/Mistral-7B-v0.1": _MISTRAL_7B,
    "mistralai/Mistral-7B-Instruct-v0.1": _MISTRAL_7B,
    "mistralai/Mistral-7B-Instruct-v0.2": _MISTRAL_7B,
    "mistralai/Mistral-7B-v0.3": _MISTRAL_7B_V03,
    "mistralai/Mistral-7B-Instruct-v0.3": _MISTRAL_7B_V03,
    "Qwen/Qwen2.5-0.5B": _QWEN25_05B,
    "Qwen/Qwen2.5-0.5B-Instruct": _QWEN25_05B,
    "Qwen/Qwen2.5-1.5B": _QWEN25_15B,
    "Qwen/Qwen2.5-1.5B-Instruct": _like(_QWEN25_15B, context=32768),
    "Qwen/Qwen2.5-7B": _QWEN25_7B,
    "Qwen/Qwen2.5-7B-Instruct": _like(_QWEN25_7B, context=32768),
    "HuggingFaceTB/SmolLM2-135M": _SMOLLM2_135M,
    "HuggingFaceTB/SmolLM2-135M-Instruct": _SMOLLM2_135M,
    "HuggingFaceTB/SmolLM2-360M": _SMOLLM2_360M,
    "HuggingFaceTB/SmolLM2-360M-Instruct": _SMOLLM2_360M,
    "HuggingFaceTB/SmolLM2-1.7B": _SMOLLM2_17B,
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": _SMOLLM2_17B,
    "google/gemma-3-270m": _GEMMA3_270M,
    "google/gemma-3-270m-it": _GEMMA3_270M,
}
"""By Hub id, from the published ``config.json`` of each."""

_BY_NAME = {name.rpartition("/")[2].casefold(): shape for name, shape in KNOWN.items()}


def known_shape(name: str) -> Backbone:
    """Return the shape of a model of :data:`KNOWN`.

    Raises:
        ParameterError: With the nearest name.
    """
    if name not in KNOWN:
        raise ParameterError(
            f"backbone: the sizes of {name!r} are not known;{nearest(name, list(KNOWN))} choose a"
            " model of the same size from " + ", ".join(KNOWN)
        )
    return KNOWN[name]


def shape_of(model: str) -> Backbone | None:
    """Return the shape of a model; None where it is not known.

    A folder says it itself. Elsewhere the last part of the address tells: copies of a model in a
    bucket, or under another owner, keep its name.
    """
    folder = Path(model)
    if model and folder.is_dir():
        return _of_folder(folder)
    return _BY_NAME.get(model.partition("@")[0].rstrip("/").rpartition("/")[2].casefold())


def _of_folder(folder: Path) -> Backbone | None:
    """Return what ``config.json`` and the headers of the weights say; None where they do not."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config = config.get("text_config", config)
        heads = int(config["num_attention_heads"])
        hidden = int(config["hidden_size"])
        head = int(config.get("head_dim") or hidden // heads)
        weights = stored_weights(folder)
        return Backbone(
            parameters=weights,
            layers=int(config["num_hidden_layers"]),
            hidden=hidden,
            intermediate=int(config["intermediate_size"]),
            kv_width=head * int(config.get("num_key_value_heads") or heads),
            vocabulary=int(config["vocab_size"]),
            context=int(config.get("max_position_embeddings") or 0),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        return None  # check_inputs says what is wrong with a model that cannot be read
