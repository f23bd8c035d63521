"""The preset smoke in Argo, and the bytes that KFP's local runner makes of it."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from argo_repository import Repository
from argo_run import Cluster, Execution, Machine, load

from refine_af import __version__
from refine_af.pipelines.argo import write_argo
from refine_af.pipelines.compiling import compile_request
from refine_af.pipelines.config import load_config
from refine_af.pipelines.flow import Images

REGISTRY = "registry.example/team"


def run_by_kfp(folder: Path) -> Path:
    """Run the preset by KFP's local runner and return its artifacts."""
    command = [sys.executable, "-m", "refine_af", "run", "--preset", "smoke"]
    done = subprocess.run(
        [*command, "--output-dir", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "artifacts"


def compile_smoke(folder: Path, *assignments: str) -> list[Path]:
    """Write the Argo files and return their paths."""
    config = load_config("smoke", "").with_values(assignments)
    write_argo(compile_request(config, "cpu", Images("", __version__)), folder, "refine-af-smoke")
    return [folder / "templates.yaml", folder / "workflow.yaml"]


def execute(
    repository: Repository, machine: Machine, folder: Path, name: str, *assignments: str
) -> Execution:
    """Submit the preset and return what happened."""
    templates, submitted = compile_smoke(folder / "yaml", *assignments)
    cluster = Cluster(load(templates), repository, machine, folder / "pods")
    (workflow,) = load(submitted)
    return cluster.submit(workflow, name, {"registry": REGISTRY})


def digests_of(folder: Path) -> dict[str, str]:
    """Return the digest of every file but telemetry, which alone may differ."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "telemetry"
    }


def unfold(task: Path) -> None:
    """Put a task's own records beside its artifacts, as a local run has them."""
    records = task / "records"
    for path in records.glob("*") if records.is_dir() else ():
        if path.is_file():
            path.rename(task / path.name)
    shutil.rmtree(records, ignore_errors=True)


def fetched(repository: Repository, done: Execution, name: str, folder: Path) -> dict[str, str]:
    """Return the digest of every artifact of a run, and of every value handed on."""
    for task, artifacts in done.keys.items():
        for artifact, key in artifacts.items():
            start, _, own = key.rpartition(f"/{artifact}")[0].rpartition("/")
            assert start == f"refine-af/{name}"
            repository.get(key, folder / own / artifact)
            unfold(folder / own)
        for output, value in done.parameters.get(task, {}).items():
            (folder / own / output).write_text(value, encoding="utf-8")
    return digests_of(folder)
