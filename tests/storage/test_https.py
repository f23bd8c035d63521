"""https:// is read from a server of our own, with a certificate of our own."""

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from refine_af.contracts.errors import DataError, ParameterError, StorageError
from refine_af.storage.schemes import open_source, open_store
from refine_af.storage.store import MissingObjectError

CONTENT = b"row\n" * 100_000


def write_certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "certificate.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


class Handler(BaseHTTPRequestHandler):
    """Answers by the path; ``/flaky`` fails in three ways before it succeeds."""

    flaky = 0

    def do_GET(self) -> None:  # noqa: D102
        path = self.path.partition("?")[0]
        if path == "/flaky":
            Handler.flaky += 1
            if Handler.flaky == 1:
                self.close_connection = True
                return
            if Handler.flaky == 2:
                self.send_error(503)
                return
        places = {"/to-http": "http://127.0.0.1/x", "/to-file": "file:///etc/passwd"}
        places["/to-rows"] = "/rows"
        if path in places:
            self.send_response(302)
            self.send_header("Location", places[path])
            self.end_headers()
        elif path in ("/rows", "/flaky"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:100] if Handler.flaky == 3 else CONTENT)
            Handler.flaky += path == "/flaky"
        else:
            self.send_error(403 if path == "/closed" else 404)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def serve_https(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    handler: type[BaseHTTPRequestHandler] = Handler,
    *,
    port: int = 0,
    after: float = 0.0,
) -> Iterator[str]:
    """Serve over https, listening only after some seconds; yield the server's address."""
    certificate = write_certificate(folder)
    web = ThreadingHTTPServer(("127.0.0.1", port), handler, bind_and_activate=False)
    web.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    web.socket = context.wrap_socket(web.socket, server_side=True)
    web.server_bind()

    def serve() -> None:
        time.sleep(after)
        web.server_activate()
        web.serve_forever(0.01)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    while after == 0.0 and not _is_open(web.server_port):
        time.sleep(0.01)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    yield f"https://127.0.0.1:{web.server_port}"
    web.shutdown()
    web.server_close()


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serve_https(tmp_path, monkeypatch) as url:
        yield url


def test_a_file_is_read_and_downloaded(server: str, tmp_path: Path) -> None:
    store = open_source(server)
    assert store.read(f"{server}/rows?a=b") == CONTENT
    assert store.read(f"{server}/to-rows") == CONTENT
    digest = store.download(f"{server}/rows", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == CONTENT
    with pytest.raises(DataError, match=f"{digest}, expected 12"):
        store.download(f"{server}/rows", tmp_path / "other", "12")
    assert not (tmp_path / "other").exists()


def test_a_flaky_server_is_asked_again(server: str, tmp_path: Path) -> None:
    Handler.flaky = 0
    store = open_source(server)
    store.download(f"{server}/flaky", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == CONTENT
    assert store.retries >= 3


@pytest.mark.parametrize("path", ["/to-http", "/to-file"])
def test_no_redirect_leaves_https(server: str, path: str) -> None:
    with pytest.raises((StorageError, DataError), match=r"redirect|server answered"):
        open_source(server).read(server + path)


def test_refusals_are_named(server: str) -> None:
    with pytest.raises(MissingObjectError, match="no such file"):
        open_source(server).read(f"{server}/none")
    with pytest.raises(StorageError, match="refuses access"):
        open_source(server).read(f"{server}/closed")


def test_an_unknown_certificate_is_refused(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(StorageError, match="CERTIFICATE_VERIFY_FAILED"):
        open_source(server).read(f"{server}/rows")


def test_https_is_no_store() -> None:
    with pytest.raises(ParameterError, match="can only be read"):
        open_store("https://example.org/x")
