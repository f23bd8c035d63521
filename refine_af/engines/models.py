"""Model names become folders with weights, on any machine and without loading a heavy library.

Only safetensors are ever read: pickled weights can run code. No code that travels with a model
is run unless ``trust_remote_code=True`` is passed by name.
"""

import json
import re
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from refine_af import builtin
from refine_af.contracts.errors import (
    DataError,
    DependencyError,
    ParameterError,
    missing_library,
)
from refine_af.engines.pretrained import load_whole, reading
from refine_af.storage.location import locate
from refine_af.storage.manifest import digest_bytes, digest_directory
from refine_af.storage.schemes import open_store
from refine_af.storage.sources import from_hub

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ALLOWED = (
    "builtin:tiny, builtin:fixture, a folder with config.json, s3://BUCKET/KEY, gs://BUCKET/KEY,"
    " or a Hub id such as org/name or org/name@revision"
)
DTYPES = ("auto", "float32", "bfloat16", "float16")
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Quantization = Literal["none", "nf4"]

CAUSAL_LM = "a causal LM"

MOST_LAYERS = 100_000
MOST_WIDTH = 1_000_000
MOST_TOKENS = 100_000_000
MOST_CONFIG_BYTES = 16 * 1024 * 1024
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(@[\w./-]+)?")
_HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
_NOT_FETCHED = ["consolidated*", "original/*"]
"""Files with a second copy of the weights in another format: 14.5 GB for Mistral 7B."""


def resolve_model(model: str) -> Path:
    """Return a local folder with the model's files, downloading them where necessary.

    An object store is read once per process into ``~/.cache/refine-af``, because its content may
    change; the Hub's own cache keeps what comes from the Hub. An existing folder takes precedence
    over a Hub id of the same name.

    Raises:
        ParameterError: The name has none of the allowed forms.
        DataError: A folder without ``config.json`` or with pickled weights only.
        DependencyError: The model cannot be fetched now.
    """
    if model.startswith(builtin.SCHEME):
        return _checked(_embedded(model), model)
    if model and Path(model).is_dir():
        return _checked(Path(model), model)
    if "://" in model:
        return _checked(_stored(model), model)
    return _checked(hub_snapshot(model, _HUB_FILES), model)


def model_revision(model: str) -> str:
    """Return what pins the model: the folder's sha256, or ``hub:<commit>`` for a Hub id.

    With ``HF_HUB_OFFLINE`` set the commit is that of the cache, and the model must be there.

    Raises:
        ParameterError, DataError, DependencyError: As :func:`resolve_model`.
    """
    if not is_hub_id(model):
        return digest_directory(resolve_model(model))
    name, revision = _hub_name(model)
    with _hub_errors(model):
        from huggingface_hub import HfApi
        from huggingface_hub.constants import is_offline_mode

        if is_offline_mode():
            return f"hub:{resolve_model(model).name}"  # a snapshot's folder is named by its commit
        return f"hub:{from_hub(lambda: HfApi().model_info(name, revision=revision).sha)}"


TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")


def check_model(model: str) -> None:
    """Refuse a model that could not be loaded, by its files' names: nothing large is fetched.

    Raises:
        ParameterError: The name has none of the allowed forms.
        DataError: Configuration, tokenizer or safetensors weights are missing.
        DependencyError: The source is not reachable now.
    """
    names = _file_names(model)
    if "config.json" not in names:
        raise DataError(f"{model}: it has no config.json, so it is not a model")
    if not any(name in names for name in TOKENIZER_FILES):
        raise DataError(f"{model}: it has no tokenizer ({', '.join(TOKENIZER_FILES)})")
    if not any(name.endswith(".safetensors") for name in names):
        raise DataError(
            f"{model}: its weights are not safetensors; pickled weights are never read here, so"
            f" convert them (refine-af convert-model {model} FOLDER) and name the folder"
        )


