"""Pickled weights become safetensors: ``refine-af convert-model``.

Nothing else in this project reads a pickle, because one can run code. torch's loader for weights
alone (``weights_only=True``) refuses everything but tensors and plain containers; what it refuses
is refused here too.
"""

import json
import pickle
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.engines.models import hub_snapshot, is_hub_id
from refine_af.storage.schemes import open_store

INDEX = "pytorch_model.bin.index.json"
ONE_FILE = "pytorch_model.bin"
NEVER_COPIED = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".py", ".safetensors")
_FROM_HUB = ["*.bin", "*.bin.index.json", "*.json", "*.jinja", "*.txt", "*.model"]


def convert_model(source: str, target: Path) -> int:
    """Write the model at ``source`` with safetensors weights to ``target``; return its tensors.

    Args:
        source: A folder, s3://BUCKET/KEY, gs://BUCKET/KEY, or a Hub id.
        target: A folder that does not exist yet, or is empty.

    Raises:
        ParameterError: When ``target`` holds something.
        DataError: When there are no pickled weights, or they hold more than tensors.
        DependencyError: When the source cannot be fetched now.
    """
    if target.exists() and any(target.iterdir()):
        raise ParameterError(f"{target} is not empty; name a new folder")
    with tempfile.TemporaryDirectory() as scratch:
        folder = _fetched(source, Path(scratch))
        shards = _shards(folder, source)
        target.mkdir(parents=True, exist_ok=True)
        files: dict[str, str] = {}
        size = 0
        for number, shard in enumerate(shards, start=1):
            name = "model.safetensors"
            if len(shards) > 1:
                name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
            tensors = _tensors(shard)
            save_file(tensors, target / name, metadata={"format": "pt"})
            _require_same(tensors, load_file(target / name), shard)
            files |= dict.fromkeys(tensors, name)
            size += sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        if len(shards) > 1:
            index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(files.items()))}
            text = json.dumps(index, indent=2) + "\n"
            (target / "model.safetensors.index.json").write_text(text, encoding="utf-8")
        _copy_rest(folder, target)
    return len(files)


def _fetched(source: str, scratch: Path) -> Path:
    if Path(source).is_dir():
        return Path(source)
    if is_hub_id(source):
        return hub_snapshot(source, _FROM_HUB)
    folder = scratch / "model"
    open_store(source).download(source, folder)
    return folder


def _shards(folder: Path, source: str) -> list[Path]:
    """Return the files of weights that the model's index names, or its one file."""
    if (folder / ONE_FILE).is_file():
        return [folder / ONE_FILE]
    if not (folder / INDEX).is_file():
        raise DataError(
            f"{source}: neither {ONE_FILE} nor {INDEX} is there; nothing is to be converted"
        )
    try:
        names = set(json.loads((folder / INDEX).read_bytes())["weight_map"].values())
    except (ValueError, KeyError, AttributeError) as error:
        raise DataError(f"{source}: {INDEX} cannot be read ({error})") from None
    wrong = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
    if wrong:
        raise DataError(f"{source}: {INDEX} names {sorted(wrong)[0]!r}, which is not there")
    return [folder / name for name in sorted(names)]


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file, each with memory of its own, as safetensors wants them."""
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path}: it holds more than tensors, or is damaged ({said}); take the weights from a"
            " source that you trust"
        ) from None
    if not isinstance(loaded, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in loaded.values()
    ):
        raise DataError(f"{path}: it is not a table of tensors by name")
    return {str(name): value.clone().contiguous() for name, value in loaded.items()}


def _require_same(
    wanted: Mapping[str, torch.Tensor], written: Mapping[str, torch.Tensor], path: Path
) -> None:
    if {name: (tensor.shape, tensor.dtype) for name, tensor in wanted.items()} != {
        name: (tensor.shape, tensor.dtype) for name, tensor in written.items()
    } or not all(_equal(wanted[name], written[name]) for name in wanted):
        raise DataError(f"{path}: what was written differs from it; the disk may be damaged")


def _equal(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Compare bits, so that a NaN weight equals itself."""
    return torch.equal(first.flatten().view(torch.uint8), second.flatten().view(torch.uint8))


def _copy_rest(folder: Path, target: Path) -> None:
    """Copy configuration and tokenizer; no weights in other forms, no code."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.endswith((*NEVER_COPIED, ".bin.index.json")):
            shutil.copyfile(path, target / path.name)
