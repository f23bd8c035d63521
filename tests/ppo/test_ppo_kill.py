"""A training process killed for good (SIGKILL) and started again ends with the same bytes."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_ppo import digests

SCRIPT = Path(__file__).with_name("tiny_ppo.py")
CHANGES = {"updates": 12, "episodes_per_update": 16, "epochs": 4}


def start(work: Path, output: Path) -> "subprocess.Popen[bytes]":
    arguments = [sys.executable, str(SCRIPT), str(work), str(output), json.dumps(CHANGES)]
    return subprocess.Popen(arguments, stderr=subprocess.DEVNULL)


def finish(work: Path, output: Path) -> dict[str, str]:
    assert start(work, output).wait(timeout=400) == 0
    return digests(output)


def kill_in_training(work: Path, checkpoints: int, later: float) -> None:
    """Kill once there are so many checkpoints, a moment later: anywhere in an update."""
    process = start(work, work / "never")
    deadline = time.monotonic() + 400
    while len(list(work.glob("*/folders/checkpoint-*"))) < checkpoints:
        assert process.poll() is None, "ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(later)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_killed_in_training_and_started_again(tmp_path: Path) -> None:
    expected = finish(tmp_path / "whole", tmp_path / "expected")
    moments = random.Random(7)
    work = tmp_path / "work"
    for _ in range(2):
        kill_in_training(work, checkpoints=1, later=0.3 * moments.random())
    assert finish(work, tmp_path / "resumed") == expected


@pytest.mark.chaos
def test_killed_twenty_times_each_in_a_fresh_run(tmp_path: Path) -> None:
    expected = finish(tmp_path / "whole", tmp_path / "expected")
    moments = random.Random(11)
    for number in range(20):
        work = tmp_path / f"work{number}"
        kill_in_training(work, checkpoints=1, later=0.8 * moments.random())
        assert finish(work, tmp_path / f"resumed{number}") == expected
