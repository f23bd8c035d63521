"""Rows from anywhere: packaged files, paths, object stores, HTTPS, Hub data sets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import refine_af
from refine_af.contracts.errors import DataError, ParameterError, StorageError, missing_library
from refine_af.storage.location import locate
from refine_af.storage.manifest import digest_path, require_regular
from refine_af.storage.retry import STATUS_CODES, causes, is_permanent, repeated
from refine_af.storage.schemes import open_source
from refine_af.storage.store import MissingObjectError

Result = TypeVar("Result")

SEEDS = "seed_tasks.jsonl"
PACKAGE = Path(refine_af.__file__).parent
_INSTALLED = PACKAGE / "builtin" / SEEDS
BUILTIN = {
    "builtin:seeds": _INSTALLED if _INSTALLED.exists() else PACKAGE.parent / "seeds" / SEEDS,
    "builtin:tasks": PACKAGE / "builtin" / "tasks",
}
"""Packaged data by its ``builtin:`` name."""
MADE = ("builtin:training-instructions",)
"""Data that the package's code generates; its readers know how."""


def fetch_source(uri: str, folder: Path) -> Path:
    """Return a local path of what ``uri`` names; remote content is downloaded into ``folder``.

    Raises:
        ParameterError: For an unknown ``builtin:`` name or a scheme that is not allowed.
        DataError: When nothing is there.
        StorageError: When the store cannot be read.
    """
    if uri.startswith("builtin:"):
        if uri not in BUILTIN:
            raise ParameterError(f"{uri} does not exist; there are: {', '.join(BUILTIN)}")
        return BUILTIN[uri]
    return fetch(uri, folder)


def fetch(uri: str, folder: Path) -> Path:
    """Return a local path with the content of ``uri``: itself when local, else a copy.

    Raises:
        DataError: When nothing is there.
    """
    location = locate(uri)
    if location.scheme == "local":
        path = Path(uri)
        if not path.exists():
            raise MissingObjectError(f"{uri}: no such file or directory; check the path")
        return path if path.is_dir() else require_regular(path)
    target = folder / (location.key.rsplit("/", 1)[-1].partition("?")[0] or "content")
    open_source(uri).download(uri, target)
    return target


def fingerprint(uri: str) -> str:
    """Return what changes whenever the content that ``uri`` names does.

    Raises:
        ParameterError, DataError, StorageError: As :func:`fetch_source`.
    """
    if uri in MADE:
        return uri  # the code's version covers it
    if uri.startswith("builtin:"):
        return digest_path(fetch_source(uri, Path()))
    if uri.startswith("hf://"):
        return _hub_commit(uri)
    if "://" not in uri and not Path(uri).exists():
        raise MissingObjectError(f"{uri}: no such file or directory; check the path")
    return open_source(uri).fingerprint(uri)


def _hub_commit(uri: str) -> str:
    from huggingface_hub import HfApi

    name = uri.removeprefix("hf://").partition(":")[0]
    return f"hub:{_asked_of_hub(uri, lambda: HfApi().dataset_info(name).sha)}"


def _asked_of_hub(uri: str, request: Callable[[], Result]) -> Result:
    try:
        return from_hub(request)
    except (OSError, ValueError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise StorageError(
            f"{uri}: the Hub did not give this data set ({first}); check its name and split, the"
            " network and the access token"
        ) from error


def fetch_named(uri: str, folder: Path) -> Path | None:
    """Return :func:`fetch_source`'s result, or None for an empty name."""
    return fetch_source(uri, folder) if uri else None


def fetch_rows_file(uri: str, folder: Path) -> Path:
    """Return a local file of the rows that ``uri`` names, for ``contracts.jsonl.iter_objects``.

    A Hub data set (``hf://owner/name`` or ``hf://owner/name:split``) is written as JSON Lines,
    rows in their order, through ``datasets``.
    """
    if uri.startswith("hf://"):
        return _from_hub(uri, folder / "hub.jsonl")
    path = fetch_source(uri, folder)
    if path.is_dir():
        raise DataError(f"{uri}: it is a folder; name the file with the rows")
    return path


def _from_hub(uri: str, target: Path) -> Path:
    try:
        import datasets
    except ImportError as error:
        remedy = "pip install 'refine-af[train]'"
        raise missing_library(error, f"{uri}: reading a Hub data set", remedy) from None
    name, _, split = uri.removeprefix("hf://").partition(":")
    data = _asked_of_hub(uri, lambda: datasets.load_dataset(name, split=split or "train"))
    return _write(data.to_list(), target)


def from_hub(request: Callable[[], Result]) -> Result:
    """Return what a request to the Hub returns, repeated under the retry policy."""
    import httpx

    def passes(error: Exception) -> bool:
        if is_permanent(error):
            return False
        for cause in causes(error):
            response = getattr(cause, "response", None)
            if isinstance(response, httpx.Response):
                return response.status_code in STATUS_CODES
            if isinstance(cause, httpx.TransportError):
                return True
        return False

    return repeated(request, passes)


def _write(rows: list[dict[str, object]], target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows]
    target.write_text("".join(lines), encoding="utf-8", newline="\n")
    return target
