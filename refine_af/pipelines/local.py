"""Runs a pipeline on this machine with KFP's local runner.

``python -m refine_af.pipelines.local SPEC.json`` is a process of its own, because the runner
replaces logging handlers and ``print`` and writes every task's input to standard output; its parent
shows progress instead and keeps that output as ``run.log``.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from kfp import local

from refine_af.contracts.stage import EVERY_STAGE_WRITES, RECORDS
from refine_af.pipelines import containers
from refine_af.pipelines.build import build
from refine_af.pipelines.config import RunConfig
from refine_af.pipelines.flow import Images, Selection
from refine_af.processes.together import hand_on, join_run
from refine_af.runner import end_as_ctrl_c_does
from refine_af.targets.profile import load_profile

SUBPROCESSES = local.SubprocessRunner(use_venv=False)
END_SECONDS = 8.0  # seconds for a stage in a container to release its lease


def _unfold(folder: Path) -> None:
    """Put a task's own records beside its artifacts; earlier tasks have folders."""
    records = folder / RECORDS.name
    for item in EVERY_STAGE_WRITES:
        if (records / item.name).is_file():
            os.replace(records / item.name, folder / item.name)
    shutil.rmtree(records, ignore_errors=True)


def artifact_folder(task: str) -> str:
    """Return the folder of a task's artifacts, such as ``evaluate-rl`` for ``evaluate (rl)``."""
    return task.replace(" (", "-").replace(")", "").replace(" ", "-")


def task_names(pipeline: Any) -> dict[str, str]:  # noqa: ANN401  kfp is untyped
    """Return the name for people of each task of a KFP pipeline, in the order of the DAG."""
    tasks = pipeline.pipeline_spec.root.dag.tasks
    # kfp keeps them in an unordered map
    names = {key: tasks[key].task_info.name for key in sorted(tasks, key=_in_order)}
    waiting = {key: set(tasks[key].dependent_tasks) for key in names}
    ordered: list[str] = []
    while waiting:
        ready = [key for key, before in waiting.items() if not before & set(waiting)]
        ordered += ready
        for key in ready:
            del waiting[key]
    return {key: names[key] for key in ordered if not key.startswith("importer")}


def _in_order(key: str) -> tuple[str, int]:
    """Return a sort key that puts ``train-sft-10`` after ``train-sft-2`` and ``train-sft``."""
    stem, _, number = key.rpartition("-")
    return (stem, int(number)) if number.isdigit() else (key, 1)


def collect(root: Path, names: dict[str, str], target: Path) -> None:
    """Move the artifacts of finished tasks from the runner's folder to ``target/<task>/``.

    A task's folder is replaced as a whole, so that no file of an earlier run stays in it.
    """
    runs = sorted(path for path in root.glob("*") if path.is_dir())
    if not runs:
        return
    for folder in sorted(runs[-1].iterdir()):
        name = names.get(folder.name)
        if name is None or not (folder / "metrics").exists():
            continue
        # KFP's own note of the task: it holds the runner's paths, and nothing that is not beside it
        (folder / "executor_output.json").unlink(missing_ok=True)
        destination = target / artifact_folder(name)
        shutil.rmtree(destination, ignore_errors=True)
        destination.parent.mkdir(parents=True, exist_ok=True)
        _unfold(folder)
        os.replace(folder, destination)


def check_outputs(root: Path, names: dict[str, str]) -> None:
    """Check that every task wrote its outputs.

    KFP's Docker runner reports success if the container is removed before its exit code is read.
    """
    folder = max(path for path in root.glob("*") if path.is_dir())
    for key, name in names.items():
        if not (folder / key / "metrics").exists():
            raise RuntimeError(f"{name}: ended without its outputs; see the lines above")


def run(spec: dict[str, Any]) -> None:
    """Run the pipeline that ``spec`` describes and collect its artifacts, also when it fails."""
    config = RunConfig.model_validate(spec["config"])
    only = spec["only"]
    earlier = spec["earlier"]
    selection = Selection(spec["reuse"], None if only is None else frozenset(only), earlier)
    output = Path(spec["output_dir"])
    root = output / "kfp"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    images = Images(**spec["images"]) if spec["images"] else None
    runner = containers.runner(output, config) if images else SUBPROCESSES
    local.init(runner=runner, pipeline_root=str(root))
    pipeline = build(config, load_profile("local"), images, selection, grouped=False)
    names = task_names(pipeline)
    try:
        pipeline()
        check_outputs(root, names)
    finally:
        if images:
            containers.end(output, END_SECONDS)
        collect(root, names, output / "artifacts")
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    end_as_ctrl_c_does()
    join_run()
    os.environ.update(hand_on())
    run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
