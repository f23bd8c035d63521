"""Files and directories that take their place whole: write beside, fsync, rename, fsync."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from refine_af.storage.digest import CHUNK_BYTES, digest_listing
from refine_af.storage.exchange import put_in_place
from refine_af.storage.location import OWN_PREFIX
from refine_af.storage.store import require_digest
from refine_af.storage.tree import files_below


def beside(path: Path) -> Path:
    """Return an unused hidden path in the same directory, so that a rename stays on one disk."""
    return Path(_beside(str(path)))


def _beside(path: str) -> str:
    name = f"{OWN_PREFIX}{os.getpid()}-{os.urandom(6).hex()}.tmp"
    return os.path.join(os.path.dirname(path), name)


def write_bytes(target: Path, data: bytes, *, durable: bool = True) -> None:
    """Put ``data`` at ``target`` in one atomic step."""
    with new_file(target, durable=durable) as sink:
        _write_all(sink, data)


def copy_file(
    source: Path, target: Path, expected: str | None = None, *, durable: bool = True
) -> str:
    """Copy a file to ``target`` in one atomic step and return its sha256.

    Raises:
        DataError: When the sha256 is not ``expected``; ``target`` is then left as it was.
    """
    with source.open("rb") as reader, new_file(target, durable=durable) as sink:
        digest = _copy(reader.fileno(), sink)
        require_digest(str(source), digest, expected)
    return digest


def copy_directory(
    source: Path, target: Path, expected: str | None = None, *, durable: bool = True
) -> str:
    """Copy a directory to ``target`` in one atomic step and return its digest.

    Raises:
        DataError: When the digest is not ``expected``; ``target`` is then left as it was.
    """
    with new_directory(target, durable=durable) as staged:
        digest = _copy_files(source, staged)
        require_digest(str(source), digest, expected)
    return digest


@contextmanager
def new_directory(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield an empty directory that takes the place of ``target`` after the block.

    Without ``durable`` it outlives kills, but maybe not a power cut: enough for a copy.
    """
    make_folder(target.parent)
    staged = beside(target)
    try:
        staged.mkdir()
        yield staged
        if durable:
            _sync_below(staged)
        put_in_place(staged, target)
        if durable:
            sync(target.parent)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _sync_below(folder: Path) -> None:
    for directory, _, names in os.walk(folder):
        for name in names:
            sync(Path(directory, name))
        sync(Path(directory))


def _copy_files(source: Path, folder: Path) -> str:
    digests = []
    for name, path in files_below(source):
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as reader, copy.open("xb", buffering=0) as sink:
            digests.append((name, _copy(reader.fileno(), sink.fileno())))
    return digest_listing(digests)


_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@contextmanager
def new_file(target: Path, *, durable: bool = True) -> Iterator[int]:
    """Yield the descriptor of a file that takes the place of ``target`` after the block.

    Without ``durable`` it outlives kills, but maybe not a power cut: enough for a copy.
    """
    # As text: a journal publishes many times a second, and path objects took a good part of it.
    place = os.fspath(target)
    staged = _beside(place)
    try:
        sink = os.open(staged, _NEW_FLAGS, 0o666)
    except FileNotFoundError:
        make_folder(target.parent)
        sink = os.open(staged, _NEW_FLAGS, 0o666)
    try:
        try:
            yield sink
            if durable:
                os.fsync(sink)
        finally:
            os.close(sink)
        os.rename(staged, place)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(staged)
        raise
    if durable:
        sync(target.parent)


def make_folder(path: Path) -> None:
    """Make a directory and those above it, each durably named in the one that holds it.

    Always: a later durable publication meets the directories of one that was not.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def _copy(reader: int, sink: int) -> str:
    digest = hashlib.sha256()
    while chunk := os.read(reader, CHUNK_BYTES):
        digest.update(chunk)
        _write_all(sink, chunk)
    return digest.hexdigest()


def _write_all(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view) :]


def sync(path: Path) -> None:
    """Make a file's content, or the names in a directory, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
