"""From a configuration and a profile to KFP IR YAML."""

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import yaml
from kfp import compiler

from pipelines.config import RunConfig
from pipelines.flow import Images
from pipelines.refine_af import build
from pipelines.slim import slim
from refine_af.contracts.errors import ParameterError
from refine_af.stages import STAGES
from refine_af.targets.placement import Profile, load_profile

Document = dict[str, Any]


def compiled(config: RunConfig, profile: Profile, images: Images) -> tuple[Document, Document]:
    """Return the two documents of a pipeline's IR: the pipeline, and what Kubernetes adds."""
    pipeline = build(config, profile, images)
    logging.getLogger("kfp").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(target))
        spec, *platform = yaml.safe_load_all(target.read_text(encoding="utf-8"))
    extra = platform[0] if platform else {}
    slim(spec, extra)
    return spec, extra


def write_ir(config: RunConfig, profile: str, target: Path, images: Images) -> None:
    """Write the IR YAML of a pipeline."""
    spec, platform = compiled(config, load_profile(profile), images)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8") as sink:
        documents = [spec, platform] if platform else [spec]
        yaml.safe_dump_all(documents, sink, sort_keys=True, width=4000)


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
