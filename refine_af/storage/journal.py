"""The journal of one stage run: what a killed stage continues from, a finished one republishes.

Layout below ``work_dir/KEY/``::

    identity.json            what KEY is the digest of
    lease.json               who works on it
    steps/NAME.entry         bytes published by the stage
    folders/NAME.entry       where the directory published as NAME is, and its digest
    trees/TOKEN/             the directories themselves, never overwritten
    outputs/TOKEN/OUTPUT     the outputs of the finished stage
    done.entry               digests of the outputs, metrics; written last
    failed.entry             message and exit code of a failure that a retry would repeat

Entries carry their own checksum and name (``entry.wrap``); one that is not whole, or was put under
another name, is reported and treated as absent. A directory is replaced by pointing its entry at a
new tree, so a kill leaves the old one or the new one.
"""

import logging
import secrets
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeVar

from refine_af.contracts.errors import DataError, JournalMismatchError
from refine_af.storage.atomic import beside, put_in_place
from refine_af.storage.entry import (
    ENTRY_SUFFIX,
    Done,
    Failure,
    Identity,
    Pointer,
    journal_name,
    unwrap,
    wrap,
)
from refine_af.storage.lease import LEASE_SECONDS, Lease
from refine_af.storage.local import LocalStore
from refine_af.storage.location import join
from refine_af.storage.schemes import open_store
from refine_af.storage.store import DamagedError, MissingObjectError, Store

Resume = Literal["if_possible", "always", "never"]
PERMANENT_EXIT_CODES = (64, 65)
DURABLE_SECONDS = 1.0
"""Steps are forced to the disk at most this often."""

_LOG = logging.getLogger(__name__)


