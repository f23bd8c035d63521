"""Servers that fail: every request once, one in ten at random, forever, and in the middle."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import FlexibleChecksumError  # type: ignore[import-untyped]
from servers import BUCKET, Fault, Faults

from refine_af.contracts.errors import DataError, StorageError
from refine_af.storage import gcs, retry, s3
from refine_af.storage.journal import open_journal
from refine_af.storage.lease import Lease
from refine_af.storage.manifest import digest_directory, digest_file
from refine_af.storage.schemes import open_store
from refine_af.storage.store import DamagedError, Store

WORKER = Path(__file__).with_name("worker.py")
KINDS: tuple[Fault, ...] = ("500", "lost", "429", "cut", "503")
S3_PART = 5 * 1024 * 1024  # the smallest part that S3 takes
GS_PART = 1024 * 1024
IN_SMALL_PARTS = TransferConfig(multipart_threshold=S3_PART, multipart_chunksize=S3_PART)


@pytest.fixture(params=["s3", "gs"])
def faults(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Faults:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.005)
    monkeypatch.setenv(retry.VARIABLE, "20")
    monkeypatch.setattr(s3, "TRANSFER", IN_SMALL_PARTS)
    monkeypatch.setattr(gcs, "PART_BYTES", GS_PART)
    found: Faults = request.getfixturevalue(f"{request.param}_faults")
    return found


@pytest.fixture
def faulty_root(faults: Faults, request: pytest.FixtureRequest) -> str:
    scheme = request.node.callspec.params["faults"]
    return f"{scheme}://{BUCKET}/{uuid.uuid4().hex}"


def use_everything(root: str, folder: Path) -> Store:
    store = open_store(root)
    (folder / "large").write_bytes(os.urandom(9_000_000))
    (folder / "tree" / "sub").mkdir(parents=True)
    for name in ("a", "sub/b", "sub/c"):
        (folder / "tree" / name).write_text(name * 1000)
    tree = digest_directory(folder / "tree")

    store.publish_bytes(f"{root}/small", b"small")
    assert store.read(f"{root}/small") == b"small"
    digest = store.publish(f"{root}/large", folder / "large")
    assert store.download(f"{root}/large", folder / "copy", digest) == digest
    assert digest_file(folder / "copy") == digest
    assert store.publish_directory(f"{root}/tree", folder / "tree") == tree
    assert store.download(f"{root}/tree", folder / "tree copy", tree) == tree
    assert [uri.removeprefix(root) for uri in store.list_files(root)] == [
        "/large",
        "/small",
        "/tree/a",
        "/tree/sub/b",
        "/tree/sub/c",
    ]
    assert store.exists(f"{root}/tree")
    store.delete(f"{root}/tree")
    assert not store.exists(f"{root}/tree")
    with Lease(store, f"{root}/lease", "me", 60.0) as lease:
        lease.renew()
    identity = {"stage": "test", "params": {}, "inputs": {}, "code": "1"}
    for turn in range(2):
        with open_journal(f"{root}/work", identity) as journal:
            if turn == 0:
                journal.publish("step", b"1")
                journal.publish_directory("tree", folder / "tree")
                journal.publish_directory("tree", folder / "tree")
                journal.finish({"tree": folder / "tree"}, {})
            assert journal.names() == ["step", "tree"]
            assert journal.read("step") == b"1"
            assert journal.read_directory("tree", folder / "restored")
            assert journal.republish({"tree": folder / "again"})
    assert digest_directory(folder / "restored") == digest_directory(folder / "again") == tree
    return store


def test_every_kind_of_request_failing_once_changes_nothing(
    faults: Faults, faulty_root: str, tmp_path: Path
) -> None:
    faults.once = KINDS
    store = use_everything(faulty_root, tmp_path)
    assert len(faults.log) >= 20
    assert {line.split()[0] for line in faults.log} == set(KINDS)
    # aiohttp itself repeats a request whose connection was lost, and an answer without a body
    # cannot be cut: only refusals are sure to be counted.
    refused = [line for line in faults.log if line[0].isdigit()]
    assert len(refused) <= store.retries <= len(faults.log)


def test_a_tenth_of_all_requests_failing_changes_nothing(
    faults: Faults, faulty_root: str, tmp_path: Path
) -> None:
    faults.share = 0.1
    use_everything(faulty_root, tmp_path)
    assert faults.log


@pytest.mark.parametrize(("fault", "says"), [("503", "cannot read"), ("403", "permission is miss")])
def test_a_server_that_never_answers_ends_in_a_message(
    faults: Faults, faulty_root: str, fault: Fault, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(retry.VARIABLE, "1")
    store = open_store(faulty_root)
    store.publish_bytes(f"{faulty_root}/a", b"")
    faults.always = fault
    before = store.retries
    with pytest.raises(StorageError, match=says) as caught:
        store.read(f"{faulty_root}/a")
    assert f"{faulty_root}/a" in str(caught.value)
    assert caught.value.exit_code == 69
    repeated = store.retries - before
    assert repeated == 0 if fault == "403" else 3 <= repeated <= 30


def test_a_download_from_gs_continues_where_it_was_cut(
    gs_faults: Faults, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.005)
    root = f"gs://{BUCKET}/{uuid.uuid4().hex}"
    store = open_store(root)
    (tmp_path / "f").write_bytes(os.urandom(3_000_000))
    digest = store.publish(f"{root}/f", tmp_path / "f")
    gs_faults.log.clear()
    # Every answer is cut in half: 1.5 MB, then 0.75 MB, and so on; from the start it never ends.
    gs_faults.always = "cut"
    gs_faults.only = "GET f ['alt'"
    assert store.download(f"{root}/f", tmp_path / "copy", digest) == digest
    assert 10 < len(gs_faults.log) < 60


def test_a_download_from_s3_asks_again_for_the_parts_that_were_cut(
    s3_faults: Faults, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.005)
    monkeypatch.setattr(s3, "TRANSFER", IN_SMALL_PARTS)
    root = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    store = open_store(root)
    (tmp_path / "f").write_bytes(os.urandom(40_000_000))
    digest = store.publish(f"{root}/f", tmp_path / "f")
    s3_faults.share, s3_faults.only = 0.3, "GET f "
    assert store.download(f"{root}/f", tmp_path / "copy", digest) == digest
    assert digest_file(tmp_path / "copy") == digest
    assert s3_faults.log


def test_an_object_replaced_while_it_is_read_is_read_anew(
    faults: Faults, faulty_root: str, tmp_path: Path
) -> None:
    store = open_store(faulty_root)
    store.publish_bytes(f"{faulty_root}/f", b"old " * 50_000)
    faults.then = lambda: store.publish_bytes(f"{faulty_root}/f", b"new " * 60_000)
    faults.once = ("cut",)
    faults.only = "GET f ['alt'" if faulty_root.startswith("gs") else "GET f "
    store.download(f"{faulty_root}/f", tmp_path / "copy")
    assert len(faults.log) == 1
    assert (tmp_path / "copy").read_bytes() == b"new " * 60_000


@pytest.mark.parametrize("before", [True, False])
def test_a_directory_whose_publication_broke_off_is_not_there(
    s3_faults: Faults, before: bool, tmp_path: Path
) -> None:
    root = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    store = open_store(root)
    for name in ("a", "b", "c"):
        (tmp_path / "tree").mkdir(exist_ok=True)
        (tmp_path / "tree" / name).write_text(name)
    if before:
        store.publish_directory(f"{root}/tree", tmp_path / "tree")
        (tmp_path / "tree" / "a").write_text("new")
    s3_faults.always, s3_faults.only = "403", "PUT b "
    with pytest.raises(StorageError, match="permission"):
        store.publish_directory(f"{root}/tree", tmp_path / "tree")
    s3_faults.always = None
    assert not store.exists(f"{root}/tree")
    assert store.list_files(root) == []
    with pytest.raises(DataError, match="not whole"):
        store.download(f"{root}/tree", tmp_path / "copy")
    store.publish_directory(f"{root}/tree", tmp_path / "tree")
    store.download(f"{root}/tree", tmp_path / "copy")
    assert digest_directory(tmp_path / "copy") == digest_directory(tmp_path / "tree")


def test_an_upload_that_fails_leaves_nothing_behind(
    s3_faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.001)
    monkeypatch.setattr(s3, "TRANSFER", IN_SMALL_PARTS)
    monkeypatch.setenv(retry.VARIABLE, "1")
    root = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    store = open_store(root)
    (tmp_path / "large").write_bytes(os.urandom(11_000_000))
    s3_faults.always = "500"
    s3_faults.only = "PUT large ['partNumber'"
    with pytest.raises(StorageError, match="cannot write"):
        store.publish(f"{root}/large", tmp_path / "large")
    s3_faults.always = None
    assert not store.exists(f"{root}/large")
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    listed = s3.S3Client()._client.list_multipart_uploads(Bucket=bucket, Prefix=prefix)
    assert "Uploads" not in listed


def test_content_that_changed_at_rest_is_refused(s3_root: str, tmp_path: Path) -> None:
    client = s3.S3Client()
    store = open_store(s3_root)
    wrong = {s3.SHA256_FIELD: "0" * 64}
    key = s3_root.removeprefix(f"s3://{BUCKET}/") + "/f"
    client._client.put_object(Bucket=BUCKET, Key=key, Body=b"x", Metadata=wrong)
    for attempt in (
        lambda: store.read(f"{s3_root}/f"),
        lambda: store.download(f"{s3_root}/f", tmp_path / "f"),
    ):
        with pytest.raises(DamagedError, match=r"sha256 is .* stored was 000"):
            attempt()
    assert not (tmp_path / "f").exists()


def test_content_damaged_on_the_way_is_read_again() -> None:
    answers: Iterator[Exception | bytes] = iter(
        [DamagedError("cut"), FlexibleChecksumError(error_msg="cut"), b"whole"]
    )

    def request() -> bytes:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = s3.S3Client()
    assert client._read(request) == b"whole"
    assert client.retries == 2


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_memory_does_not_grow_with_the_file(
    scheme: str, s3_root: str, gs_root: str, tmp_path: Path
) -> None:
    """A file of 300 MB where asked for, else of 120 MB, passes through less than 110 MB."""
    size = int(os.environ.get("REFINE_AF_TEST_TRANSFER_MB", "120")) * 1_000_000
    with (tmp_path / "large").open("wb") as large:
        for _ in range(size // 1_000_000):
            large.write(os.urandom(1_000_000))
    root = s3_root if scheme == "s3" else gs_root
    said = subprocess.run(
        [sys.executable, str(WORKER), "transfer", root, tmp_path / "large", tmp_path / "copy"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert digest_file(tmp_path / "copy") == digest_file(tmp_path / "large")
    open_store(root).delete(f"{root}/large")
    assert int(said.stdout) < 110_000_000
