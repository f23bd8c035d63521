"""The embedded start model, its skills, its reward and its gold scorer.

Importing this package loads no heavy library: it only knows where the files are.
"""

from __future__ import annotations

from pathlib import Path

SCHEME = "builtin:"
PAD_ID, EOS_ID = 0, 1
"""Control ids of the embedded tokenizer."""

LICENCE = "Apache-2.0"
"""Of the embedded weights and of the text that they were trained on, see the README."""

_WEIGHTS = Path(__file__).parent / "weights"
PATHS: dict[str, Path] = {
    "tiny": _WEIGHTS / "tiny",
    "fixture": _WEIGHTS / "fixture",
    "tiny-reward": _WEIGHTS / "reward",
    "tasks": Path(__file__).parent / "tasks",
}


def resolve(name: str) -> Path:
    """Return the folder of an embedded model or data set such as ``builtin:tiny``.

    Raises:
        ValueError: The name is not one of the embedded ones; the message lists them.
    """
    key = name.removeprefix(SCHEME)
    if not name.startswith(SCHEME) or key not in PATHS:
        allowed = ", ".join(SCHEME + k for k in PATHS)
        raise ValueError(f"unknown embedded model {name!r}; allowed: {allowed}")
    return PATHS[key]
