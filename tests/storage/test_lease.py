"""One holder at a time, on every store."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_af.contracts.errors import LeaseHeldError
from refine_af.storage.gcs import GcsClient
from refine_af.storage.lease import Lease, LeaseRecord, ProcessIdentity, is_gone, this_process
from refine_af.storage.objects import ObjectStore
from refine_af.storage.schemes import open_store
from refine_af.storage.store import Store

WORKER = Path(__file__).with_name("worker.py")


def start(*arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, str(WORKER), *arguments]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


def say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def record(expires_in: float, process: ProcessIdentity) -> bytes:
    return LeaseRecord("someone", "token", process, time.time() + expires_in).dump()


ELSEWHERE = ProcessIdentity("another-machine boot pid:[1]", 1, "1")


def test_the_second_is_refused_by_name_until_the_first_releases(root: str) -> None:
    store, uri = open_store(root), f"{root}/lease"
    with Lease(store, uri, "stage train_ppo", 30.0) as first:
        first.check()
        with pytest.raises(LeaseHeldError, match=r"stage train_ppo \(process \d+ on .* UTC"):
            Lease(store, uri, "second", 30.0)
    with pytest.raises(LeaseHeldError, match="released"):
        first.check()
    Lease(store, uri, "second", 30.0).release()


def test_an_expired_lease_is_taken_over_and_the_late_holder_is_told(root: str) -> None:
    store, uri = open_store(root), f"{root}/lease"
    late = Lease(store, uri, "late", 3600.0)
    current = store.read_version(uri)
    assert current is not None
    # As if its renewals had failed for an hour.
    store.swap(uri, current.data.replace(b'"expires_at": 1', b'"expires_at": 0.1'), current.version)
    with Lease(store, uri, "new", 30.0) as new:
        with pytest.raises(LeaseHeldError, match="held by new"):
            late.renew()
        with pytest.raises(LeaseHeldError, match="held by new"):
            late.check()
        new.check()
    late.release()


def test_a_lease_is_renewed_in_the_background(tmp_path: Path) -> None:
    store, uri = open_store("."), str(tmp_path / "lease")
    with Lease(store, uri, "me", 1.5) as lease:
        time.sleep(3.0)
        lease.check()
        with pytest.raises(LeaseHeldError):
            Lease(store, uri, "other", 1.5)


def test_a_holder_killed_on_this_machine_is_replaced_at_once(tmp_path: Path) -> None:
    uri = str(tmp_path / "lease")
    holder = start("hold", uri, "3600")
    assert hear(holder) == "ready"
    with pytest.raises(LeaseHeldError, match="holder"):
        Lease(open_store(uri), uri, "me", 30.0)
    holder.kill()
    holder.wait()
    Lease(open_store(uri), uri, "me", 30.0).release()


@pytest.mark.parametrize("root", ["local", "s3"], indirect=True)
def test_two_processes_race_and_one_wins(root: str) -> None:
    racers = [start("race") for _ in range(2)]
    assert [hear(racer) for racer in racers] == ["ready", "ready"]
    for turn in range(5):
        for racer in racers:
            say(racer, f"{root}/lease{turn}")
        assert sorted(hear(racer) for racer in racers) == ["refused", "won"]
    for racer in racers:
        racer.kill()
        racer.communicate()


def race_threads(open_one: Callable[[], Store], uri: str) -> list[str]:
    barrier, said = threading.Barrier(4), []

    def attempt() -> None:
        store = open_one()
        barrier.wait()
        try:
            leases.append(Lease(store, uri, "racer", 30.0))
            said.append("won")
        except LeaseHeldError:
            said.append("refused")

    leases: list[Lease] = []
    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for lease in leases:
        lease.release()
    return sorted(said)


def test_four_race_for_a_new_and_for_an_expired_lease(root: str) -> None:
    uri = f"{root}/lease"
    one_winner = ["refused"] * 3 + ["won"]
    assert race_threads(lambda: open_store(root), uri) == one_winner
    assert race_threads(lambda: open_store(root), uri) == one_winner


def test_a_server_that_ignores_conditions_still_has_one_winner(
    emulator_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{emulator_address}")
    uri = f"gs://bucket-of-tests/{time.time_ns()}/lease"
    client = GcsClient()
    assert client.put("bucket-of-tests", uri[22:], b"", None)
    assert client.put("bucket-of-tests", uri[22:], b"", None), "the emulator now enforces them"
    client.delete("bucket-of-tests", uri[22:])

    def open_one() -> Store:
        return ObjectStore(GcsClient(), settle_seconds=3.0)

    assert race_threads(open_one, uri) == ["refused"] * 3 + ["won"]


def test_bytes_that_are_no_lease_are_replaced(tmp_path: Path) -> None:
    for junk in (b"", b"{}", b"[]", b'{"process": 1}', b"\xff", b'{"process": {}}'):
        (tmp_path / "lease").write_bytes(junk)
        Lease(open_store("."), str(tmp_path / "lease"), "me", 30.0).release()


def test_a_process_is_gone_only_when_that_is_certain() -> None:
    me = this_process()
    assert not is_gone(me)
    assert not is_gone(ELSEWHERE)
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert is_gone(ProcessIdentity(me.host, done.pid, "1"))
    # The number was given to another process meanwhile: this one started at another tick.
    assert is_gone(ProcessIdentity(me.host, me.pid, "1"))


def test_a_killed_process_that_nobody_waits_for_holds_nothing(tmp_path: Path) -> None:
    uri = str(tmp_path / "lease")
    holder = start("hold", uri, "30")
    assert hear(holder) == "ready"
    with pytest.raises(LeaseHeldError):
        Lease(open_store(uri), uri, "second", 30.0)
    os.kill(holder.pid, signal.SIGKILL)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    Lease(open_store(uri), uri, "second", 30.0).release()
    holder.wait()


def test_a_lease_record_is_plain_json(tmp_path: Path) -> None:
    uri = str(tmp_path / "lease")
    with Lease(open_store(uri), uri, "me", 30.0):
        value = json.loads(Path(uri).read_text())
    assert sorted(value) == ["expires_at", "holder", "process", "seconds", "token"]
    assert 25 < value["expires_at"] - time.time() < 31


def test_a_lease_that_nobody_renews_is_waited_for(root: str) -> None:
    """As after a hard kill on another node: the first retry must not be wasted."""
    uri = f"{root}/lease"
    open_store(root).publish_bytes(uri, record(2.0, ELSEWHERE))
    started = time.monotonic()
    Lease(open_store(root), uri, "retry", 30.0).release()
    assert 1.0 < time.monotonic() - started < 10.0


def test_a_lease_that_another_machine_renews_is_refused_as_soon_as_it_is(tmp_path: Path) -> None:
    uri = str(tmp_path / "lease")
    Path(uri).write_bytes(record(60.0, ELSEWHERE))
    renewal = threading.Timer(1.0, lambda: Path(uri).write_bytes(record(61.0, ELSEWHERE)))
    renewal.start()
    started = time.monotonic()
    with pytest.raises(LeaseHeldError, match="someone"):
        Lease(open_store(uri), uri, "me", 30.0)
    assert time.monotonic() - started < 10.0


@pytest.mark.parametrize("ahead", [3e7, 1e300])
def test_a_lease_whose_clock_ran_ahead_lasts_no_longer_than_a_lease(
    ahead: float, tmp_path: Path
) -> None:
    uri = str(tmp_path / "lease")
    written = LeaseRecord("someone", "token", ELSEWHERE, time.time() + ahead, seconds=2.0)
    Path(uri).write_bytes(written.dump())
    started = time.monotonic()
    Lease(open_store(uri), uri, "me", 30.0).release()
    assert time.monotonic() - started < 10.0
    assert "UTC" in written.describe()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["holder", "token", "process", "expires_at", "seconds"]), JSON_VALUES)
def test_any_json_in_a_lease_is_survived(field: str, value: object) -> None:
    whole = json.loads(record(-1.0, ELSEWHERE))
    for raw in (json.dumps(whole | {field: value}), json.dumps(value)):
        found = LeaseRecord.load(raw.encode())
        if found is not None:
            assert isinstance(found.live, bool)
            assert 0.0 <= found.left <= found.seconds
            assert found.describe()


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["host", "pid", "started"]), JSON_VALUES)
def test_any_process_in_a_lease_is_survived(field: str, value: object) -> None:
    whole = json.loads(record(60.0, this_process()))
    found = LeaseRecord.load(
        json.dumps(whole | {"process": whole["process"] | {field: value}}).encode()
    )
    assert found is None or isinstance(found.live, bool)


@pytest.mark.parametrize("number", [10**400, -(10**400), 10**18, -1, 1e308, True, "2026"])
@pytest.mark.parametrize("field", ["expires_at", "seconds", "pid"])
def test_any_number_in_a_lease_is_survived(field: str, number: object) -> None:
    whole = json.loads(record(60.0, ELSEWHERE))
    (whole["process"] if field == "pid" else whole)[field] = number
    found = LeaseRecord.load(json.dumps(whole).encode())
    assert found is None or (isinstance(found.live, bool) and found.left <= found.seconds)
