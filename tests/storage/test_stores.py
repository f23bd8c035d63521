"""What every store promises, on a disk, on S3 and on Cloud Storage."""

import hashlib
from pathlib import Path

import pytest
from servers import BUCKET

from refine_af.contracts.errors import DataError, ParameterError, StorageError
from refine_af.storage.location import locate
from refine_af.storage.manifest import INCOMPLETE, MANIFEST_NAME, digest_directory
from refine_af.storage.objects import ObjectStore
from refine_af.storage.schemes import open_store
from refine_af.storage.store import MissingObjectError


def make_directory(path: Path, **files: str) -> Path:
    for name, text in files.items():
        file = path / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return path


def names(root: str, uris: list[str]) -> list[str]:
    return [uri.removeprefix(root) for uri in uris]


@pytest.mark.parametrize("data", [b"", b"x", b"\x00\xff\r\n" * 999, "\u2028 é".encode()])
def test_bytes_come_back_as_they_were(root: str, data: bytes) -> None:
    store = open_store(root)
    store.publish_bytes(f"{root}/a b?#%/ü.bin", data)
    assert store.read(f"{root}/a b?#%/ü.bin") == data


def test_a_file_comes_back_with_its_sha256(root: str, tmp_path: Path) -> None:
    store, source = open_store(root), tmp_path / "source"
    source.write_bytes(b"line\n" * 100_000)
    expected = hashlib.sha256(source.read_bytes()).hexdigest()
    assert store.publish(f"{root}/rows.jsonl", source) == expected
    assert store.download(f"{root}/rows.jsonl", tmp_path / "new" / "copy", expected) == expected
    assert (tmp_path / "new" / "copy").read_bytes() == source.read_bytes()


def test_a_directory_comes_back_with_its_digest(root: str, tmp_path: Path) -> None:
    store = open_store(root)
    source = make_directory(tmp_path / "source", a="1", b__c="2", b__d__e="")
    digest = store.publish_directory(f"{root}/model", source)
    assert digest == digest_directory(source)
    assert store.download(f"{root}/model", tmp_path / "copy", digest) == digest
    assert digest_directory(tmp_path / "copy") == digest
    assert not list(tmp_path.rglob(MANIFEST_NAME))


def test_a_published_directory_takes_the_place_of_the_old_one(root: str, tmp_path: Path) -> None:
    store = open_store(root)
    store.publish_directory(f"{root}/m", make_directory(tmp_path / "old", a="1", b="2"))
    store.publish_directory(f"{root}/m", make_directory(tmp_path / "new", a="3", c__d="4"))
    assert names(root, store.list_files(f"{root}/m")) == ["/m/a", "/m/c/d"]
    make_directory(tmp_path / "target", stale="x")
    store.download(f"{root}/m", tmp_path / "target")
    assert digest_directory(tmp_path / "target") == digest_directory(tmp_path / "new")


def test_listing_is_sorted_deep_and_keeps_to_its_directory(root: str) -> None:
    store = open_store(root)
    for name in ("a/z", "a/b/c", "a/B", "ab/x", "a.txt"):
        store.publish_bytes(f"{root}/{name}", b"")
    assert names(root, store.list_files(f"{root}/a")) == ["/a/B", "/a/b/c", "/a/z"]
    assert names(root, store.list_files(f"{root}/a/")) == ["/a/B", "/a/b/c", "/a/z"]
    assert store.list_directories(root) == ["a", "ab"]
    assert store.list_files(f"{root}/nothing") == store.list_directories(f"{root}/nothing") == []


def test_exists_and_delete_keep_to_the_name(root: str) -> None:
    store = open_store(root)
    for name in ("a/b", "a/c/d", "ab"):
        store.publish_bytes(f"{root}/{name}", b"")
    assert [store.exists(f"{root}/{name}") for name in ("a", "a/b", "a/c", "ab")] == [True] * 4
    assert not store.exists(f"{root}/aa")
    store.delete(f"{root}/a")
    store.delete(f"{root}/a")
    assert names(root, store.list_files(root)) == ["/ab"]


def test_what_is_not_there_is_named(root: str, tmp_path: Path) -> None:
    store = open_store(root)
    with pytest.raises(MissingObjectError, match=r"nowhere.*(does not exist|nothing is stored)"):
        store.read(f"{root}/nowhere")
    with pytest.raises(MissingObjectError, match="nowhere"):
        store.download(f"{root}/nowhere", tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_digest_leaves_the_target_as_it_was(root: str, tmp_path: Path) -> None:
    store = open_store(root)
    store.publish_bytes(f"{root}/f", b"new")
    store.publish_directory(f"{root}/d", make_directory(tmp_path / "source", a="new"))
    (tmp_path / "target").write_text("old")
    for name in ("f", "d"):
        with pytest.raises(DataError, match="expected 123"):
            store.download(f"{root}/{name}", tmp_path / "target", "123")
    assert (tmp_path / "target").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "store") == [
        "source",
        "target",
    ]


