"""Real SUPER-NI tasks through the stage ``evaluate``, all arms of a finished run, one command.

``python benchmarks/super_ni.py TASKS --run FOLDER`` takes the adapters of a run of ``refine-af
run`` (its start model, its prompt), answers the tasks with every arm, compares the arms as the
report does, and times the bare text engine on the same prompts beside the stage. Repeated with
the same ``--output`` it continues. The embedded model knows about a hundred made skills: near-zero
scores are what to expect; the scores say that the path works, not that the method does.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from refine_af.engines.opening import open_engine
from refine_af.engines.params import EngineParams
from refine_af.engines.text import Request, Sampling
from refine_af.evaluation.prompts import render_prompt
from refine_af.evaluation.task_sets import load_tasks
from refine_af.runner import run_stage


def parameters(run: Path, tasks: Path, instances: int, max_tokens: int) -> dict[str, Any]:
    """Return the stage's parameters: those of the run's evaluation, on other tasks."""
    path = run / "artifacts" / "evaluate-start" / "provenance"
    known = json.loads(path.read_text(encoding="utf-8"))["params"]
    own = {"tasks_uri": str(tasks), "tasks_digest": "", "instances": instances}
    return known | own | {"max_tokens": max_tokens, "model_digest": ""}


def evaluated(run: Path, arm: str, params: dict[str, Any], output: Path) -> dict[str, float]:
    """Return the metrics of one arm, with the seconds that the stage took."""
    adapter = run / "artifacts" / f"train_sft-{arm}" / "adapter"
    folder = output / arm
    names = ("predictions", "scores", "provenance", "telemetry")
    metrics = run_stage(
        "evaluate",
        inputs={"adapter": str(adapter)} if adapter.exists() else {},
        outputs={name: str(folder / name) for name in names},
        params=params,
        work_dir=str(output / "work"),
        label=arm,
    )
    telemetry = json.loads((folder / "telemetry").read_text(encoding="utf-8"))
    return metrics | {"seconds": telemetry["seconds"], "new_tokens": telemetry["new_tokens"]}


def bare_seconds(params: dict[str, Any], tasks: Path) -> float:
    """Return the seconds that the engine alone needs for the prompts of the start model."""
    found = load_tasks([tasks], first=params["instances"]).tasks
    requests = [
        Request(one.id, render_prompt(params["prompt"], task.definition, one.input), 1)
        for task in found
        for one in task.instances
    ]
    known = {key: value for key, value in params.items() if key in EngineParams.model_fields}
    engine = open_engine(EngineParams.parse(known), None)
    stop = (params["stop"].encode().decode("unicode_escape"),) if params["stop"] else ()
    sampling = Sampling(max_tokens=params["max_tokens"], temperature=0.0, stop=stop)
    started = time.monotonic()
    engine.generate(requests, sampling)
    seconds = time.monotonic() - started
    engine.close()
    return seconds


def main() -> None:
    """Evaluate, report and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--instances", type=int, default=25)
    parser.add_argument("--max-tokens", type=int, default=32)
    options = parser.parse_args()
    tasks, output = options.tasks.absolute(), options.output.absolute()
    params = parameters(options.run, tasks, options.instances, options.max_tokens)
    root = options.run / "artifacts"
    arms = sorted(path.name.removeprefix("evaluate-") for path in root.glob("evaluate-*"))
    inputs = {}
    for arm in arms:
        found = evaluated(options.run, arm, params, output)
        inputs |= {f"predictions_{arm}": str(output / arm / "predictions")}
        inputs |= {f"judging_{arm}": str(output / arm / "provenance")}
        sys.stdout.write(
            f"{arm}: ROUGE-L {found['rouge_l']:.2f}, exact match {found['exact_match']:.2f},"
            f" {found['instances']:.0f} answers of {found['tasks']:.0f} tasks,"
            f" {found['failed']:.0f} failed, {found['seconds']:.1f} s,"
            f" {found['instances'] / found['seconds']:.1f} answers/s\n"
        )
        if arm == "start":
            bare = bare_seconds(params, tasks)
            sys.stdout.write(f"  bare engine {bare:.1f} s: {bare / found['seconds']:.2f} of it\n")
    outputs = {name: str(output / name) for name in ("report", "summary", "result")}
    run_stage("report", inputs=inputs, outputs=outputs, params={})
    answer = json.loads((output / "result").read_text(encoding="utf-8"))["answer"]
    sys.stdout.write(f"{answer}\nreport: {output / 'report'}\n")


if __name__ == "__main__":
    main()
