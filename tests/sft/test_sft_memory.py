"""What fine-tuning keeps in memory: real modules at real widths, with fake tensors (no numbers)."""

import pytest
from ppo_memory import SHAPES, resized
from sft_memory import Piece, piece_peak, trainable_on_meta

from refine_af.ppo.activations import LayerShape, kept_bytes, update_bytes
from refine_af.sft.params import SFTParams

FEW_WORDS = 512
"""Tokens of the vocabulary: what logits take is a term of its own, in tiles of fixed size."""

NARROW = {"hidden_size": 1024, "intermediate_size": 3072, "num_attention_heads": 16}
GROUPED = {"llama2-7b": 16, "mistral-7b": 4, "qwen2.5-1.5b": 2}


def piece(
    name: str, layers: int, sizes: dict[str, int], tokens: int, recompute: bool, method: str
) -> Piece:
    """Return what 2 rows of a backbone with other sizes need."""
    config = resized(SHAPES[name], layers, vocab_size=FEW_WORDS, **sizes)
    model = trainable_on_meta(config, SFTParams.parse({"method": method}))
    return piece_peak(model, 2, tokens, recompute=recompute)


@pytest.mark.parametrize("sizes", [{}, NARROW], ids=["real", "narrow"])
@pytest.mark.parametrize("name", sorted(GROUPED))
def test_the_formula_says_what_a_layer_keeps(name: str, sizes: dict[str, int]) -> None:
    """Two shapes of each family, by the difference of four layers and two."""
    own = sizes | ({"num_key_value_heads": GROUPED[name]} if sizes else {})
    few, more = (piece(name, layers, own, 128, False, "lora") for layers in (2, 4))
    config = resized(SHAPES[name], 2, **own)
    shape = LayerShape(2, config.hidden_size, config.intermediate_size)
    measured = (more.peak - more.weights - more.trained) - (few.peak - few.weights - few.trained)
    expected = kept_bytes(shape, 2 * 128, half=True, dropout=True)
    assert measured == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize(
    ("name", "method"),
    [*((name, "lora") for name in sorted(SHAPES)), ("llama2-7b", "full"), ("qwen2.5-1.5b", "full")],
)
def test_the_formula_of_a_piece_holds_at_full_size(name: str, method: str) -> None:
    """Weights and Adam's moments aside, with gradients and autocast's copies of the adapter."""
    config = SHAPES[name]
    layers = config.num_hidden_layers if method == "lora" else 8
    found = piece(name, layers, {}, 2048, True, method)
    shape = LayerShape(layers, config.hidden_size, config.intermediate_size)
    besides = (1.5 if method == "lora" else 1.0) * found.trained
    expected = besides + update_bytes(
        shape, 2 * 2048, half=True, recomputed=True, dropout=method == "lora"
    )
    assert found.peak - found.weights == pytest.approx(expected, rel=0.15)