def _file_names(model: str) -> set[str]:
    """Return the names of a model's files, in its first level."""
    if "://" in model:
        if locate(model).scheme not in ("s3", "gs"):
            raise ParameterError(f"model is {model!r}; it must be one of: {ALLOWED}")
        files = open_store(model).list_files(model)
        start = model.rstrip("/") + "/"
        return {uri.removeprefix(start) for uri in files}
    if not is_hub_id(model):
        return {path.name for path in resolve_model(model).iterdir()}
    name, revision = _hub_name(model)
    with _hub_errors(model):
        from huggingface_hub import HfApi
        from huggingface_hub.constants import is_offline_mode

        if is_offline_mode():
            return {path.name for path in resolve_model(model).iterdir()}
        info = from_hub(lambda: HfApi().model_info(name, revision=revision))
        return {file.rfilename for file in info.siblings or ()}


def load_model(
    model: str,
    *,
    dtype: Dtype = "auto",
    device: str = "auto",
    quantization: Quantization = "none",
    trust_remote_code: bool = False,
) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Return the model, in evaluation mode on its device, and its tokenizer.

    Args:
        model: As :func:`resolve_model`.
        dtype: ``auto`` is bfloat16 on a GPU and float32 on the CPU, whatever the file holds.
        device: A torch device; ``auto`` is the first GPU where there is one.
        quantization: ``nf4`` keeps the linear layers in 4 bits (Dettmers et al. 2023, arXiv
            2305.14314); an adapter can be trained beside them.
        trust_remote_code: Whether code that travels with the model may run.

    Raises:
        ParameterError: For ``nf4`` on something else than an NVIDIA GPU.
        MissingLibraryError: When transformers, or bitsandbytes for ``nf4``, is not installed.
    """
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar
    except ImportError as error:
        remedy = "pip install 'refine-af[train]'"
        raise missing_library(error, f"{model}: reading a model", remedy) from None
    # A pod's log is not a terminal; stages report their own progress.
    disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = resolve_model(model)
    target = pick_device(device)
    options: dict[str, Any] = _quantized(target, dtype) if quantization == "nf4" else {}
    with reading(model, CAUSAL_LM):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    loaded = load_whole(
        AutoModelForCausalLM,
        folder,
        model,
        CAUSAL_LM,
        dtype=pick_dtype(dtype, target),
        trust_remote_code=trust_remote_code,
        **options,
    )
    if not options:  # bitsandbytes has placed its own
        loaded.to(target)
    loaded.train(False)
    return loaded, tokenizer


def _quantized(device: "torch.device", dtype: str) -> dict[str, object]:
    """Return what loads a model in 4 bits onto ``device``."""
    if device.type != "cuda":
        raise ParameterError(
            f"quantization is 'nf4', which needs an NVIDIA GPU, and the device is {device.type};"
            " set quantization to none"
        )
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise missing_library(error, "quantization 'nf4'", "pip install 'refine-af[nf4]'") from None
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=pick_dtype(dtype, device),
    )
    return {"quantization_config": config, "device_map": {"": device}}


def pick_device(device: str) -> "torch.device":
    """Return the torch device; ``auto`` is the first GPU, or the CPU."""
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(device)
    except RuntimeError:
        raise ParameterError(f"device is {device!r}; give auto, cpu, cuda or cuda:N") from None


def pick_dtype(dtype: str, device: "torch.device") -> "torch.dtype":
    """Return the torch precision; ``auto`` as :func:`load_model` says."""
    import torch

    if dtype not in DTYPES:
        raise ParameterError(f"dtype is {dtype!r}; it must be one of: {', '.join(DTYPES)}")
    if dtype == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    resolved: torch.dtype = getattr(torch, dtype)
    return resolved


def _checked(folder: Path, model: str) -> Path:
    if not (folder / "config.json").is_file():
        raise DataError(f"{model}: {folder} has no config.json; it is not a model folder")
    if not any(folder.glob("*.safetensors")):
        raise DataError(
            f"{model}: {folder} has no *.safetensors; pickled weights are never read here, so"
            f" convert them: refine-af convert-model {model} FOLDER"
        )
    _refuse_endless(folder / "config.json", model)
    return folder


def _refuse_endless(path: Path, model: str) -> None:
    """Refuse a configuration of more or wider layers than any model has: building has no end."""
    if path.stat().st_size > MOST_CONFIG_BYTES:
        raise DataError(f"{model}: config.json is larger than {MOST_CONFIG_BYTES} bytes")
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise DataError(f"{model}: config.json is not JSON; restore it") from None
    if not isinstance(config, dict):
        raise DataError(
            f"{model}: config.json is {type(config).__name__}; it must be an object: restore it"
        )
    positions = config.get("max_position_embeddings", config.get("n_positions"))
    if positions is not None and not (type(positions) is int and positions > 0):
        raise DataError(
            f"{model}: config.json says max_position_embeddings {positions!r}; it must be a whole"
            " number above 0"
        )
    waiting: list[object] = [config]
    while waiting:
        value = waiting.pop()
        for name, item in value.items() if isinstance(value, dict) else ():
            most = _most(name.lower())
            if most and isinstance(item, int) and item > most:
                raise DataError(f"{model}: config.json says {name} {item}; at most {most} is built")
            waiting.append(item)


def _most(name: str) -> int:
    """Return the largest number that a field of a configuration may hold; 0: any."""
    if any(word in name for word in ("layer", "expert", "depth", "block", "heads")):
        return MOST_LAYERS
    if name == "vocab_size" or "position" in name:
        return MOST_TOKENS
    return MOST_WIDTH if name.endswith(("_size", "_dim", "d_model", "d_ff", "n_embd")) else 0


def _embedded(model: str) -> Path:
    try:
        folder = builtin.resolve(model)
    except ValueError:
        raise ParameterError(f"model is {model!r}; it must be one of: {ALLOWED}") from None
    if not folder.is_dir():
        raise DependencyError(
            f"{model}: its weights are not in this installation; build them with"
            " 'make builtin-model' or install a release"
        )
    return folder


@lru_cache(maxsize=8)
def _stored(uri: str) -> Path:
    if locate(uri).scheme not in ("s3", "gs"):
        raise ParameterError(f"model is {uri!r}; it must be one of: {ALLOWED}")
    cache = Path.home() / ".cache" / "refine-af" / "models"
    folder = cache / digest_bytes(uri.encode())[:32]
    folder.parent.mkdir(parents=True, exist_ok=True)
    open_store(uri).download(uri, folder)
    return folder


def is_hub_id(model: str) -> bool:
    """Return whether this is a Hub id, not a folder or URI."""
    return not (model.startswith(builtin.SCHEME) or Path(model).is_dir() or "://" in model)


def check_name(model: str) -> None:
    """Refuse a name of none of the allowed forms, without asking a store or the Hub.

    Raises:
        ParameterError: With the forms.
        DependencyError: An embedded model that this installation lacks.
    """
    if model.startswith(builtin.SCHEME):
        _embedded(model)
    elif "://" in model and locate(model).scheme not in ("s3", "gs"):
        raise ParameterError(f"model is {model!r}; it must be one of: {ALLOWED}")
    elif is_hub_id(model):
        _hub_name(model)


def _hub_name(model: str) -> tuple[str, str | None]:
    if not _HUB_ID.fullmatch(model):
        raise ParameterError(
            f"model is {model!r}, and there is no such folder; it must be one of: {ALLOWED}"
        )
    name, _, revision = model.partition("@")
    return name, revision or None


def hub_snapshot(model: str, patterns: list[str]) -> Path:
    """Return the Hub's cache folder of a model with the files that match the patterns.

    Raises:
        ParameterError: The name has none of the allowed forms.
        DependencyError: The Hub or, offline, its cache does not give it.
    """
    name, revision = _hub_name(model)
    with _hub_errors(name):
        from huggingface_hub import snapshot_download

        folder = from_hub(
            lambda: snapshot_download(
                name, revision=revision, allow_patterns=patterns, ignore_patterns=_NOT_FETCHED
            )
        )
        return Path(folder)


@contextmanager
def _hub_errors(model: str) -> "Iterator[None]":
    try:
        import httpx
        import huggingface_hub.errors
    except ImportError as error:
        remedy = "pip install 'refine-af[train]'"
        raise missing_library(error, f"{model}: a Hub id", remedy) from None
    try:
        yield
    except (OSError, ValueError, httpx.HTTPError, huggingface_hub.errors.HfHubHTTPError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise DependencyError(
            f"{model}: no folder of that name, and the Hub did not give it ({first}); check the"
            f" name, the network and the access token, or use one of: {ALLOWED}"
        ) from error
