"""Optimizer, schedule and generators as safetensors and JSON, so that no pickle is ever read.

A state is a tree of dictionaries, lists, tuples, scalars, tensors and arrays. Tensors go to
``NAME.safetensors``, everything else to ``NAME.json``, where floats survive bit for bit (Python
writes the shortest text that reads back as the same number).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file


def save_state(tree: object, folder: Path, name: str) -> None:
    """Write a state to ``folder``.

    Raises:
        TypeError: For a value of any other type.
    """
    tensors: dict[str, torch.Tensor] = {}
    text = json.dumps(_encoded(tree, tensors), separators=(",", ":"))
    save_file(tensors, folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def load_state(folder: Path, name: str) -> Any:  # noqa: ANN401  whatever was saved
    """Return the state that :func:`save_state` wrote, tensors on the CPU."""
    tensors = load_file(folder / f"{name}.safetensors")
    return _decoded(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")), tensors)


def _encoded(value: object, tensors: dict[str, torch.Tensor]) -> object:
    """Return ``value`` with every container as a [kind, content] pair."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor):
        key = f"{len(tensors):06d}"
        # A copy: safetensors refuses tensors that share memory.
        tensors[key] = value.detach().cpu().contiguous().clone()
        return ["tensor", key]
    if isinstance(value, np.ndarray):
        return ["array", [value.dtype.str, value.tolist()]]
    if isinstance(value, dict):
        pairs = [[_encoded(key, tensors), _encoded(item, tensors)] for key, item in value.items()]
        return ["dict", pairs]
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return [kind, [_encoded(item, tensors) for item in value]]
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def _decoded(value: Any, tensors: dict[str, torch.Tensor]) -> Any:  # noqa: ANN401
    if not isinstance(value, list):
        return value
    kind, content = value
    if kind == "tensor":
        return tensors[content]
    if kind == "array":
        return np.asarray(content[1], dtype=np.dtype(content[0]))
    if kind == "dict":
        return {_decoded(key, tensors): _decoded(item, tensors) for key, item in content}
    items = [_decoded(item, tensors) for item in content]
    return items if kind == "list" else tuple(items)
