"""One process of a chain as a run has it: ``chain.py LEVEL FOLDER``; 0 starts 1 and so on.

With ``DEAF`` in the environment the last one watches nobody, as before a stage has started.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from refine_af.processes.together import LOCK, hand_on, join_run, take_lock

LAST = 2


def main() -> None:
    """Start the next process behind a shell, as KFP does, write the own number and stay."""
    level, folder = int(sys.argv[1]), Path(sys.argv[2])
    if level == 0:
        take_lock(folder / "lock")
        os.environ[LOCK] = str(folder / "lock")
    if level < LAST or "DEAF" not in os.environ:
        join_run(grace_seconds=0.5)
    if level < LAST:
        command = f"{sys.executable} {__file__} {level + 1} {folder}; true"
        subprocess.Popen(["sh", "-c", command], env=os.environ | hand_on())
    (folder / f"{level}.tmp").write_text(str(os.getpid()))
    (folder / f"{level}.tmp").rename(folder / f"{level}.pid")
    time.sleep(600)


if __name__ == "__main__":
    main()
