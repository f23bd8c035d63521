"""Evaluation and one PPO update on a real model: this code against another checkout, in one run.

``python benchmarks/real_speed.py --model FOLDER --tasks FILE --other CHECKOUT`` runs the stages
``evaluate`` and ``train_ppo`` of both in turn, each in a process of its own, and prints seconds of
processor time, which other programs on the machine hardly change. Loading the model is not counted.
The answers of evaluation are compared; ``--bfloat16`` adds this code with bfloat16 products.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent.parent
TASKS = (
    "Sort the words by their length.",
    "Name a river of the country.",
    "Write one sentence about the animal.",
    "Say whether the number is even.",
    "Give the past tense of the verb.",
    "Translate the word into French.",
    "Write a title for the story.",
    "Name the colour of the thing.",
)


def evaluated(options: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the seconds of writing the answers, and the answers."""
    from refine_af.runner import run_stage

    names = ("predictions", "scores", "telemetry")
    params = {"model": options["model"], "tasks_uri": options["tasks"], "chat": False}
    params |= {"prompt": "tk_instruct", "instances": options["instances"], "max_tokens": 32}
    run_stage(
        "evaluate",
        inputs={},
        outputs={name: str(folder / name) for name in names},
        params=params | ({"dtype": "bfloat16"} if options["half"] else {}),
    )
    telemetry = json.loads((folder / "telemetry").read_text(encoding="utf-8"))
    lines = (folder / "predictions").read_text(encoding="utf-8").splitlines()
    answers = [json.loads(line)["prediction"] for line in lines]
    seconds = telemetry["new_tokens"] / telemetry["new_tokens_per_second"]
    return {"seconds": seconds, "answers": answers}


def updated(options: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the seconds of the parts of one PPO update."""
    from refine_af.contracts.jsonl import write_rows
    from refine_af.contracts.records import Instruction
    from refine_af.runner import find_stage, run_stage

    names = [*(item.name for item in find_stage("train_ppo").outputs), "telemetry"]
    rows = [Instruction.make(text, (), number, 0, 0) for number, text in enumerate(TASKS)]
    write_rows(folder / "instructions", rows)
    params = {"model": options["model"], "chat": False, "style": "few_shot", "split": "none"}
    params |= {"updates": 1, "prompts": 0, "episodes_per_update": len(TASKS), "minibatch": 8}
    params |= {"microbatch": 4, "epochs": 1, "lora_rank": 8, "max_new_tokens": 48}
    params |= {"reward": "embedded", "warmup_updates": 0}
    run_stage(
        "train_ppo",
        inputs={"instructions": str(folder / "instructions")},
        outputs={name: str(folder / name) for name in names},
        params=params | ({"precision": "bfloat16"} if options["half"] else {}),
    )
    told = json.loads((folder / "telemetry").read_text(encoding="utf-8"))
    steps = ("rollout_seconds", "score_seconds", "read_seconds", "improve_seconds")
    return {name: told[name] for name in steps} | {"seconds": sum(told[name] for name in steps)}


PARTS = {"evaluate": evaluated, "ppo": updated}


def child(task: str) -> None:
    """Run one part in this process and print what it found as the last line."""
    options = json.loads(task)
    # what the stages time, they time in processor seconds
    time.monotonic = time.perf_counter = time.process_time
    with tempfile.TemporaryDirectory() as folder:
        found = PARTS[options["part"]](options, Path(folder))
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def measured(options: dict[str, Any], tree: Path) -> dict[str, Any]:
    """Run one part with the code of ``tree``."""
    command = [sys.executable, str(Path(__file__).resolve()), "--child", json.dumps(options)]
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, cwd=tree, stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.rstrip().rpartition("\n")[2])
    return found


def main() -> None:
    """Measure both and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--tasks")
    parser.add_argument("--other", type=Path)
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(options.child)
    for part in options.parts:
        task = {"model": options.model, "tasks": options.tasks, "instances": options.instances}
        task |= {"part": part, "half": False}
        before, now = measured(task, options.other), measured(task, HERE)
        rows = [("before", before), ("now", now)]
        if options.bfloat16:
            rows.append(("now, bfloat16", measured(task | {"half": True}, HERE)))
        for name, found in rows:
            parts = [f"{key} {value:.1f}" for key, value in found.items() if key != "answers"]
            ratio = before["seconds"] / found["seconds"]
            sys.stdout.write(f"{part}, {name}: {', '.join(parts)}; {ratio:.2f} x\n")
            if "answers" in found:
                pairs = zip(before["answers"], found["answers"], strict=True)
                same = sum(one == other for one, other in pairs)
                sys.stdout.write(f"  {same} of {len(found['answers'])} answers as before\n")
            sys.stdout.flush()
    return None


if __name__ == "__main__":
    main()
