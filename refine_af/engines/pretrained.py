"""Reading pretrained weights: any error of the library names the folder, and no weight is random.

A configuration may hold any values, and transformers answers wrong ones by any class of error. It
also fills what a file lacks with random numbers, and only warns.
"""

import json
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

from refine_af.contracts.errors import DataError, RefineAfError, missing_library
from refine_af.engines.memory import out_of_memory

OPTIONAL_KEYS = re.compile(r"(\.attention\.(bias|masked_bias)|rotary_emb\.inv_freq)$")
"""Buffers that old checkpoints stored and today's classes compute."""

_POOLER = re.compile(r"(^|\.)pooler\.")
"""A layer of encoders that sentence vectors do not go through."""


MOST_HEADER_BYTES = 100 * 1024 * 1024
"""Of a safetensors file, as its format bounds it."""

MOST_RANDOM = 10**8
"""Most weights beyond those that the files hold for which memory is taken, to name them after."""


@contextmanager
def reading(model: str, kind: str) -> Iterator[None]:
    """Turn whatever a library raises about a model's files into an error for people.

    Args:
        model: To be named.
        kind: What it is read as, such as ``a causal LM``.

    Raises:
        DataError: With the library's first line. A full memory keeps its own error.
        MissingLibraryError: When the model's own configuration needs a library that is not here.
    """
    try:
        yield
    except RefineAfError:
        raise
    except ImportError as error:  # as its configuration asks for: a way of packing weights
        remedy = "install that library, or name a model that does not need it"
        raise missing_library(error, f"{model}: reading it as {kind}", remedy) from error
    except Exception as error:
        if out_of_memory(error):
            raise
        first = next(iter(str(error).strip().splitlines()), "")[:300]
        raise DataError(
            f"{model}: transformers cannot read it as {kind} ({type(error).__name__}: {first});"
            " see to its config.json, tokenizer and *.safetensors"
        ) from error


def refuse_more_than_stored(model_class: Any, folder: str | Path, model: str) -> None:  # noqa: ANN401
    """Refuse a configuration of many more weights than the files hold, before memory is taken.

    transformers reserves memory for all of them, and only then says which ones the files lack.
    Packed (quantized) weights are not counted, nor a model of the Hub, nor code of its own.

    Args:
        model_class: An Auto class of transformers, or a class of its models.
        folder: Of the model.
        model: To be named.

    Raises:
        DataError: With both numbers.
    """
    import torch
    from transformers import AutoConfig

    if not Path(folder).is_dir():
        return
    config = (getattr(model_class, "config_class", None) or AutoConfig).from_pretrained(folder)
    if getattr(config, "quantization_config", None) or getattr(config, "auto_map", None):
        return
    build = getattr(model_class, "from_config", None) or model_class._from_config
    with torch.device("meta"):
        described = sum(weight.numel() for weight in build(config).parameters())
    held = stored_weights(Path(folder))
    if described - held > MOST_RANDOM:
        raise DataError(
            f"{model}: config.json describes {described:,} weights and its *.safetensors hold"
            f" {held:,}; they are of different models, or a file is missing"
        )


def stored_weights(folder: Path) -> int:
    """Return how many numbers the safetensors files of a folder hold, by their headers.

    Raises:
        ValueError: For a header that is none, or is larger than :data:`MOST_HEADER_BYTES`.
        struct.error: For a file that ends before its header.
    """
    return sum(_stored_in(path) for path in sorted(folder.glob("*.safetensors")))


def _stored_in(path: Path) -> int:
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > MOST_HEADER_BYTES:
            raise ValueError(f"{path}: a header of {size} bytes")
        header: dict[str, Any] = json.loads(file.read(size))
    return sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")


def random_weights(report: Mapping[str, Any], *, pooler: bool = True) -> list[str]:
    """Return the names of weights that the files lack, from transformers' loading report.

    Args:
        report: What ``output_loading_info`` gives.
        pooler: Whether the model is used with its pooler.
    """
    missing = [str(key) for key in sorted(report["missing_keys"]) if not OPTIONAL_KEYS.search(key)]
    odd = [str(key) for key in sorted(report.get("mismatched_keys", ()), key=str)]
    return [key for key in (*missing, *odd) if pooler or not _POOLER.search(key)]


def load_whole(
    model_class: Any,  # noqa: ANN401  an Auto class of transformers
    folder: str | Path,
    model: str,
    kind: str,
    *,
    pooler: bool = True,
    **options: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Return a model of safetensors, all weights of which come from its files.

    Args:
        model_class: With ``from_pretrained``.
        folder: Of the model.
        model: To be named.
        kind: As of :func:`reading`.
        pooler: As of :func:`random_weights`.
        options: For ``from_pretrained``.

    Raises:
        DataError: For files that cannot be read, or that lack weights.
    """
    with reading(model, kind):
        if not options.get("trust_remote_code"):
            refuse_more_than_stored(model_class, folder, model)
        loaded, report = model_class.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **options
        )
    names = random_weights(report, pooler=pooler)
    if names:
        raise DataError(
            f"{model}: {len(names)} weights of {kind} are not in its files, such as"
            f" {', '.join(names[:3])}, and would be random numbers; config.json and *.safetensors"
            " are of different models, or a file is missing"
        )
    return loaded
