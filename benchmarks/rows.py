"""Time and memory of every step that reads or writes rows, as rows grow, and the exponent.

    python benchmarks/rows.py --data DIR [--sizes 10000 100000] [--steps seed_ingest export ...]

Rows are those of ``made_rows.py``. Each step runs as a process of its own, once at each size and
once at 100 rows: what that takes is Python's start, and left out of the growth. Seconds are of
processor, since other work on the machine slows the wall clock only; memory is the largest
resident set. A growth of 1 is linear. ``verify``, ``explain``, ``refilter`` and ``report`` read a
finished run of ``rows_run.py``, which needs the tests' folders.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests"
START = 100
MOST_OF_PAGE = 3_000_000
RUN = ("report", "verify", "explain", "refilter")
STEPS = ("seed_ingest", "score_rewards", "export", "dedup_filter", *RUN)
PATHS = os.pathsep.join(map(str, (HERE, HERE.parent, TESTS / "lineage")))


def share_of_letters(rows: Sequence[object]) -> list[float]:
    """Return a reward that costs next to nothing: how much of an output is letters."""
    outputs = [str(getattr(row, "output", "")) for row in rows]
    return [sum(map(str.isalpha, text)) / max(1, len(text)) for text in outputs]


def write_inputs(data: Path, folder: Path, rows: int) -> None:
    """Write what the stages read: rows as people have them, and instances."""
    from made_rows import made_rows

    from refine_af.contracts.jsonl import write_rows
    from refine_af.contracts.records import Instance

    texts = list(made_rows(data / "dedup" / "instructions_20k.jsonl.gz", rows))
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts):
            row = {"id": f"row_{number}", "instruction": text, "input": "", "output": f"{number} x"}
            file.write(json.dumps(row) + "\n")
    instances = (
        Instance.make(
            f"row_{number}", text, "", f"Answer {number}.", is_classification=False, sample=0
        )
        for number, text in enumerate(texts)
    )
    write_rows(folder / "instances", instances)


def commands(step: str, folder: Path, rows: int) -> list[str]:
    """Return the command line of a step."""
    own = [sys.executable, str(HERE / "rows.py"), "--folder", str(folder), "--step", step]
    refine = [sys.executable, "-m", "refine_af"]
    again = str(folder / "again")
    files = ["--instances", str(folder / "instances"), "--format", "alpaca"]
    files += ["--licence", "MIT", "--output", str(folder / "exported")]
    run = str(folder / "run")
    return {
        "export": [*refine, "export", *files],
        "verify": [*refine, "verify", run],
        "explain": [*refine, "explain", last_id(folder) if step == "explain" else "", "--run", run],
        "refilter": [*refine, "refilter", "--run", run, "--max-rouge-l", "0.6", "--output", again],
    }.get(step, [*own, "--rows", str(rows)])


def last_id(folder: Path) -> str:
    """Return the id of the last row that the filter kept."""
    with (folder / "run" / "artifacts" / "dedup_filter" / "kept").open("rb") as file:
        file.seek(-min(file.seek(0, os.SEEK_END), 100_000), os.SEEK_END)
        return str(json.loads(file.read().splitlines()[-1])["id"])


def perform(step: str, folder: Path, rows: int) -> None:
    """Do one step in this process."""
    from refine_af.runner import run_stage

    outputs = {name: str(folder / name) for name in ("seeds", "scored", "kept", "rejected")}
    if step == "seed_ingest":
        params: dict[str, object] = {"seeds_uri": str(folder / "rows.jsonl")}
        run_stage(step, inputs={}, outputs={"seeds": outputs["seeds"]}, params=params)
    elif step == "score_rewards":
        names = {name: outputs[name] for name in ("scored", "rejected")}
        given = {"instances": str(folder / "instances")}
        params = {"reward": "rows:share_of_letters"}
        run_stage(step, inputs=given, outputs=names, params=params)
    elif step == "dedup_filter":
        names = {name: outputs[name] for name in ("kept", "rejected")}
        run_stage(step, inputs={"candidates": str(folder / "rows.jsonl")}, outputs=names, params={})
    elif step == "report":
        names = {name: str(folder / name) for name in ("report", "summary", "result")}
        run_stage(step, inputs={"run": str(folder / "run")}, outputs=names, params={})
        page = (folder / "report").stat().st_size
        if page > MOST_OF_PAGE:
            sys.exit(f"the page has {page:,} bytes")


def measured(step: str, folder: Path, rows: int) -> tuple[float, float]:
    """Return processor seconds and largest memory, in MiB, of a step in a process of its own."""
    with (folder / f"{step}.log").open("wb") as log:
        environment = os.environ | {"PYTHONPATH": PATHS, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            commands(step, folder, rows), stdout=log, stderr=log, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{step} at {rows:,} rows failed:\n{Path(log.name).read_text()[-2000:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def prepared(data: Path, folder: Path, rows: int, steps: Sequence[str]) -> None:
    """Write what the steps read, in a process of its own so that this one stays small."""
    folder.mkdir()
    write = "rows.write_inputs(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))"
    script = f"import rows, sys\nfrom pathlib import Path\n{write}"
    if set(steps) & set(RUN):
        made = "write_run(Path(sys.argv[1]), Path(sys.argv[2], 'run'), int(sys.argv[3]))"
        script += f"\nfrom rows_run import write_run\n{made}"
    command = [sys.executable, "-c", script, str(data), str(folder), str(rows)]
    environment = os.environ | {"PYTHONPATH": PATHS, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def main() -> None:
    """Print a table: step, and for each size seconds, memory and growth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="the shared data's folder")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        perform(options.step, options.folder, options.rows)
        return
    before: dict[str, tuple[float, float]] = {}
    start: dict[str, float] = {}
    for rows in (START, *options.sizes):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, "rows")
            prepared(options.data, folder, rows, options.steps)
            for step in options.steps:
                spent, memory = measured(step, folder, rows)
                if rows == START:
                    start[step] = spent
                    continue
                net = max(spent - start[step], 0.01)
                growth = ""
                if step in before:
                    size, earlier = before[step]
                    growth = f" | {math.log(net / earlier) / math.log(rows / size):.2f}"
                before[step] = (rows, net)
                print(f"{step} | {rows:,} | {net:.1f} s | {memory:.0f} MiB{growth}", flush=True)


if __name__ == "__main__":
    main()
