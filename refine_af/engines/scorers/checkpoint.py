"""Loads scorer weights: safetensors only; a missing or unexpected tensor is an error."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from refine_af.contracts.errors import DataError, DependencyError, RefineAfError, missing_library
from refine_af.engines.memory import RowsAtOnce, out_of_memory
from refine_af.engines.pretrained import random_weights, refuse_more_than_stored

Precision = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class Loading:
    """How to load a scorer's model.

    Attributes:
        device: ``auto`` (CUDA where there is one, else the processor), or a torch device name.
        precision: ``auto`` is bfloat16 on CUDA and float32 elsewhere.
        batch_size: Most rows of one forward pass; changes speed and memory, not scores beyond
            float rounding.
        revision: Commit, tag or branch on the hub; empty for a local directory or the default.
    """

    device: str = "auto"
    precision: Precision = "auto"
    batch_size: int = 8
    revision: str = ""


def load_model(model_class: Any, model: str, loading: Loading) -> tuple[Any, Any]:  # noqa: ANN401
    """Return (model in evaluation mode on its device, tokenizer).

    Args:
        model_class: A transformers class with ``from_pretrained``.
        model: Local directory or hub id.
        loading: Device, precision, revision.

    Raises:
        MissingLibraryError: When torch, transformers or a tokenizer library is not installed.
        DependencyError: When the weights cannot be read.
        DataError: When the checkpoint lacks tensors of the class: they would be random numbers.
    """
    import torch

    device = resolved_device(loading.device)
    dtype = _dtype(loading.precision, device)
    options: dict[str, Any] = {"revision": loading.revision} if loading.revision else {}
    try:
        tokenizer = _tokenizer(model, options)
        refuse_more_than_stored(model_class, model, model)
        loaded, report = model_class.from_pretrained(
            model, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
        )
    except ImportError as error:
        raise missing_library(error, f"scorer model {model}", "install that library") from error
    except RefineAfError:
        raise
    except Exception as error:  # a configuration may hold anything; see engines/pretrained.py
        if out_of_memory(error):
            raise
        raise DependencyError(_cannot_load(model, error)) from error
    _refuse_holes(model, model_class.__name__, report)
    return loaded.eval().to(torch.device(device)), tokenizer


def _tokenizer(model: str, options: dict[str, Any]) -> Any:  # noqa: ANN401
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model, **options)


def resolved_device(device: str) -> str:
    """Return the torch device that ``auto`` stands for here, or the name as it is."""
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _dtype(precision: Precision, device: str) -> Any:  # noqa: ANN401  a torch dtype
    import torch

    if precision == "auto":
        return torch.float32 if device == "cpu" else torch.bfloat16
    return getattr(torch, precision)


def _cannot_load(model: str, error: Exception) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"scorer model {model} cannot be loaded: {first}. Give a local directory or a hub id and"
        " revision that holds config.json, the tokenizer and *.safetensors; .bin files are"
        " pickle and are never loaded, convert them once with safetensors"
    )


def _refuse_holes(model: str, class_name: str, report: Any) -> None:  # noqa: ANN401
    names = random_weights(report)
    if names:
        raise DataError(
            f"scorer model {model} is not a {class_name}: its weights lack"
            f" {', '.join(names[:3])}, which would be random numbers."
            " Name a checkpoint that was trained as this kind of scorer"
        )


def in_batches(
    lengths: Sequence[int], batch_size: int, score: Callable[[Sequence[int]], None]
) -> None:
    """Call ``score`` with positions in batches of similar length, longest first; ties in order.

    Longest first, so that a batch which does not fit in memory is halved at once, and with it all
    that follow.

    Raises:
        MemoryShortageError: When one row does not fit.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    lower = "the guard guard_max_words, or set scorer_device to cpu"
    RowsAtOnce(batch_size, task="scoring", lower=lower).run(order, score)


def right_padded(rows: Sequence[Sequence[int]], pad: int, device: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Return (ids, mask), both int64 of shape [rows, longest], padded on the right with ``pad``."""
    import torch

    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids.to(device), mask.to(device)
