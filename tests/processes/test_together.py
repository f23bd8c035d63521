"""Whichever process of a run is killed, those below it end within seconds, and hold its lock."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from refine_af.contracts.errors import LeaseHeldError
from refine_af.pipelines import left_over
from refine_af.processes import together
from refine_af.storage.lease import ProcessIdentity, is_gone, this_process

CHAIN = Path(__file__).with_name("chain.py")


def wait_for(what: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def start_chain(folder: Path) -> list[int]:
    subprocess.Popen([sys.executable, str(CHAIN), "0", str(folder)])
    files = [folder / f"{level}.pid" for level in range(3)]
    wait_for(lambda: all(file.exists() for file in files))
    return [int(file.read_text()) for file in files]


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("killed", [(0,), (1,), (0, 1), (0, 1, 2)])
def test_those_below_a_killed_process_end(killed: tuple[int, ...], tmp_path: Path) -> None:
    pids = start_chain(tmp_path)
    for level in killed:
        os.kill(pids[level], signal.SIGKILL)
    below = range(killed[0] + 1, 3)
    wait_for(lambda: all(has_ended(pids[level]) for level in below), 10.0)
    if killed[0] > 0:
        assert not has_ended(pids[0])
        os.kill(pids[0], signal.SIGKILL)


def test_a_new_run_waits_for_the_last_process_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = start_chain(tmp_path)
    monkeypatch.setattr(together, "WAIT_SECONDS", 0.0)
    with pytest.raises(LeaseHeldError, match="still at work"):
        together.take_lock(tmp_path / "lock")
    monkeypatch.setattr(together, "WAIT_SECONDS", 30.0)
    os.kill(pids[0], signal.SIGKILL)
    os.close(together.take_lock(tmp_path / "lock"))
    wait_for(lambda: all(map(has_ended, pids)), 5.0)


@pytest.mark.parametrize("killed", [(0,), (1,), (0, 1)])
def test_what_does_not_end_by_itself_is_killed(
    killed: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left_over, "GRACE_SECONDS", 1.0)
    monkeypatch.setenv("DEAF", "yes")
    pids = start_chain(tmp_path)
    left_over.end_left_over(tmp_path / "lock")
    assert not any(map(has_ended, pids))  # nobody is gone
    for level in killed:
        os.kill(pids[level], signal.SIGKILL)
    started = time.monotonic()
    left_over.end_left_over(tmp_path / "other-lock")
    assert not has_ended(pids[2])
    left_over.end_left_over(tmp_path / "lock")
    assert has_ended(pids[2])
    assert time.monotonic() - started < 8.0
    if killed == (1,):
        os.kill(pids[0], signal.SIGKILL)


def test_a_process_that_no_run_started_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(together.PARENTS, raising=False)
    together.join_run()
    assert together._above() == []


def test_a_process_hands_on_itself_and_those_above(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(together.PARENTS, raising=False)
    for name, value in together.hand_on().items():
        monkeypatch.setenv(name, value)
    me = this_process()
    assert together._above() == [me]
    assert not is_gone(me)
    monkeypatch.setenv(together.PARENTS, together.hand_on()[together.PARENTS])
    assert together._above() == [ProcessIdentity(me.host, me.pid, me.started)] * 2


@pytest.mark.parametrize("killed", [0, 1])
def test_a_stage_and_its_helpers_end_together(killed: int, tmp_path: Path) -> None:
    command = [sys.executable, str(CHAIN.with_name("helpers.py")), str(tmp_path)]
    stage = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    files = [tmp_path / f"{rank}.pid" for rank in range(2)]
    wait_for(lambda: all(file.exists() for file in files), 120.0)
    pids = [int(file.read_text()) for file in files]
    os.kill(pids[killed], signal.SIGKILL)
    wait_for(lambda: has_ended(pids[1 - killed]), 10.0)
    stage.wait()
