"""From a configuration and a profile to KFP IR YAML."""

import json
import logging
from pathlib import Path

import yaml
from kfp import compiler

from pipelines.config import RunConfig
from pipelines.flow import Images
from pipelines.refine_af import build
from pipelines.slim import slim
from refine_af import __version__
from refine_af.contracts.errors import ParameterError
from refine_af.stages import STAGES
from refine_af.targets.placement import load_profile


def compile_to_file(
    config: RunConfig,
    profile: str,
    target: Path,
    *,
    registry: str = "",
    tag: str = "",
    digests: dict[str, str] | None = None,
) -> None:
    """Write the IR YAML of a pipeline (two documents: the pipeline, then what Kubernetes adds)."""
    images = Images(registry, tag or __version__, digests or {})
    pipeline = build(config, load_profile(profile), images)
    logging.getLogger("kfp").setLevel(logging.ERROR)
    target.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(pipeline, str(target))
    spec, *platform = yaml.safe_load_all(target.read_text(encoding="utf-8"))
    slim(spec, platform[0] if platform else {})
    with target.open("w", encoding="utf-8") as sink:
        yaml.safe_dump_all([spec, *platform], sink, sort_keys=True, width=4000)


def read_digests(path: str) -> dict[str, str]:
    """Return image digests by stage from a JSON file."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ParameterError(f"--images {path}: cannot be read as JSON ({error})") from None
    known = {stage.name for stage in STAGES}
    for name, digest in found.items():
        if name not in known or not str(digest).startswith("sha256:"):
            raise ParameterError(
                f"--images {path}: {name!r}: {digest!r}; write a stage's name and sha256:..."
            )
    return {str(name): str(digest) for name, digest in found.items()}
