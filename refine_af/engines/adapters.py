"""LoRA adapters: read from safetensors, checked against the model, applied."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError, safe_open

from refine_af.contracts.errors import DataError, missing_library
from refine_af.contracts.patterns import pattern_trouble

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
MOST_PATTERNS = 10_000


def check_adapter_folder(adapter: Path) -> dict[str, object]:
    """Return the adapter's configuration.

    Raises:
        DataError: The folder lacks the configuration or the safetensors weights.
    """
    for name in (CONFIG, WEIGHTS):
        if not (adapter / name).is_file():
            raise DataError(
                f"{adapter}: no {name}; an adapter is a PEFT folder with {CONFIG} and {WEIGHTS}"
            )
    try:
        config = json.loads((adapter / CONFIG).read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{adapter / CONFIG}: not JSON ({error})") from None
    if not isinstance(config, dict):
        raise DataError(f"{adapter / CONFIG}: it must be a JSON object")
    _refuse_code(config, adapter / CONFIG)
    _refuse_slow_patterns(config, adapter / CONFIG)
    return config


def _refuse_slow_patterns(config: dict[str, object], path: Path) -> None:
    """Refuse patterns for module names whose matching could take exponential time."""
    for name in ("target_modules", "exclude_modules", "layers_pattern", "rank_pattern",
                 "alpha_pattern", "target_parameters", "modules_to_save"):  # fmt: skip
        value = config.get(name)
        patterns = [value] if isinstance(value, str) else list(cast(Any, value or ()))
        if len(patterns) > MOST_PATTERNS:
            raise DataError(f"{path}: {name} has {len(patterns)} entries, of {MOST_PATTERNS}")
        for pattern in patterns:
            if trouble := pattern_trouble(str(pattern)):
                shown = str(pattern)[:80]
                raise DataError(
                    f"{path}: {name} {shown!r} is refused: {trouble}; write the names of the"
                    " modules, or .* and alternatives such as .*[.](q_proj|v_proj)"
                )


def _refuse_code(config: dict[str, object], path: Path) -> None:
    """Refuse a configuration that is not LoRA or that makes PEFT import modules that it names."""
    if config.get("peft_type") != "LORA":
        raise DataError(f"{path}: peft_type is {config.get('peft_type')!r}; it must be LORA")
    harmless = {"auto_mapping": _names_transformers(config.get("auto_mapping"))}
    for name in ("auto_mapping", "megatron_config"):
        if config.get(name) and not harmless.get(name):
            raise DataError(
                f"{path}: {name} names code to import, which an adapter may not; remove the entry"
            )


def _names_transformers(mapping: object) -> bool:
    """Return whether this is PEFT's own record of the base model's class."""
    library = mapping.get("parent_library") if isinstance(mapping, dict) else None
    return isinstance(library, str) and library.split(".")[0] == "transformers"


def require_base(adapter: Path, model: str) -> None:
    """Refuse an adapter whose configuration names another base model than ``model``.

    Models of one shape accept each other's adapters without an error. Names are compared where both
    are packaged names or Hub ids, and of those what follows the owner, because copies keep it; a
    path or a URI is not compared.

    Raises:
        DataError: The names differ, or the adapter is incomplete.
    """
    base = str(check_adapter_folder(adapter).get("base_model_name_or_path") or "")
    if {_is_path(base), _is_path(model)} == {False} and _short(base) != _short(model):
        raise DataError(
            f"{adapter}: the adapter was trained on {base}, the model is {model}; use the model"
            f" that it was trained on, or, if both hold the same weights, write the model's name"
            f" as base_model_name_or_path into its {CONFIG}"
        )


def _is_path(model: str) -> bool:
    """Tell whether this is a path, a URI or nothing."""
    return not model or "://" in model or model.startswith((".", "/", "~")) or Path(model).is_dir()


def _short(name: str) -> str:
    return name.partition("@")[0].rsplit("/", 1)[-1].lower()


def adapter_rank(adapter: Path, model: Path) -> int:
    """Return the largest rank of the adapter's matrices, found in its file.

    Raises:
        DataError: The adapter is incomplete, or its shapes are not those of ``model``'s weights.
    """
    check_adapter_folder(adapter)
    weights = {
        name: shape for file in model.glob("*.safetensors") for name, shape in _shapes(file).items()
    }
    ranks = [0]
    for name, shape in _shapes(adapter / WEIGHTS).items():
        module, part, _ = name.removeprefix("base_model.model.").partition(".lora_")
        whole = weights.get(f"{module}.weight")
        if not part or whole is None or len(whole) != 2:
            raise DataError(_misfit(adapter, f"the model has no matrix for {name}"))
        side, rank = (shape[1], shape[0]) if name.endswith("lora_A.weight") else shape
        if side != whole[1 if name.endswith("lora_A.weight") else 0]:
            raise DataError(_misfit(adapter, f"{name} is {shape}, the model's matrix is {whole}"))
        ranks.append(rank)
    return max(ranks)


def _shapes(file: Path) -> dict[str, list[int]]:
    try:
        with safe_open(file, framework="pt") as opened:
            return {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"{file}: not a safetensors file ({error}); restore it") from None


def apply_adapter(model: "PreTrainedModel", adapter: Path) -> "PreTrainedModel":
    """Return the model with the adapter in force.

    In float32 the adapter is added into the weights, which makes decoding as fast as without;
    in half precisions the sum would be rounded, so the adapter stays beside them.

    Raises:
        DataError: The adapter is incomplete or was made for another model.
    """
    try:
        from peft import PeftModel
    except ImportError as error:
        remedy = "pip install 'refine-af[train]'"
        raise missing_library(error, f"{adapter}: an adapter", remedy) from None
    check_adapter_folder(adapter)
    try:
        tuned = PeftModel.from_pretrained(model, str(adapter))
        with safe_open(adapter / WEIGHTS, framework="pt") as file:
            stored = set(file.keys())
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise DataError(_misfit(adapter, str(error))) from error
    _require_same_names(tuned, stored, adapter)
    if model.dtype == torch.float32:
        return cast("PreTrainedModel", tuned.merge_and_unload())
    tuned.requires_grad_(False).eval()
    return cast("PreTrainedModel", tuned)


def _require_same_names(tuned: "PeftModel", stored: set[str], adapter: Path) -> None:
    """PEFT only warns when the file has more or fewer layers than the model."""
    from peft import get_peft_model_state_dict

    wanted = set(get_peft_model_state_dict(tuned))
    strange = sorted(stored ^ wanted)
    if strange:
        side = "only in the adapter" if strange[0] in stored else "missing in the adapter"
        raise DataError(_misfit(adapter, f"{len(strange)} weights differ: {strange[0]} is {side}"))


def _misfit(adapter: Path, detail: str) -> str:
    first = " ".join(detail.split())[:300]
    return (
        f"{adapter}: the adapter does not fit the model ({first}); use the model that it was"
        " trained on"
    )
