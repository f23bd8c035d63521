"""Measures the quickstart: wall time, memory, overhead per stage, determinism, kill and resume.

``python benchmarks/quickstart.py --output FOLDER`` runs the preset three times: once, once more
with the same seed in another folder, and once killed in the middle and run again. It prints what
the README of this folder reports and exits with 1 when artifacts differ.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

RUN = [sys.executable, "-m", "refine_af", "run", "--preset", "quickstart"]


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of every artifact but telemetry, by its path below ``folder``."""
    root = folder / "artifacts"
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "telemetry"
    }


def tree_memory(process_id: int) -> int:
    """Return the resident bytes of a process and its descendants; shared pages count twice."""
    total = 0
    children: dict[int, list[int]] = {}
    sizes: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
        sizes[int(entry.name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    waiting = [process_id]
    while waiting:
        current = waiting.pop()
        total += sizes.get(current, 0)
        waiting += children.get(current, [])
    return total


def run(folder: Path, kill_after: float = 0.0) -> tuple[float, int]:
    """Run the preset into ``folder``; return wall seconds and the peak memory of its processes."""
    started = time.monotonic()
    process = subprocess.Popen([*RUN, "--output-dir", str(folder)], start_new_session=True)
    if kill_after:
        threading.Timer(kill_after, lambda: os.killpg(process.pid, signal.SIGKILL)).start()
    peak = 0
    while process.poll() is None:
        peak = max(peak, tree_memory(process.pid))
        time.sleep(0.2)
    return time.monotonic() - started, peak


def stage_seconds(folder: Path) -> dict[str, float]:
    """Return the seconds of each task's own work."""
    return {
        path.parent.name: json.loads(path.read_text())["seconds"]
        for path in sorted((folder / "artifacts").glob("*/telemetry"))
    }


def compile_seconds() -> float:
    """Return the seconds of compiling the default pipeline, imports left out."""
    from refine_af.pipelines.compiling import compile_request
    from refine_af.pipelines.config import load_config
    from refine_af.pipelines.flow import Images

    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        made = compile_request(load_config("default", ""), "a100", Images())
        made.write_ir(Path(folder) / "pipeline.yaml")
        return time.perf_counter() - started


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--kill-at", type=float, default=0.5, help="share of the first run's time")
    options = parser.parse_args()
    print(f"compiling the default pipeline: {compile_seconds():.2f} s")
    seconds, peak = run(options.output / "first")
    own = stage_seconds(options.output / "first")
    print(f"wall {seconds:.0f} s, peak memory {peak / 2**30:.2f} GiB, {len(own)} tasks")
    work = sum(own.values())
    print(f"own work {work:.0f} s, overhead {(seconds - work) / len(own):.2f} s a task")
    for task, spent in own.items():
        print(f"  {task:28} {spent:7.1f} s")
    wanted = digests(options.output / "first")
    run(options.output / "second")
    again = digests(options.output / "second") == wanted
    print(f"same seed, other folder: {len(wanted)} artifacts {'equal' if again else 'DIFFER'}")
    run(options.output / "killed", kill_after=seconds * options.kill_at)
    run(options.output / "killed")
    resumed = digests(options.output / "killed") == wanted
    print(f"killed at {options.kill_at:.0%} and run again: {'equal' if resumed else 'DIFFER'}")
    return 0 if again and resumed else 1


if __name__ == "__main__":
    sys.exit(main())
