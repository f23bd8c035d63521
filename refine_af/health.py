"""Whether a stage can start in this environment."""

from importlib.util import find_spec

from refine_af.contracts.stage import Stage

NEEDED = {
    "core": ("pydantic", "rapidfuzz", "jinja2", "matplotlib", "fsspec"),
    "vllm": ("torch", "transformers"),
    "train": ("torch", "transformers", "peft", "trl", "datasets"),
}
"""Modules by base image. A text engine's own library is asked for when the engine is opened."""

EXTRA = {"core": "", "vllm": "vllm", "train": "train"}


def check(stage: Stage) -> list[str]:
    """Return what is missing for the stage, a sentence each; empty means that it can start."""
    bases = ("core",) if stage.image == "core" else ("core", stage.image)
    return [
        f"{module} is not installed; pip install 'refine-af[{EXTRA[base]}]'".replace("[]", "")
        for base in bases
        for module in NEEDED[base]
        if find_spec(module) is None
    ]
