"""Reading pretrained weights: any error of the library names the folder, and no weight is random.

A configuration may hold any values, and transformers answers wrong ones by any class of error. It
also fills what a file lacks with random numbers, and only warns.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refine_af.contracts.errors import DataError, RefineAfError
from refine_af.engines.memory import out_of_memory

OPTIONAL_KEYS = re.compile(r"(\.attention\.(bias|masked_bias)|rotary_emb\.inv_freq)$")
"""Buffers that old checkpoints stored and today's classes compute."""

_POOLER = re.compile(r"(^|\.)pooler\.")
"""A layer of encoders that sentence vectors do not go through."""


@contextmanager
def reading(model: str, kind: str) -> Iterator[None]:
    """Turn whatever a library raises about a model's files into an error for people.

    Args:
        model: To be named.
        kind: What it is read as, such as ``a causal LM``.

    Raises:
        DataError: With the library's first line. A missing library and a full memory keep their
            own errors.
    """
    try:
        yield
    except (RefineAfError, ImportError):
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        first = next(iter(str(error).strip().splitlines()), "")[:300]
        raise DataError(
            f"{model}: transformers cannot read it as {kind} ({type(error).__name__}: {first});"
            " see to its config.json, tokenizer and *.safetensors"
        ) from error


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
