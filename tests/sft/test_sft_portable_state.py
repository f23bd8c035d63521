import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_af.sft.portable_state import load_state, save_state

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.integers() | st.text(), inner)
    ),
)


def round_trip(tree: object) -> Any:  # noqa: ANN401
    with tempfile.TemporaryDirectory() as folder:
        save_state(tree, Path(folder), "one")
        return load_state(Path(folder), "one")


@settings(max_examples=50)
@given(TREES)
def test_trees_come_back_with_their_types(tree: object) -> None:
    assert repr(round_trip(tree)) == repr(tree)


def test_tensors_come_back_with_dtype_shape_and_bits() -> None:
    shared = torch.arange(6, dtype=torch.bfloat16).reshape(2, 3)
    tree = {0: {"a": shared, "b": shared}, "s": (torch.tensor(1.5), [torch.zeros(0)])}
    found = round_trip(tree)
    assert found[0]["a"].dtype == torch.bfloat16
    assert torch.equal(found[0]["a"], shared)
    assert torch.equal(found[0]["b"], shared)
    assert found["s"][0].shape == ()
    assert found["s"][1][0].shape == (0,)


def test_generators_go_on_where_they_were() -> None:
    states = (random.getstate(), np.random.get_state(), torch.random.get_rng_state())
    expected = (random.random(), np.random.random(), torch.rand(3))
    python, numpy_state, torch_state = round_trip(states)
    random.setstate(python)
    np.random.set_state(numpy_state)
    torch.random.set_rng_state(torch_state)
    assert random.random() == expected[0]
    assert np.random.random() == expected[1]
    assert torch.equal(torch.rand(3), expected[2])