class Entries:
    """Bytes and directories by name below ``root`` in a store; the base of every journal.

    It takes no lease: enough to inspect a journal, and for a private one.
    """

    def __init__(self, store: Store, root: str) -> None:
        self._store = store
        self._root = root
        self._forced = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Release what the journal holds."""

    def read(self, name: str) -> bytes | None:
        """Return what was published under ``name``, or None."""
        return self._read_entry(_entry("steps", name))

    def publish(self, name: str, data: bytes) -> None:
        """Store ``data`` under ``name`` in one atomic step, in place of what was there."""
        # Forcing every step to the disk would take a third of the time of a stage that makes
        # 10,000 rows a second. An entry tells by itself whether it is whole, so a power cut
        # costs the work of at most this time, and a kill none.
        now = time.monotonic()
        durable = now - self._forced >= DURABLE_SECONDS
        self._write_entry(_entry("steps", name), data, durable=durable)
        self._forced = now if durable else self._forced

    def read_directory(self, name: str, target: Path) -> bool:
        """Fill ``target`` with the directory published under ``name``; False when none is."""
        pointer = self._pointer(name)
        if pointer is None:
            return False
        return self._restore(join("trees", pointer.token), pointer.digest, target)

    def publish_directory(self, name: str, source: Path) -> None:
        """Store a directory under ``name`` in one atomic step, in place of what was there."""
        entry = _entry("folders", name)
        old = self._pointer(name)
        token = secrets.token_hex(8)
        self._check_lease()
        digest = self._store.publish_directory(self._uri(join("trees", token)), source)
        self._write_entry(entry, Pointer(token, digest).dump())
        if old is not None:
            self._store.delete(self._uri(join("trees", old.token)))

    def names(self, prefix: str = "") -> list[str]:
        """Return the published names with that prefix, sorted."""
        names = self._names("steps") | self._names("folders")
        return sorted(name for name in names if name.startswith(prefix))

    def discard(self, name: str) -> None:
        """Remove what was published under ``name``; does nothing if there is none."""
        self._check_lease()
        old = self._pointer(name)
        for kind in ("steps", "folders"):
            self._store.delete(self._uri(_entry(kind, name)))
        if old is not None:
            self._store.delete(self._uri(join("trees", old.token)))

    def finished(self) -> Done | None:
        """Return what a finished run left, or None."""
        return self._load("done.entry", Done)

    def republish(self, targets: Mapping[str, Path]) -> bool:
        """Put the outputs of the finished run at ``targets``, each whole and verified.

        Returns:
            False, with a warning, when the run is not finished, an output is missing, or its
            digest is wrong: the stage has to run again. No target was touched then.
        """
        done = self.finished()
        if done is None:
            return False
        absent = sorted(done.outputs.keys() - targets.keys())
        if absent:
            raise DataError(f"{self._root}: no target for the outputs {', '.join(absent)}")
        folder = join("outputs", done.token)
        staged = {name: beside(targets[name]) for name in sorted(done.outputs)}
        try:
            for name, path in staged.items():
                if not self._restore(join(folder, name), done.outputs[name], path):
                    return False
            for name, path in staged.items():
                put_in_place(path, targets[name])
        finally:
            for path in staged.values():
                LocalStore().delete(str(path))
        return True

    def failure(self) -> Failure | None:
        """Return the permanent failure of an earlier try, or None."""
        return self._load("failed.entry", Failure)

    def _check_lease(self) -> None:
        """Raise unless this process may write."""

    def _uri(self, name: str) -> str:
        return join(self._root, name)

    def _names(self, kind: str) -> set[str]:
        base = self._uri(kind)
        return {
            uri[len(base) + 1 : -len(ENTRY_SUFFIX)]
            for uri in self._store.list_files(base)
            if uri.endswith(ENTRY_SUFFIX)
        }

    def _pointer(self, name: str) -> Pointer | None:
        return self._load(_entry("folders", name), Pointer)

    def _load(self, entry: str, kind: "type[_Loaded]") -> "_Loaded | None":
        """Return one of the journal's own entries, or None when it is absent or invalid.

        A warning names the files there that this journal did not write.
        """
        raw = self._read_entry(entry)
        value = None if raw is None else kind.load(raw)
        if raw is not None and value is None:
            _LOG.warning("%s: the entry holds something else; it is ignored", self._uri(entry))
        return value

    def _read_entry(self, entry: str) -> bytes | None:
        uri = self._uri(entry)
        try:
            raw = self._store.read(uri)
        except MissingObjectError:
            return None
        except DamagedError as error:
            _LOG.warning("%s; it is ignored", error)
            return None
        data = unwrap(raw, entry)
        if data is None:
            _LOG.warning("%s: the entry is cut short, altered or misplaced; it is ignored", uri)
        return data

    def _write_entry(self, entry: str, data: bytes, *, durable: bool = True) -> None:
        self._check_lease()
        self._store.publish_bytes(self._uri(entry), wrap(data, entry), durable=durable)

    def _restore(self, name: str, digest: str, target: Path) -> bool:
        uri = self._uri(name)
        try:
            self._store.download(uri, target, digest)
        except DataError as error:
            _LOG.warning("%s: it is ignored: %s", uri, error)
            return False
        return True


class WorkJournal(Entries):
    """Progress of one stage run in a store. Made by ``open_journal``; close it, or use ``with``."""

    def __init__(self, store: Store, root: str, identity: Identity, lease: Lease) -> None:
        """Work below ``root`` under a lease that is already held."""
        super().__init__(store, root)
        self._lease = lease
        self.identity = identity

    def close(self) -> None:
        """Release the lease."""
        self._lease.release()

    def finish(
        self, outputs: Mapping[str, Path], metrics: Mapping[str, float] | None = None
    ) -> None:
        """Keep the outputs (files or directories) and metrics; the run counts as done after it."""
        token = secrets.token_hex(8)
        digests = {}
        for name in sorted(outputs):
            self._check_lease()
            uri = self._uri(join(join("outputs", token), journal_name(name)))
            publish = (
                self._store.publish_directory if outputs[name].is_dir() else self._store.publish
            )
            digests[name] = publish(uri, outputs[name])
        self._write_entry("done.entry", Done(digests, dict(metrics or {}), token).dump())

    def fail(self, message: str, exit_code: int, cause: str = "") -> None:
        """Mark a permanent failure (exit codes 64 and 65); others leave no mark."""
        if exit_code in PERMANENT_EXIT_CODES:
            self._write_entry("failed.entry", Failure(message, exit_code, cause).dump())

    def clear(self) -> None:
        """Remove everything but identity and lease."""
        self._check_lease()
        # The marks first: a kill in between must not leave a run done without its outputs.
        for name in ("done.entry", "failed.entry", "folders", "steps", "trees", "outputs"):
            self._store.delete(self._uri(name))

    def sweep(self) -> None:
        """Remove trees, outputs and unfinished writes that a killed writer left."""
        self._store.sweep(self._root)
        pointers = (self._pointer(name) for name in self._names("folders"))
        used = {pointer.token for pointer in pointers if pointer is not None}
        done = self.finished()
        used |= {done.token} if done else set()
        for kind in ("trees", "outputs"):
            for token in self._store.list_directories(self._uri(kind)):
                if token not in used:
                    self._store.delete(self._uri(join(kind, token)))

    def _check_lease(self) -> None:
        self._lease.check()


class MemoryJournal(Entries):
    """The journal of a stage without ``work_dir``: in a temporary folder, gone with ``close``."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="refine-af-journal-")
        super().__init__(LocalStore(), self._folder.name)

    def close(self) -> None:
        """Remove the temporary folder."""
        self._folder.cleanup()

    def finish(
        self, outputs: Mapping[str, Path], metrics: Mapping[str, float] | None = None
    ) -> None:
        """Do nothing: no later run could ask for it."""

    def fail(self, message: str, exit_code: int, cause: str = "") -> None:
        """Do nothing: no later run could ask for it."""


class _Loadable(Protocol):
    @classmethod
    def load(cls, raw: bytes) -> Self | None:
        """Return the value in ``raw``, or None when it holds anything else."""


_Loaded = TypeVar("_Loaded", bound=_Loadable)


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
    kept = []
    for key in store.list_directories(work_dir):
        try:
            identity = Identity.load(store.read(join(join(work_dir, key), "identity.json")))
        except (MissingObjectError, DamagedError):
            continue
        if identity is not None and identity.key == key:
            kept.append(identity)
    return kept


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


def _entry(kind: str, name: str) -> str:
    return f"{kind}/{journal_name(name)}{ENTRY_SUFFIX}"
