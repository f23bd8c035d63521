"""What tests do in a process of its own, to be killed or to race: ``worker.py WHAT ARGUMENTS``."""

import itertools
import os
import resource
import sys
import time
from pathlib import Path

from refine_af.contracts.errors import LeaseHeldError, StorageError
from refine_af.storage.journal import open_journal
from refine_af.storage.lease import Lease
from refine_af.storage.schemes import open_store


def publish_forever(uri: str, folder: str) -> None:
    """Publish two contents in turn, as file, as directory and through a journal."""
    store = open_store(uri)
    sources = [Path(folder, name) for name in ("old", "new")]
    identity = {"stage": "test", "params": {}, "inputs": {}, "code": "1"}
    with open_journal(f"{uri}/work", identity) as journal:
        print("ready", flush=True)
        for turn in itertools.count():
            source = sources[turn % 2]
            store.publish(f"{uri}/file", source / "a")
            store.publish_directory(f"{uri}/directory", source)
            journal.publish("entry", (source / "a").read_bytes())
            journal.publish_directory("checkpoint", source)


def race() -> None:
    """Try for the lease that each line of the input names, say who got it, and keep it."""
    leases = []
    print("ready", flush=True)
    for uri in map(str.strip, sys.stdin):
        try:
            leases.append(Lease(open_store(uri), uri, "racer", 60.0))
            print("won", flush=True)
        except LeaseHeldError:
            print("refused", flush=True)


def hold(uri: str, seconds: str) -> None:
    """Take a lease and wait to be killed."""
    Lease(open_store(uri), uri, "holder", float(seconds))
    print("ready", flush=True)
    time.sleep(600)


def limited(uri: str, limit: str) -> None:
    """Publish more than the process may write to one file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    try:
        open_store(uri).publish_bytes(uri, b"x" * (int(limit) + 1))
    except StorageError as error:
        print(error, flush=True)


def unprivileged(uri: str) -> None:
    """Publish as a user who may not, whoever runs the tests."""
    if os.geteuid() == 0:
        os.setuid(65534)
    try:
        open_store(uri).publish_bytes(uri, b"")
    except StorageError as error:
        print(error, flush=True)


def transfer(uri: str, source: str, target: str) -> None:
    """Send and fetch a large file; print by how many bytes the peak of memory grew."""
    store = open_store(uri)
    Path(target).write_bytes(b"warm")
    store.publish(f"{uri}/warm", Path(target))
    store.download(f"{uri}/warm", Path(target))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    digest = store.publish(f"{uri}/large", Path(source))
    store.download(f"{uri}/large", Path(target), digest)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(grown * 1024, flush=True)


if __name__ == "__main__":
    tasks = {
        task.__name__: task
        for task in (publish_forever, race, hold, limited, unprivileged, transfer)
    }
    tasks[sys.argv[1]](*sys.argv[2:])
