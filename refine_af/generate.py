"""Writes every file that derives from the registry; ``--check`` names what is stale instead."""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import yaml

from refine_af import __version__
from refine_af.contracts.stage import Stage
from refine_af.contracts.yaml_text import yaml_text
from refine_af.stages import STAGES
from refine_af.targets import kfp_source, pages
from refine_af.targets.profile import json_schema
from refine_af.targets.python_stubs import stubs

ROOT = Path(__file__).parent.parent
COMPILED = (
    ("quickstart", "cpu"),
    ("qwen2.5-1.5b", "l4"),
    ("default", "a100"),
    ("default", "h100"),
)
"""The pairs of preset and profile that are kept compiled: one that fits each kind of node."""


def component_files(stage: Stage, root: Path) -> dict[Path, str]:
    """Return the text of the files of one component by their path."""
    folder = root / "components" / stage.name
    page = folder / "README.md"
    custom = ""
    if page.exists():
        custom = page.read_text(encoding="utf-8").partition(pages.CUSTOM + "\n")[2]
    return {
        folder / "__init__.py": pages.reexport(stage),
        folder / "OWNERS": pages.owners(),
        folder / "component.py": kfp_source.component_source(stage, __version__),
        folder / "component.yaml": compiled(stage),
        page: pages.page(stage, custom, __version__),
        folder / "metadata.yaml": pages.metadata(stage),
    }


def compiled(stage: Stage) -> str:
    """Return the component YAML that KFP compiles from the shim's source."""
    from kfp import compiler

    from refine_af.targets.kfp_component import kfp_component

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "component.yaml"
        compiler.Compiler().compile(kfp_component(stage), str(target))
        text = target.read_text(encoding="utf-8")
        head = [line for line in text.splitlines(keepends=True) if line.startswith("#")]
        return "".join(head) + yaml_text(yaml.safe_load(text), sort=True)


def manifest_files(root: Path) -> dict[Path, str]:
    """Return the compiled default pipelines by their path."""
    from refine_af.pipelines.argo import write_argo
    from refine_af.pipelines.compiling import compile_request
    from refine_af.pipelines.config import load_config
    from refine_af.pipelines.flow import Images

    pages: dict[Path, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for preset, profile in COMPILED:
            made = compile_request(load_config(preset, ""), profile, Images("", __version__))
            made.write_ir(Path(folder, "pipelines", f"refine-af.{preset}.{profile}.yaml"))
            write_argo(
                made,
                Path(folder, "manifests", "argo", f"{preset}.{profile}"),
                f"refine-af-{preset}",
            )
        for path in sorted(Path(folder).glob("**/*.yaml")):
            pages[root / path.relative_to(folder)] = path.read_text(encoding="utf-8")
    return pages


def all_files(root: Path) -> dict[Path, str]:
    """Return the text of every derived file by its path."""
    texts: dict[Path, str] = {}
    for stage in STAGES:
        texts |= component_files(stage, root)
    return texts | manifest_files(root) | editor_files(root) | costs_file(root)


def editor_files(root: Path) -> dict[Path, str]:
    """Return the JSON Schemas and the stubs that editors read, by their path."""
    return {
        root / "docs" / "profile.schema.json": json_schema(),
        root / "refine_af" / "api" / "stages.pyi": stubs(STAGES),
    }


def costs_file(root: Path) -> dict[Path, str]:
    """Return the page of costs with the estimates of today's parameters."""
    from refine_af.pipelines.costs import costs_page

    path = root / "docs" / "costs-and-gpus.md"
    return {path: costs_page(path.read_text(encoding="utf-8"))}


def stale(root: Path) -> list[Path]:
    """Return the derived files that differ from what they should be, or should not be there."""
    wanted = all_files(root)
    wrong = [
        path
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    present = {
        path
        for folder in ("components", "pipelines", "manifests/argo")
        for path in (root / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    kept_by_hand = {root / "components" / "__init__.py"}
    kept_by_hand |= {
        root / folder / "README.md" for folder in ("components", "pipelines", "manifests/argo")
    }
    return sorted(wrong) + sorted(present - set(wanted) - kept_by_hand)


def main() -> int:
    """Write the derived files, or with ``--check`` list the stale ones and return 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when stale")
    options = parser.parse_args()
    logging.getLogger("kfp").setLevel(logging.ERROR)
    if options.check:
        wrong = stale(ROOT)
        for path in wrong:
            sys.stderr.write(f"{path.relative_to(ROOT)} is stale; run make gen\n")
        return 1 if wrong else 0
    for stage in STAGES:
        write(component_files(stage, ROOT))
    write(manifest_files(ROOT) | editor_files(ROOT) | costs_file(ROOT))
    return 0


def write(files: dict[Path, str]) -> None:
    """Write each text to its path."""
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
