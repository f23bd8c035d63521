"""Fine-tuning runs, each in a forked process that a test has killed in the middle.

Arguments: model folder, work folder and runs as JSON. A run is [settings, event, passes, name]: the
event at which the process kills itself (``step``, ``publish`` or ``none``), how many of them
are let pass, and the name of the journal. Prints one JSON object per run: its exit code and the
steps that it made. Forking after the imports saves some seconds per run.
"""

import json
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tiny_sft import material

from refine_af.sft.params import SFTParams
from refine_af.sft.run import fine_tune
from refine_af.storage.entry import Identity
from refine_af.storage.journal import open_journal


@dataclass
class Killer:
    """A progress that notes every step, and SIGKILL at the chosen event."""

    event: str
    passes: int
    log: Path

    def count(self, event: str) -> None:
        """Die when this is the chosen event and enough of them have passed."""
        if event == self.event:
            self.passes -= 1
            if self.passes < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def step(self, done: int, total: int, unit: str, **numbers: float) -> None:
        """Note and count a step."""
        with self.log.open("a") as sink:
            sink.write(f"{done}\n")
        self.count("step")

    def resumed(self, done: int, unit: str) -> None:
        """Count nothing."""

    def say(self, message: str) -> None:
        """Say nothing."""


def run(model: str, work: Path, settings: SFTParams, killer: Killer) -> None:
    """Train with the journal below ``work``."""
    with open_journal(str(work / "journal"), Identity("train_sft", {}, {}, "test")) as journal:
        publish = journal.publish_directory

        def counted(name: str, source: Path) -> None:
            killer.count("publish")
            publish(name, source)

        journal.publish_directory = counted  # type: ignore[method-assign]
        with tempfile.TemporaryDirectory() as scratch:
            outcome = fine_tune(
                material(),
                settings,
                model,
                work / "adapter",
                journal=journal,
                progress=killer,
                scratch=Path(scratch),
            )
    (work / "history.json").write_text(json.dumps(outcome.history))


def main() -> None:
    """Fork each run and report how it ended."""
    model, work, runs = sys.argv[1:]
    for number, (settings, event, passes, name) in enumerate(json.loads(runs)):
        folder = Path(work, name)
        folder.mkdir(exist_ok=True)
        log = Path(work, f"steps-{number}")
        log.touch()
        child = os.fork()
        if child == 0:
            killer = Killer(event, passes, log)
            run(model, folder, SFTParams(**settings), killer)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        steps = [int(line) for line in log.read_text().split()]
        print(json.dumps({"exit": os.waitstatus_to_exitcode(status), "steps": steps}), flush=True)


if __name__ == "__main__":
    main()
