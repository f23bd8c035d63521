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

Entries carry their own checksum (``entry``); one that is not whole is reported and treated as
absent. A directory is replaced by pointing its entry at a new tree, so a kill leaves the old one
or the new one.
"""

import json
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from refine_af.contracts.errors import DataError
from refine_af.storage.atomic import beside
from refine_af.storage.entry import unwrap, wrap
from refine_af.storage.exchange import put_in_place
from refine_af.storage.identity import Identity
from refine_af.storage.lease import Lease
from refine_af.storage.local import LocalStore
from refine_af.storage.location import join
from refine_af.storage.name import ENTRY_SUFFIX, journal_name
from refine_af.storage.outcome import Done, Failure
from refine_af.storage.store import DamagedError, MissingObjectError, Store

_LOG = logging.getLogger(__name__)
PERMANENT_EXIT_CODES = (64, 65)
DURABLE_SECONDS = 1.0
"""Steps are forced to the disk at most this often."""


class WorkJournal:
    """Progress of one stage run in a store. Made by ``open_journal``; close it, or use ``with``."""

    def __init__(self, store: Store, root: str, identity: Identity, lease: Lease) -> None:
        """Work below ``root`` under a lease that is already held."""
        self._store = store
        self._root = root
        self._lease = lease
        self._forced = float("-inf")
        self.identity = identity

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the lease."""
        self._lease.release()

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
        return self._restore(join("trees", pointer["token"]), pointer["digest"], target)

    def publish_directory(self, name: str, source: Path) -> None:
        """Store a directory under ``name`` in one atomic step, in place of what was there."""
        entry = _entry("folders", name)
        old = self._pointer(name)
        token = secrets.token_hex(8)
        self._lease.check()
        digest = self._store.publish_directory(self._uri(join("trees", token)), source)
        self._write_entry(entry, _dump({"token": token, "digest": digest}))
        if old is not None:
            self._store.delete(self._uri(join("trees", old["token"])))

    def names(self, prefix: str = "") -> list[str]:
        """Return the published names with that prefix, sorted."""
        found = self._names("steps") | self._names("folders")
        return sorted(name for name in found if name.startswith(prefix))

    def discard(self, name: str) -> None:
        """Remove what was published under ``name``; nothing happens when there is none."""
        self._lease.check()
        old = self._pointer(name)
        for kind in ("steps", "folders"):
            self._store.delete(self._uri(_entry(kind, name)))
        if old is not None:
            self._store.delete(self._uri(join("trees", old["token"])))

    def finish(
        self, outputs: Mapping[str, Path], metrics: Mapping[str, float] | None = None
    ) -> None:
        """Keep the outputs (files or directories) and metrics; the run counts as done after it."""
        token = secrets.token_hex(8)
        digests = {}
        for name in sorted(outputs):
            self._lease.check()
            uri = self._uri(join(join("outputs", token), journal_name(name)))
            publish = (
                self._store.publish_directory if outputs[name].is_dir() else self._store.publish
            )
            digests[name] = publish(uri, outputs[name])
        self._write_entry("done.entry", _dump(asdict(Done(digests, dict(metrics or {}), token))))

    def finished(self) -> Done | None:
        """Return what a finished run left, or None."""
        raw = self._read_entry("done.entry")
        return Done(**json.loads(raw)) if raw is not None else None

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

    def fail(self, message: str, exit_code: int) -> None:
        """Mark a permanent failure (exit codes 64 and 65); others leave no mark."""
        if exit_code in PERMANENT_EXIT_CODES:
            self._write_entry("failed.entry", _dump(asdict(Failure(message, exit_code))))

    def failure(self) -> Failure | None:
        """Return the permanent failure of an earlier try, or None."""
        raw = self._read_entry("failed.entry")
        return Failure(**json.loads(raw)) if raw is not None else None

    def clear(self) -> None:
        """Remove everything but identity and lease."""
        self._lease.check()
        # The marks first: a kill in between must not leave a run done without its outputs.
        for name in ("done.entry", "failed.entry", "folders", "steps", "trees", "outputs"):
            self._store.delete(self._uri(name))

    def sweep(self) -> None:
        """Remove trees, outputs and unfinished writes that a killed writer left."""
        self._store.sweep(self._root)
        pointers = (self._pointer(name) for name in self._names("folders"))
        used = {pointer["token"] for pointer in pointers if pointer is not None}
        done = self.finished()
        used |= {done.token} if done else set()
        for kind in ("trees", "outputs"):
            for token in self._store.list_directories(self._uri(kind)):
                if token not in used:
                    self._store.delete(self._uri(join(kind, token)))

    def _uri(self, name: str) -> str:
        return join(self._root, name)

    def _names(self, kind: str) -> set[str]:
        base = self._uri(kind)
        return {
            uri[len(base) + 1 : -len(ENTRY_SUFFIX)]
            for uri in self._store.list_files(base)
            if uri.endswith(ENTRY_SUFFIX)
        }

    def _pointer(self, name: str) -> dict[str, str] | None:
        raw = self._read_entry(_entry("folders", name))
        return json.loads(raw) if raw is not None else None

    def _read_entry(self, entry: str) -> bytes | None:
        uri = self._uri(entry)
        try:
            raw = self._store.read(uri)
        except MissingObjectError:
            return None
        except DamagedError as error:
            _LOG.warning("%s; it counts as absent", error)
            return None
        data = unwrap(raw)
        if data is None:
            _LOG.warning("%s: the entry is not whole; it counts as absent", uri)
        return data

    def _write_entry(self, entry: str, data: bytes, *, durable: bool = True) -> None:
        self._lease.check()
        self._store.publish_bytes(self._uri(entry), wrap(data), durable=durable)

    def _restore(self, name: str, digest: str, target: Path) -> bool:
        uri = self._uri(name)
        try:
            self._store.download(uri, target, digest)
        except DataError as error:
            _LOG.warning("%s: it counts as absent: %s", uri, error)
            return False
        return True


def _entry(kind: str, name: str) -> str:
    return f"{kind}/{journal_name(name)}{ENTRY_SUFFIX}"


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
