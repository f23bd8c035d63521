"""Opening the journal of a stage run, and looking at those that are there."""

from collections.abc import Mapping
from typing import Any, Literal

from refine_af.contracts.errors import JournalMismatchError
from refine_af.storage.identity import Identity
from refine_af.storage.lease import Lease
from refine_af.storage.location import join
from refine_af.storage.memory import MemoryJournal
from refine_af.storage.opening import open_store
from refine_af.storage.store import MissingObjectError, Store
from refine_af.storage.work_journal import WorkJournal

__all__ = ["LEASE_SECONDS", "MemoryJournal", "Resume", "WorkJournal", "identities", "open_journal"]

Resume = Literal["if_possible", "always", "never"]
LEASE_SECONDS = 60.0
"""Others wait this long after a node was lost; a holder renews three times in it."""


def open_journal(
    work_dir: str,
    identity: Identity | Mapping[str, Any],
    resume: Resume = "if_possible",
    *,
    lease_seconds: float = LEASE_SECONDS,
) -> WorkJournal:
    """Return the journal of ``identity`` below ``work_dir``, leased to this process.

    Args:
        work_dir: Local path, ``s3://`` or ``gs://``.
        identity: Its key names the journal's folder; a mapping has the fields of ``Identity``.
        resume: ``if_possible`` continues what is there; ``always`` refuses to start anew;
            ``never`` clears what is there.
        lease_seconds: After a node is lost, others may continue after this time.

    Raises:
        LeaseHeldError: When another live process works on the same key.
        JournalMismatchError: For ``always`` when no journal has this key; the message lists the
            differences from the nearest journal of the stage.
    """
    identity = identity if isinstance(identity, Identity) else Identity(**identity)
    store = open_store(work_dir)
    root = join(work_dir, identity.key)
    if resume == "always" and not store.exists(join(root, "identity.json")):
        raise JournalMismatchError(_mismatch(store, work_dir, identity))
    lease = Lease(store, join(root, "lease.json"), f"stage {identity.stage}", lease_seconds)
    journal = WorkJournal(store, root, identity, lease)
    try:
        if resume == "never":
            journal.clear()
        store.publish_bytes(join(root, "identity.json"), identity.dump())
        journal.sweep()
    except BaseException:
        journal.close()
        raise
    return journal


def identities(store: Store, work_dir: str) -> list[Identity]:
    """Return the identities of all journals below ``work_dir``, in the order of their keys."""
    found = []
    for key in store.list_directories(work_dir):
        try:
            identity = Identity.load(store.read(join(join(work_dir, key), "identity.json")))
        except MissingObjectError:
            continue
        if identity is not None and identity.key == key:
            found.append(identity)
    return found


def _mismatch(store: Store, work_dir: str, identity: Identity) -> str:
    start = f"{work_dir}: no journal of this run of stage {identity.stage} to resume"
    others = [other for other in identities(store, work_dir) if other.stage == identity.stage]
    if not others:
        return f"{start}, nor of any other; check work_dir, or use resume if_possible"
    differences = min((identity.differences(other) for other in others), key=len)
    return (
        f"{start}; the nearest differs in {'; '.join(differences)}; restore these values, or use"
        " resume if_possible to start anew beside it"
    )
