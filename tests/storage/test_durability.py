"""What a power cut may lose: nothing that was published durably.

A disk may forget whatever was not forced to it, in any order. So before a file or directory takes
its place by a rename its content must be forced, and before publishing returns every directory that
got a name, from the target's up to the first that was there before, must be forced after it.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refine_af.storage import atomic
from refine_af.storage import journal as journals
from refine_af.storage.journal import open_journal
from refine_af.storage.local import LocalStore
from refine_af.storage.location import OWN_PREFIX

STORE = LocalStore()
IDENTITY = {"stage": "test", "params": {}, "inputs": {}, "code": "1"}

Node = tuple[int, int]


def node(place: Any) -> Node:  # noqa: ANN401  a path or a descriptor
    found = os.stat(place)
    return found.st_dev, found.st_ino


class Disk:
    """Follows the real calls of one publication; the calls themselves go through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.forced: dict[Node, int] = {}
        self.unforced: dict[Node, list[Path]] = {}
        self.early: list[Path] = []
        self.forces = 0
        self.renames = 0
        fsync, rename, mkdir, swap = os.fsync, os.rename, os.mkdir, atomic._exchange

        def on_fsync(descriptor: int) -> None:
            fsync(descriptor)
            self.forces += 1
            self.forced[node(descriptor)] = os.stat(descriptor).st_size
            self.unforced.pop(node(descriptor), None)

        def on_rename(source: Any, target: Any) -> None:  # noqa: ANN401
            rename(source, target)
            self.named(Path(target))
            self.check_content(Path(target))

        def on_mkdir(path: Any, *rest: Any) -> None:  # noqa: ANN401
            mkdir(path, *rest)
            self.named(Path(path))

        def on_exchange(first: Path, second: Path) -> bool:
            done = swap(first, second)
            self.named(second)
            self.check_content(second)
            return done

        monkeypatch.setattr(os, "fsync", on_fsync)
        monkeypatch.setattr(os, "rename", on_rename)
        monkeypatch.setattr(os, "mkdir", on_mkdir)
        monkeypatch.setattr(atomic, "_exchange", on_exchange)

    def named(self, path: Path) -> None:
        """Note that a directory got a name."""
        self.renames += 1
        self.unforced.setdefault(node(path.parent), []).append(path)

    @property
    def lost(self) -> list[Path]:
        """Return what a power cut now may take: content, or the name of something that is there."""
        names = [path for paths in self.unforced.values() for path in paths if path.exists()]
        return self.early + names

    def check_content(self, path: Path) -> None:
        """Note what was put in place before its content was forced, whole."""
        if path.name.startswith(OWN_PREFIX):
            return  # moved aside, to be deleted
        for place in (path, *path.rglob("*")):
            size = self.forced.pop(node(place), None)
            # of a directory the size says nothing: that it was forced is all one sees
            if size is None or (place.is_file() and size != place.stat().st_size):
                self.early.append(place)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tree: Path) -> Iterator[Disk]:
    yield Disk(monkeypatch)
    monkeypatch.undo()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    for name in ("a", "sub/b"):
        (tmp_path / "tree" / name).write_bytes(b"content of " + name.encode())
    return tmp_path / "tree"


def replace_directory(place: Path, tree: Path) -> None:
    for _ in range(2):
        STORE.publish_directory(str(place / "there"), tree)


PUBLICATIONS: dict[str, Callable[[Path, Path], object]] = {
    "bytes": lambda place, _: STORE.publish_bytes(str(place / "deep/er/file"), b"content"),
    "file": lambda place, tree: STORE.publish(str(place / "deep/er/file"), tree / "a"),
    "directory": lambda place, tree: STORE.publish_directory(str(place / "deep/er/there"), tree),
    "directory in place of another": replace_directory,
    "swap": lambda place, _: STORE.swap(str(place / "file"), b"content", None),
}


@pytest.mark.parametrize("name", PUBLICATIONS)
def test_what_is_published_outlives_a_power_cut(
    name: str, disk: Disk, tmp_path: Path, tree: Path
) -> None:
    PUBLICATIONS[name](tmp_path, tree)
    assert disk.renames
    assert disk.lost == []


def test_without_exchange_too(
    disk: Disk, tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    replace_directory(tmp_path, tree)
    assert disk.renames
    assert disk.lost == []


def test_of_steps_that_follow_each_other_fast_the_first_is_forced(
    disk: Disk, tmp_path: Path
) -> None:
    with open_journal(str(tmp_path / "work"), IDENTITY) as journal:
        journal.publish("step-1", b"first")
        assert disk.lost == []
        forces = disk.forces
        journal.publish("step-2", b"second")
        assert disk.forces == forces
        assert len(disk.lost) == 2, "its content and its name"


def test_a_finished_run_outlives_a_power_cut(
    disk: Disk, tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "DURABLE_SECONDS", 0.0)
    with open_journal(str(tmp_path / "work"), IDENTITY) as journal:
        journal.publish("round/1", b"first")
        journal.publish_directory("checkpoint", tree)
        journal.publish_directory("checkpoint", tree)
        journal.finish({"rows": tree / "a", "model": tree})
    assert disk.lost == []
