"""An OCI registry on this machine: the real one where it is installed, and a small one always."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BINARY = shutil.which("docker-registry")
"""CNCF's registry as Debian packages it; its configuration is a file."""

USER, PASSWORD = "user", "word"


@contextmanager
def real(folder: Path) -> Iterator[str]:
    """Run the registry of CNCF without passwords, and yield its host and port."""
    assert BINARY is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (folder / "config.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/blobs}}}}\n"
        f"http: {{addr: 127.0.0.1:{port}}}\n"
    )
    with subprocess.Popen(
        [BINARY, "serve", str(folder / "config.yml")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"]},
    ) as server:
        _wait(port)
        yield f"127.0.0.1:{port}"
        server.terminate()


def _wait(port: int) -> None:
    for _ in range(100):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the registry does not start")


class Small(ThreadingHTTPServer):
    """A registry in memory that checks digests, lengths and that blobs are there.

    ``token``: what a request must carry; where to get it is said as real registries do.
    """

    daemon_threads = True

    def __init__(self, token: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = token
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.fail_with: list[int] = []
        self.host = f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Small
    protocol_version = "HTTP/1.1"

    def do_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _, query = self.path.partition("?")
        self.server.requests.append(f"{self.command} {path.rpartition('/')[0]}")
        if path == "/token":
            allowed = self.headers.get("Authorization") == "Basic dXNlcjp3b3Jk"
            self._answer(200 if allowed else 401, b'{"token": "%s"}' % self.server.token.encode())
        elif self.server.fail_with:
            self._answer(self.server.fail_with.pop(0), b"no")
        elif (
            self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}"
        ):
            where = f'Bearer realm="http://{self.server.host}/token",service="s",scope="push"'
            self._answer(401, b"{}", {"WWW-Authenticate": where})
        elif found := re.fullmatch(r"/v2/(.+)/blobs/(sha256:\w+)", path):
            there = self.server.blobs.get(found[2])
            self._answer(404 if there is None else 200, there or b"")
        elif re.fullmatch(r"/v2/.+/blobs/uploads/", path) and self.command == "POST":
            self._answer(202, b"", {"Location": f"{path}{uuid.uuid4()}?state=x"})
        elif re.fullmatch(r"/v2/.+/blobs/uploads/.+", path) and self.command == "PUT":
            digest = query.partition("digest=")[2]
            right = digest == f"sha256:{hashlib.sha256(body).hexdigest()}" and "state=x" in query
            if right:
                self.server.blobs[digest] = body
            self._answer(201 if right else 400, b"")
        elif found := re.fullmatch(r"/v2/(.+)/manifests/(.+)", path):
            named = re.findall(rb'"digest":"(sha256:\w+)"', body)
            whole = all(digest.decode() in self.server.blobs for digest in named)
            if whole:
                self.server.manifests[f"{found[1]}:{found[2]}"] = body
            self._answer(201 if whole else 400, b"MANIFEST_BLOB_UNKNOWN")
        else:
            self._answer(404, b"")

    do_GET = do_PUT = do_POST = do_HEAD = do_any  # noqa: N815

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def small(token: str = "") -> Iterator[Small]:
    with Small(token) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()