def test_swap_writes_only_on_the_version_it_expects(root: str) -> None:
    store, uri = open_store(root), f"{root}/state"
    assert store.read_version(uri) is None
    assert store.swap(uri, b"0", "1") is None
    first = store.swap(uri, b"1", None)
    assert first is not None
    assert store.swap(uri, b"2", None) is None
    second = store.swap(uri, b"2", first)
    assert second is not None
    assert store.swap(uri, b"3", first) is None
    current = store.read_version(uri)
    assert current is not None
    assert (current.data, current.version) == (b"2", second)


@pytest.mark.parametrize("root", ["s3", "gs"], indirect=True)
def test_a_directory_in_the_making_is_not_there(root: str, tmp_path: Path) -> None:
    store = open_store(root)
    store.publish_bytes(f"{root}/d/{MANIFEST_NAME}", INCOMPLETE)
    store.publish_bytes(f"{root}/d/a", b"1")
    store.publish_bytes(f"{root}/e", b"1")
    assert not store.exists(f"{root}/d")
    assert store.list_files(f"{root}/d") == []
    assert names(root, store.list_files(root)) == ["/e"]
    with pytest.raises(DataError, match="not whole"):
        store.download(f"{root}/d", tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("root", ["s3", "gs"], indirect=True)
def test_a_directory_with_a_changed_or_lost_file_is_refused(root: str, tmp_path: Path) -> None:
    store = open_store(root)
    for name in ("changed", "lost"):
        store.publish_directory(f"{root}/{name}", make_directory(tmp_path / "s", a="1", b="2"))
    store.publish_bytes(f"{root}/changed/a", b"3")
    store.delete(f"{root}/lost/a")
    with pytest.raises(DataError, match="changed/a"):
        store.download(f"{root}/changed", tmp_path / "copy")
    with pytest.raises(DataError, match="lost/a"):
        store.download(f"{root}/lost", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("root", ["s3", "gs"], indirect=True)
def test_a_directory_that_other_tools_uploaded_is_taken(root: str, tmp_path: Path) -> None:
    store = open_store(root)
    for name in ("config.json", "sub/weights"):
        store.publish_bytes(f"{root}/model/{name}", name.encode())
    store.download(f"{root}/model", tmp_path / "copy")
    assert (tmp_path / "copy" / "sub" / "weights").read_text() == "sub/weights"


@pytest.mark.parametrize("name", ["../escaped", "a/../../b", "/absolute", "a//b", "back\\slash"])
def test_object_names_cannot_leave_the_directory(s3_root: str, name: str, tmp_path: Path) -> None:
    store = open_store(s3_root)
    assert isinstance(store, ObjectStore)
    key = f"{locate(s3_root).key}/evil/{name}"
    store._client.put(BUCKET, key, b"evil")  # a hostile uploader checks no names
    with pytest.raises(DataError, match="refused"):
        store.download(f"{s3_root}/evil", tmp_path / "inner" / "copy")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("root", ["s3", "gs"], indirect=True)
def test_names_in_a_manifest_cannot_leave_the_directory(root: str, tmp_path: Path) -> None:
    store = open_store(root)
    manifest = b'{"complete": true, "files": {"../x": {"size": 1, "sha256": "0"}}}'
    store.publish_bytes(f"{root}/d/{MANIFEST_NAME}", manifest)
    with pytest.raises(DataError, match=r"'\.\./x' is refused"):
        store.download(f"{root}/d", tmp_path / "copy")


@pytest.mark.parametrize("root", ["s3", "gs"], indirect=True)
def test_a_missing_bucket_is_named(root: str, tmp_path: Path) -> None:
    store, uri = open_store(root), f"{root[:5]}no-such-bucket/key"
    (tmp_path / "f").write_text("x")
    tries = (
        lambda: store.read(uri),
        lambda: store.publish_bytes(uri, b""),
        lambda: store.publish(uri, tmp_path / "f"),
        lambda: store.list_files(uri),
        lambda: store.exists(uri),
        lambda: store.download(uri, tmp_path / "copy"),
        lambda: store.swap(uri, b"", None),
        lambda: store.delete(uri),
    )
    for attempt in tries:
        with pytest.raises(StorageError, match=r"no-such-bucket.*the bucket does not exist"):
            attempt()


@pytest.mark.parametrize("uri", ["s3://bucket-of-tests", "gs://bucket-of-tests/"])
def test_a_bucket_alone_is_no_object(uri: str, s3_root: str, gs_root: str) -> None:
    with pytest.raises(ParameterError, match="names a bucket"):
        open_store(uri).publish_bytes(uri, b"")
