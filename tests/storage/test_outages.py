"""Outages pass: what refuses or resets is asked again; what no wait mends is told at once."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from conftest import SERVER_VARIABLES, free_port
from servers import FaultyProxy
from test_https import serve_https

from refine_af.contracts.errors import ParameterError, RefineAfError, StorageError
from refine_af.storage import gcs, retry, s3
from refine_af.storage.schemes import open_source, open_store
from refine_af.storage.sources import from_hub

ABSENT = "no-such-host.invalid"


@contextmanager
def forwarding(port: int, address: str, after: float) -> Iterator[None]:
    """Open ``port`` after some seconds, in front of the server at ``address``."""
    ended = threading.Event()

    def serve() -> None:
        if ended.wait(after):
            return
        with FaultyProxy(address, enforce_generations=True, port=port):
            ended.wait()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def stores(
    moto_address: str, emulator_address: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, tuple[str, Callable[[str], None]]]:
    """Return the server of each scheme, and what points the client at another address."""
    for name, value in SERVER_VARIABLES.items():
        monkeypatch.setenv(name, value)
    return {
        "s3": (moto_address, lambda url: monkeypatch.setenv("AWS_ENDPOINT_URL", url)),
        "gs": (emulator_address, lambda url: monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)),
    }


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_store_that_refuses_connections_for_a_while_is_waited_for(
    scheme: str, stores: dict[str, tuple[str, Callable[[str], None]]]
) -> None:
    address, point = stores[scheme]
    port = free_port()
    point(f"http://127.0.0.1:{port}")
    uri = f"{scheme}://bucket-of-tests/{port}/a"
    store = open_store(uri)  # on a busy machine its library takes seconds to load
    with forwarding(port, address, after=2.0):
        store.publish_bytes(uri, b"kept")
        assert store.read(uri) == b"kept"
    assert store.retries >= 1


def test_a_web_server_that_refuses_connections_for_a_while_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with serve_https(tmp_path, monkeypatch, port=port, after=2.0) as url:
        source = open_source(url)
        assert source.read(f"{url}/rows")
    assert source.retries >= 1


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_store_that_stays_away_ends_after_the_time_that_is_set(
    scheme: str,
    stores: dict[str, tuple[str, Callable[[str], None]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stores[scheme][1](f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv(retry.VARIABLE, "1.5")
    started = time.monotonic()
    with pytest.raises(StorageError, match="check") as caught:
        open_store(f"{scheme}://bucket-of-tests/a").read(f"{scheme}://bucket-of-tests/a")
    assert 0.1 < time.monotonic() - started < 10.0
    assert caught.value.exit_code == 69


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_wrong_host_name_of_a_store_is_told_at_once(
    scheme: str, stores: dict[str, tuple[str, Callable[[str], None]]]
) -> None:
    stores[scheme][1](f"http://{ABSENT}:9000")
    started = time.monotonic()
    with pytest.raises(StorageError, match="cannot read"):
        open_store(f"{scheme}://bucket-of-tests/a").read(f"{scheme}://bucket-of-tests/a")
    assert time.monotonic() - started < 5.0


def test_a_wrong_host_name_of_an_address_is_told_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(StorageError, match="check the address"):
        open_source(f"https://{ABSENT}/rows").read(f"https://{ABSENT}/rows")
    assert time.monotonic() - started < 5.0


@pytest.mark.parametrize(
    "name", ["ConnectTimeoutError", "EndpointConnectionError", "ProxyConnectionError",
             "ReadTimeoutError", "ConnectionClosedError", "SSLError"],
)  # fmt: skip
def test_every_failed_connection_of_s3_is_asked_again(name: str) -> None:
    import botocore.exceptions  # type: ignore[import-untyped]

    kind = getattr(botocore.exceptions, name)
    assert s3.is_transient(kind(endpoint_url="http://x", proxy_url="http://y", error="cut"))


def test_every_failed_connection_of_gs_is_asked_again() -> None:
    import requests  # type: ignore[import-untyped]

    for kind in (requests.ConnectionError, requests.ConnectTimeout, requests.ReadTimeout):
        assert gcs.is_transient(kind("cut"))


def test_the_hub_is_asked_again_unless_its_name_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.001)
    failures: list[Exception] = [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        OSError("wrapped"),
    ]
    failures[2].__cause__ = httpx.ConnectTimeout("slow")
    waiting = list(failures)

    def request() -> str:
        if waiting:
            raise waiting.pop()
        return "given"

    assert from_hub(request) == "given"
    wrong = httpx.ConnectError("unknown")
    wrong.__cause__ = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    waiting = [httpx.ConnectError("refused"), wrong]
    with pytest.raises(httpx.ConnectError, match="unknown"):
        from_hub(request)
    assert len(waiting) == 1


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "1e9"])
def test_a_setting_that_is_not_seconds_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(retry.VARIABLE, text)
    with pytest.raises(ParameterError, match=f"{retry.VARIABLE} is '{text}'"):
        retry.retry_seconds()


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_login_page_in_place_of_a_store_is_named(
    scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A captive portal answers every request with 200 and its page."""
    for name, value in SERVER_VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(retry.VARIABLE, "0")
    (tmp_path / "f").write_bytes(b"x" * 100)
    with captive_portal() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        uri = f"{scheme}://bucket-of-tests/a"
        store = open_store(uri)
        for attempt in (
            lambda: store.publish_bytes(uri, b""),
            lambda: store.publish(uri, tmp_path / "f"),
            lambda: store.read(uri),
            lambda: store.download(uri, tmp_path / "copy"),
            lambda: store.list_files(uri),
            lambda: store.swap(uri, b"", None),
        ):
            with pytest.raises(RefineAfError, match="cannot"):
                attempt()


@contextmanager
def captive_portal() -> Iterator[str]:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Page(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b"<html>Please sign in</html>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    web = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{web.server_port}"
    web.shutdown()
    web.server_close()


def test_minio_is_s3_at_the_server_of_the_environment(
    s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = s3_root.replace("s3://", "minio://")
    store = open_store(uri)
    store.publish_bytes(f"{uri}/a", b"1")
    assert store.list_files(uri) == [f"{uri}/a"]
    assert open_store(s3_root).read(f"{s3_root}/a") == b"1"
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with pytest.raises(ParameterError, match="AWS_ENDPOINT_URL"):
        open_store(uri)


def test_a_name_that_is_too_long_is_named_as_data(tmp_path: Path) -> None:
    uri = str(tmp_path / ("x" * 300))
    for attempt in (
        lambda: open_store(uri).read(uri),
        lambda: open_store(uri).publish_bytes(uri, b""),
    ):
        with pytest.raises(RefineAfError, match="longer than the disk allows") as caught:
            attempt()
        assert caught.value.exit_code == 65
