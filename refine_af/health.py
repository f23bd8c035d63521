"""Whether a stage or a run can start in this environment, and which extra to install."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib.util import find_spec

from refine_af.contracts.errors import MissingLibraryError
from refine_af.contracts.stage import Stage

CORE = ("pydantic", "rapidfuzz", "jinja2", "matplotlib")
TORCH = ("torch", "transformers")
TRAIN = (*TORCH, "peft", "trl", "datasets")
KFP = ("kfp", "kfp.kubernetes", "psutil")


@dataclass(frozen=True, slots=True)
class Extra:
    """An optional part of the installation: ``pip install 'refine-af[name]'``."""

    name: str
    purpose: str
    modules: tuple[str, ...]


EXTRAS = (
    Extra("local", "a whole run on this machine: the pipeline, training, generation", KFP + TRAIN),
    Extra("pipelines", "compile and submit to KFP and Argo", KFP),
    Extra("train", "PPO, fine-tuning and scoring models on your own images", TRAIN),
    Extra("vllm", "generation with vLLM, on NVIDIA GPUs", (*TORCH, "vllm")),
    Extra("openai", "generation and judging through an OpenAI-compatible endpoint", ("aiohttp",)),
    Extra("s3", "s3:// and minio:// addresses", ("boto3",)),
    Extra("gcs", "gs:// addresses", ("google.cloud.storage",)),
    Extra("lm-eval", "tasks of lm-evaluation-harness in evaluate", ("lm_eval",)),
)
ENGINE_MODULES = {"vllm": ("vllm",), "openai": ("aiohttp",)}
"""What a text engine needs besides the stage's own libraries."""

_BASES = {"core": CORE, "vllm": CORE + TORCH, "train": CORE + TRAIN}


def is_installed(module: str) -> bool:
    """Return whether a module can be imported, without importing it or its siblings."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False


def missing_modules(modules: Iterable[str]) -> list[str]:
    """Return those that are not installed, in order, once each."""
    return [module for module in dict.fromkeys(modules) if not is_installed(module)]


def smallest_extra(modules: Collection[str]) -> str:
    """Return the extra that brings all these modules with the least besides; or nothing."""
    fitting = [extra for extra in EXTRAS if set(modules) <= set(extra.modules)]
    return min(fitting, key=lambda extra: len(extra.modules)).name if fitting else ""


def check(stage: Stage) -> list[str]:
    """Return what is missing for the stage, a sentence each; empty means that it can start."""
    missing = missing_modules(_BASES[stage.image])
    if not missing:
        return []
    extra = smallest_extra(missing)
    install = f"refine-af[{extra}]" if extra else "refine-af"
    return [f"{', '.join(missing)} missing: pip install '{install}'"]


def require_for_run(engines: Collection[str]) -> None:
    """Refuse a run on this machine in its first second where a library is missing.

    Args:
        engines: The text engines that the run's tasks use.

    Raises:
        MissingLibraryError: With the one line to type.
    """
    missing = missing_modules(CORE + KFP + TRAIN)
    extras = ["local"] if missing else []
    for engine in sorted(engines):
        if absent := missing_modules(ENGINE_MODULES.get(engine, ())):
            missing += absent
            extras.append(engine)
    if missing:
        raise MissingLibraryError(
            f"this run needs {', '.join(missing)}, not installed here;"
            f" type: pip install 'refine-af[{','.join(extras)}]'"
        )
