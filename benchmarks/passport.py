"""Row passports, filtering again and verification on a made run of 50,000 instructions.

Run: ``python benchmarks/passport.py [ROWS]``. Times are of whole commands, Python's start included,
the best of three, with files in the page cache.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "lineage"))

from made_folder import made_folder

COMMAND = [sys.executable, "-m", "refine_af"]


def seconds(*arguments: str) -> float:
    """Return the seconds of a command that must succeed."""
    started = time.perf_counter()
    subprocess.run([*COMMAND, *arguments], check=True, capture_output=True)
    return time.perf_counter() - started


def last_id(path: Path) -> str:
    """Return the id of a file's last row."""
    found: str = json.loads(path.read_text(encoding="utf-8").split("\n")[-2])["id"]
    return found


def main() -> None:
    """Print one line per command."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    with tempfile.TemporaryDirectory() as folder:
        run = made_folder(Path(folder, "run"), rows, evaluation=11_900)
        size = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
        sys.stdout.write(f"{rows} instructions, {size / 1e6:.0f} MB of artifacts\n")
        for name in (
            "dedup_filter/kept",
            "generate_instructions/rejected",
            "score_rewards-rl/scored",
            "generate_instances-rl/rejected",
        ):
            row = last_id(run / "artifacts" / name)
            best = min(seconds("explain", row, "--run", str(run)) for _ in range(3))
            sys.stdout.write(f"explain, last row of {name}: {best:.2f} s\n")
        best = min(seconds("trace", "--seed", "seed_017", "--run", str(run)) for _ in range(3))
        sys.stdout.write(f"trace --seed seed_017: {best:.2f} s\n")
        sys.stdout.write(f"verify: {seconds('verify', str(run)):.2f} s\n")
        for bound in ("0.8", "0.6", "0.5"):
            again = ("refilter", "--run", str(run), "--max-rouge-l", bound)
            took = seconds(*again, "--output", f"{folder}/again{bound}")
            sys.stdout.write(f"refilter --max-rouge-l {bound}: {took:.2f} s\n")


if __name__ == "__main__":
    main()
