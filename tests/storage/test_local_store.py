"""The disk: kills, limits, permissions, links."""

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_af.contracts.errors import DataError, StorageError
from refine_af.storage import atomic
from refine_af.storage.journal import open_journal
from refine_af.storage.local import LocalStore
from refine_af.storage.manifest import digest_directory, digest_file

WORKER = Path(__file__).with_name("worker.py")
STORE = LocalStore()


def run(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(WORKER), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


Tree = dict[str, bytes]
FILE_NAMES = st.text("ab", min_size=1, max_size=3)
TREES = st.dictionaries(
    st.lists(FILE_NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=50), max_size=5
).filter(lambda tree: not any(other.startswith(f"{name}/") for name in tree for other in tree))


@settings(max_examples=30, deadline=None)
@given(TREES, TREES)
def test_directories_replace_each_other_whole(
    first: dict[str, bytes], then: dict[str, bytes]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        target = Path(place, "target")
        for number, tree in enumerate((first, then)):
            source = Path(place, f"source{number}")
            source.mkdir()
            for name, data in tree.items():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).write_bytes(data)
            digest = STORE.publish_directory(str(target), source)
            found = {p.relative_to(target).as_posix(): p for p in target.rglob("*") if p.is_file()}
            assert {name: path.read_bytes() for name, path in found.items()} == tree
            lines = [f"{hashlib.sha256(tree[n]).hexdigest()}  {n}\n" for n in sorted(tree)]
            assert digest == hashlib.sha256("".join(lines).encode()).hexdigest()
        assert len(list(Path(place).iterdir())) == 3


def test_the_digest_is_that_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/x", "a", "b.c", "B"):
        (tmp_path / name).write_text(name)
    script = "find * -type f | LC_ALL=C sort | xargs sha256sum | sha256sum"
    shown = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert digest_directory(tmp_path) == shown.stdout.split()[0]
    assert digest_file(tmp_path / "a") == hashlib.sha256(b"a").hexdigest()


def test_a_killed_writer_leaves_the_old_or_the_new_whole(tmp_path: Path) -> None:
    """Kill -9 in the middle of publishing, 20 times, at moments spread over one publication."""
    whole = set()
    for name in ("old", "new"):
        folder = tmp_path / name
        (folder / "sub").mkdir(parents=True)
        for file in ("a", "sub/b", "sub/c"):
            (folder / file).write_bytes(f"{name} {file}".encode() * 20_000)
        whole.add(digest_directory(folder))
    contents = {digest_file(tmp_path / name / "a") for name in ("old", "new")}
    place = tmp_path / "place"
    seen = set()
    for turn in range(20):
        writer = run("publish_forever", str(place), str(tmp_path))
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(0.05 + turn * 0.011)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        for check, path, allowed in (
            (digest_file, place / "file", contents),
            (digest_directory, place / "directory", whole),
        ):
            if path.exists():
                assert check(path) in allowed
                seen.add(check(path))
        identity = {"stage": "test", "params": {}, "inputs": {}, "code": "1"}
        with open_journal(str(place / "work"), identity) as journal:
            entry = journal.read("entry")
            assert entry is None or hashlib.sha256(entry).hexdigest() in contents
            if journal.read_directory("checkpoint", tmp_path / "restored"):
                assert digest_directory(tmp_path / "restored") in whole
            else:
                assert "checkpoint" not in journal.names()
    assert len(seen) >= 3, "the kills never met a published state"


def test_without_exchange_a_directory_is_still_replaced_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    for text in ("old", "new"):
        (tmp_path / "source").mkdir(exist_ok=True)
        (tmp_path / "source" / text).write_text(text)
        STORE.publish_directory(str(tmp_path / "target"), tmp_path / "source")
        (tmp_path / "source" / text).unlink()
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_a_write_over_the_limit_says_so_and_keeps_the_old(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    writer = run("limited", str(tmp_path / "f"), "100000")
    said, _ = writer.communicate()
    assert "f: cannot write: File too large; the file is larger than the limit" in said
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("f", "old")]


def test_a_full_disk_says_so_and_keeps_the_old(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        STORE.publish_bytes(str(disk / "f"), b"old")
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "big").write_bytes(b"x" * 500_000)
        for write in (
            lambda: STORE.publish_bytes(str(disk / "f"), b"x" * 500_000),
            lambda: STORE.publish(str(disk / "f"), tmp_path / "source" / "big"),
            lambda: STORE.publish_directory(str(disk / "d"), tmp_path / "source"),
        ):
            with pytest.raises(StorageError, match="disk is full; free some space"):
                write()
        assert [(path.name, path.read_text()) for path in disk.iterdir()] == [("f", "old")]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_place_without_permission_says_so() -> None:
    said, _ = run("unprivileged", "/refine-af-test").communicate()
    assert said.startswith(
        "/refine-af-test: cannot write: Permission denied; permission is missing"
    )


def test_links_inside_are_followed_and_outside_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("a")
    (source / "b").symlink_to("a")
    STORE.publish_directory(str(tmp_path / "copy"), source)
    assert (tmp_path / "copy" / "b").read_text() == "a"
    assert not (tmp_path / "copy" / "b").is_symlink()
    for target in ("/etc/passwd", "../secret", "nothing", "."):
        (source / "c").symlink_to(target)
        with pytest.raises(DataError, match=r"source/c: the link"):
            STORE.publish_directory(str(tmp_path / "copy"), source)
        (source / "c").unlink()
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["a", "b"]


def test_pipes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    os.mkfifo(tmp_path / "source" / "pipe")
    with pytest.raises(DataError, match="not a file or directory"):
        STORE.publish_directory(str(tmp_path / "copy"), tmp_path / "source")


def test_a_directory_brought_here_with_its_manifest_is_verified(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("1")
    digest = hashlib.sha256(b"1").hexdigest()
    files = f'{{"a": {{"size": 1, "sha256": "{digest}"}}}}'
    (source / "_MANIFEST.json").write_text(f'{{"complete": true, "files": {files}}}')
    STORE.download(str(source), tmp_path / "copy")
    (source / "a").write_text("2")
    with pytest.raises(DataError, match="expected"):
        STORE.download(str(source), tmp_path / "copy")
    (source / "_MANIFEST.json").write_text('{"complete": false}')
    with pytest.raises(DataError, match="not whole"):
        STORE.download(str(source), tmp_path / "copy")
    assert (tmp_path / "copy" / "a").read_text() == "1"


def test_new_files_have_the_modes_of_the_user(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        STORE.publish_bytes(str(tmp_path / "f"), b"")
    finally:
        os.umask(before)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640
