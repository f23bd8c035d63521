"""A stage with a helper, as PPO on two GPUs has it: ``helpers.py FOLDER``."""

import os
import sys
import time
from pathlib import Path

from refine_af.processes.group import Processes
from refine_af.processes.start import started


def work(processes: Processes, folder: Path) -> None:
    """Write the own number and stay."""
    (folder / f"{processes.rank}.tmp").write_text(str(os.getpid()))
    (folder / f"{processes.rank}.tmp").rename(folder / f"{processes.rank}.pid")
    time.sleep(600)


if __name__ == "__main__":
    with started(2, work, Path(sys.argv[1])) as group:
        work(group, Path(sys.argv[1]))
