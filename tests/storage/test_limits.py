"""No read goes on for ever: endless bodies, slow servers, devices, pipes, links, patterns."""

import json
import os
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_https import serve_https

from refine_af.cli import main
from refine_af.contracts.errors import DataError, RefineAfError, StorageError
from refine_af.contracts.patterns import pattern_trouble
from refine_af.engines.adapters import check_adapter_folder
from refine_af.engines.models import resolve_model
from refine_af.evaluation.task_sets import load_tasks
from refine_af.storage import limits, retry
from refine_af.storage.schemes import open_source, open_store
from refine_af.storage.sources import fetch, fingerprint


def bad_store(
    handler: type[BaseHTTPRequestHandler], monkeypatch: pytest.MonkeyPatch
) -> ThreadingHTTPServer:
    """Start a server that S3 and Cloud Storage are looked for at."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    for name in ("AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return server


class Endless(BaseHTTPRequestHandler):
    """Sends for ever: all at once, or (``/slow``) a byte at a time; or an odd length."""

    def do_GET(self) -> None:  # noqa: D102
        self.send_response(200)
        if self.path == "/odd":
            self.send_header("Content-Length", "abc")
        self.end_headers()
        try:
            if self.path == "/odd":
                self.wfile.write(b"rows")
                return
            while True:
                self.wfile.write(b"x" if self.path == "/slow" else b"x" * 65536)
                time.sleep(0.1 if self.path == "/slow" else 0.0)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def test_an_endless_page_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limits.BYTES_VARIABLE, "1000000")
    with serve_https(tmp_path, monkeypatch, Endless) as url:
        for attempt in (
            lambda: open_source(url).read(f"{url}/rows"),
            lambda: open_source(url).download(f"{url}/rows", tmp_path / "copy"),
            lambda: open_source(url).fingerprint(f"{url}/rows"),
        ):
            with pytest.raises(DataError, match="at most 1000000 are read"):
                attempt()
    assert not (tmp_path / "copy").exists()


def test_a_page_that_comes_byte_by_byte_ends_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(limits.SECONDS_VARIABLE, "1")
    started = time.monotonic()
    with (
        serve_https(tmp_path, monkeypatch, Endless) as url,
        pytest.raises(StorageError, match="not read after 1 s"),
    ):
        open_source(url).read(f"{url}/slow")
    assert time.monotonic() - started < 8.0


def test_a_length_that_is_no_number_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_https(tmp_path, monkeypatch, Endless) as url:
        assert open_source(url).read(f"{url}/odd") == b"rows"


@pytest.mark.parametrize("root", ["s3", "gs"], indirect=True)
def test_an_object_over_the_limit_is_refused(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(root)
    store.publish_bytes(f"{root}/a", b"x" * 2000)
    monkeypatch.setenv(limits.BYTES_VARIABLE, "1000")
    for attempt in (
        lambda: store.read(f"{root}/a"),
        lambda: store.download(f"{root}/a", tmp_path / "copy"),
    ):
        with pytest.raises(DataError, match="2000 bytes or more"):
            attempt()


class Dribbling(BaseHTTPRequestHandler):
    """Answers every request of a store with a whole head and a byte every tenth of a second."""

    protocol_version = "HTTP/1.1"
    size = 20_000_000
    head: bytes = b""
    """Body of the first answers: metadata, which come at once."""

    def do_HEAD(self) -> None:  # noqa: D102
        self._begin()

    def do_GET(self) -> None:  # noqa: D102
        if self.head and "alt=media" not in self.path:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(self.head)))
            self.end_headers()
            self.wfile.write(self.head)
            return
        self._begin()
        try:
            while True:
                self.wfile.write(b"x")
                time.sleep(0.1)
        except OSError:
            return

    def _begin(self) -> None:
        start, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        first = int(start or 0)
        end = int(last or self.size - 1)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(end - first + 1))
        self.send_header("Content-Range", f"bytes {first}-{end}/{self.size}")
        self.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
        self.send_header("ETag", '"0"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


class DribblingObject(Dribbling):
    """The metadata of Cloud Storage come at once, the object does not."""

    head = json.dumps({"generation": "1", "size": "20000000", "crc32c": "AAAAAA=="}).encode()


@pytest.mark.parametrize(
    ("scheme", "handler"), [("s3", Dribbling), ("gs", Dribbling), ("gs", DribblingObject)]
)
def test_a_store_that_sends_byte_by_byte_is_given_up_and_leaves_no_thread(
    scheme: str,
    handler: type[BaseHTTPRequestHandler],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = bad_store(handler, monkeypatch)
    monkeypatch.setenv(limits.SECONDS_VARIABLE, "0.5")
    before = set(threading.enumerate())
    uri = f"{scheme}://bucket/rows.jsonl"
    store = open_store(uri)
    started = time.monotonic()
    reads: list[Callable[[], object]] = [
        lambda: store.read(uri),
        lambda: store.download(uri, tmp_path / "copy"),
    ]
    if handler is Dribbling:
        reads += [
            lambda: store.fingerprint(uri),
            lambda: store.list_files(uri),
            lambda: store.exists(uri),
        ]
    for read in reads:
        with pytest.raises(StorageError, match=r"not read after 0\.5 s"):
            read()
    assert time.monotonic() - started < 3.0 * len(reads)

    def left() -> list[threading.Thread]:
        threads = set(threading.enumerate()) - before
        return [thread for thread in threads if "process_request" not in thread.name]

    while left() and time.monotonic() - started < 3.0 * len(reads) + 10.0:
        time.sleep(0.1)
    assert left() == []
    server.shutdown()


class Stalling(BaseHTTPRequestHandler):
    """Takes a byte of what is sent every tenth of a second, and answers nothing."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:  # noqa: D102
        try:
            while self.rfile.read(1):
                time.sleep(0.1)
        except OSError:
            return

    do_POST = do_DELETE = do_GET = do_HEAD = do_PUT  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Stay silent."""


class DribblingAnswer(Stalling):
    """Takes all and sends its answer a byte at a time, without an end."""

    def do_PUT(self) -> None:  # noqa: D102
        self.send_response(200)
        self.send_header("Content-Length", "20000000")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x")
                time.sleep(0.1)
        except OSError:
            return

    do_POST = do_DELETE = do_GET = do_HEAD = do_PUT  # noqa: N815


@pytest.mark.parametrize("handler", [Stalling, DribblingAnswer])
@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_an_upload_that_does_not_end_is_given_up(
    scheme: str,
    handler: type[BaseHTTPRequestHandler],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = bad_store(handler, monkeypatch)
    monkeypatch.setenv(limits.UPLOAD_VARIABLE, "0.5")
    (tmp_path / "folder").mkdir()
    large = tmp_path / "folder" / "weights"
    large.write_bytes(b"x" * 20_000_000)
    uri = f"{scheme}://bucket/rows.jsonl"
    store = open_store(uri)
    started = time.monotonic()
    writes: list[Callable[[], object]] = [
        lambda: store.publish_bytes(uri, b"x"),
        lambda: store.publish(uri, large),
        lambda: store.publish_directory(uri, large.parent),
        lambda: store.swap(uri, b"x", None),
        lambda: store.delete(uri),
    ]
    for write in writes:
        with pytest.raises(StorageError, match=rf"{uri}: not written after 0\.5 s"):
            write()
    assert time.monotonic() - started < 4.0 * len(writes)
    server.shutdown()


def test_a_write_whose_caller_is_stopped_does_not_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def write() -> None:
        for _ in range(600):
            time.sleep(0.05)
        written.append(1)

    def stop(thread: threading.Thread, seconds: float | None = None) -> None:
        if thread.name == "transfer" and seconds and seconds > 100:
            raise KeyboardInterrupt
        join(thread, seconds)

    join, before = threading.Thread.join, threading.enumerate()
    monkeypatch.setattr(threading.Thread, "join", stop)
    with pytest.raises(KeyboardInterrupt):
        limits.within("s3://b/k", write, writes=True)
    left = set(threading.enumerate()) - set(before)
    assert not [thread for thread in left if thread.name == "transfer"]
    assert written == []


def test_an_endless_listing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ANSWER_BYTES", 100_000)
    server = bad_store(Endless, monkeypatch)
    for uri in ("s3://bucket/rows.jsonl", "gs://bucket/rows.jsonl"):
        with pytest.raises(StorageError, match="more than 100000 bytes"):
            open_store(uri).fingerprint(uri)
    server.shutdown()


def test_a_call_that_does_not_return_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limits.SECONDS_VARIABLE, "0.5")
    with pytest.raises(StorageError, match=r"s3://b/k: not read after 0\.5 s"):
        limits.within("s3://b/k", lambda: time.sleep(60))
    assert limits.within("x", lambda: 7) == 7
    with pytest.raises(ValueError, match="own"):
        limits.within("x", lambda: int("own"))


def make_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.jsonl")
    return folder / "pipe.jsonl"


def make_device(folder: Path) -> Path:
    (folder / "zero.jsonl").symlink_to("/dev/zero")
    return folder / "zero.jsonl"


@pytest.mark.parametrize("make", [make_pipe, make_device])
def test_devices_and_pipes_are_refused(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path)
    for attempt in (
        lambda: fetch(str(path), tmp_path),
        lambda: fingerprint(str(path)),
        lambda: open_store(str(path)).read(str(path)),
        lambda: open_store(str(path)).download(str(path), tmp_path / "copy"),
        lambda: load_tasks([path]),
        lambda: load_tasks([tmp_path]),
    ):
        with pytest.raises(RefineAfError, match=r"a regular file|leads outside"):
            attempt()


@pytest.mark.parametrize("option", ["seeds-uri", "known-uri", "tasks-uri", "seeds", "model"])
def test_stages_refuse_a_device(option: str, tmp_path: Path) -> None:
    stage = {"seeds-uri": "seed-ingest", "known-uri": "generate-instructions",
             "tasks-uri": "evaluate", "seeds": "generate-instructions",
             "model": "generate-instructions"}[option]  # fmt: skip
    (tmp_path / "seeds").write_text("")
    arguments = [stage, f"--{option}", "/dev/zero", "--outputs-dir", str(tmp_path / "out")]
    if stage == "generate-instructions" and option != "seeds":
        arguments += ["--seeds", str(tmp_path / "seeds")]
    if option == "model":
        arguments += ["--engine", "scripted"]
    assert main(arguments) == 65


def test_a_link_out_of_a_checkout_of_tasks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "task1.json").symlink_to(tmp_path / "secret.json")
    (checkout / "list.txt").write_text("task1\n")
    for source in (checkout, checkout / "list.txt"):
        with pytest.raises(DataError, match="leads outside"):
            load_tasks([source])


@pytest.mark.parametrize(
    "pattern",
    ["([a-z_.0-9]+)+!", "(a|a)*b", "(a*)*", "((a+)b?){5,}", r"(a)\1*", ".*.*.*.*x", "x" * 2000,
     "(?:a+){2}", "("],
)  # fmt: skip
def test_patterns_that_may_run_away_are_refused(pattern: str, tmp_path: Path) -> None:
    assert pattern_trouble(pattern)
    for field in ({"target_modules": pattern}, {"rank_pattern": {pattern: 4}},
                  {"alpha_pattern": {pattern: 4}}, {"exclude_modules": pattern}):  # fmt: skip
        config = {"peft_type": "LORA"} | field
        (tmp_path / "adapter_config.json").write_text(json.dumps(config))
        (tmp_path / "adapter_model.safetensors").write_bytes(b"")
        with pytest.raises(DataError, match="is refused"):
            check_adapter_folder(tmp_path)


@pytest.mark.parametrize(
    "pattern",
    ["all-linear", r".*\.(q_proj|v_proj)$", "q_proj", "model.layers.[0-9]+.self_attn.(q|k)_proj",
     ".*decoder.*(SelfAttention|EncDecAttention).*(q|v)$", r"^(?!.*vision).*\.o_proj"],
)  # fmt: skip
def test_patterns_that_adapters_have_are_taken(pattern: str) -> None:
    assert pattern_trouble(pattern) == ""


@given(st.text("ab.*+?()[]{}|\\123,", max_size=14))
def test_whatever_pattern_is_taken_matches_quickly(pattern: str) -> None:
    import re

    if pattern_trouble(pattern) == "":
        started = time.process_time()
        re.compile(pattern).fullmatch("a" * 60 + "!")
        assert time.process_time() - started < 1.0


@pytest.mark.parametrize("field", ["num_hidden_layers", "n_layer", "num_local_experts"])
def test_a_model_of_endless_layers_is_refused(field: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {field: 10**9}}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(DataError, match=f"{field} 1000000000; at most"):
        resolve_model(str(tmp_path))


def test_an_output_that_is_a_link_is_written_behind_it(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "file").symlink_to(tmp_path / "disk" / "file")
    (tmp_path / "folder").symlink_to(tmp_path / "disk" / "folder")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_text("new")
    store = open_store(".")
    store.publish(str(tmp_path / "file"), tmp_path / "source" / "a")
    store.publish_directory(str(tmp_path / "folder"), tmp_path / "source")
    assert (tmp_path / "file").is_symlink()
    assert (tmp_path / "disk" / "file").read_text() == "new"
    assert (tmp_path / "disk" / "folder" / "a").read_text() == "new"
    store.publish_bytes(str(tmp_path / "file"), b"newer")
    assert (tmp_path / "disk" / "file").read_text() == "newer"


@pytest.mark.parametrize("text", ["0", "-1", "many", "nan"])
def test_a_limit_that_is_no_number_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limits.SECONDS_VARIABLE, text)
    with pytest.raises(RefineAfError, match=limits.SECONDS_VARIABLE):
        limits.seconds()
    assert retry.retry_seconds() > 0
