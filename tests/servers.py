"""A proxy before a storage server: it fails on demand and enforces generation preconditions."""

import http.client
import json
import random
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

BUCKET = "bucket-of-tests"

Fault = Literal["500", "503", "429", "403", "lost", "cut"]
"""An answer without forwarding; or, after forwarding, no answer (lost) or half of it (cut)."""

_UPLOAD = re.compile(r"/upload/storage/v1/b/([^/]+)/o")
_DOWNLOAD = re.compile(r"/download/storage/v1/b/([^/]+)/o/(.+)")


@dataclass
class Faults:
    """Which requests fail, of those whose kind starts with ``only``.

    ``once``: each kind of request fails the first time, in turn. ``share``: that part of all, drawn
    with a seed. ``always``: all. ``then`` is called once, after a failing request was forwarded.
    """

    once: tuple[Fault, ...] = ()
    share: float = 0.0
    always: Fault | None = None
    only: str = ""
    then: Callable[[], None] | None = None
    log: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    draw: random.Random = field(default_factory=lambda: random.Random(7))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, request: str) -> Fault | None:
        """Decide and note what happens to a request of this kind."""
        with self.lock:
            fault = self._choose(request)
            if fault:
                self.log.append(f"{fault} {request}")
            return fault

    def _choose(self, request: str) -> Fault | None:
        if not request.startswith(self.only):
            return None
        if self.always:
            return self.always
        if self.once and request not in self.seen:
            self.seen.add(request)
            return self.once[len(self.seen) % len(self.once)]
        if self.draw.random() < self.share:
            return self.draw.choice(("500", "503", "429", "lost", "cut"))
        return None


class FaultyProxy:
    """A proxy at ``url`` to one HTTP server."""

    def __init__(self, upstream: str, *, enforce_generations: bool = False, port: int = 0) -> None:
        self.faults = Faults()
        self.upstream = upstream
        self.enforce_generations = enforce_generations
        self.writes = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: FaultyProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_any(self) -> None:
        body = self._body()
        fault = self.owner.faults.next(self._kind())
        if fault in ("500", "503", "429", "403"):
            self._reply(int(fault), {"Content-Type": "text/plain"}, b"injected")
            return
        if self.owner.enforce_generations and "ifGenerationMatch" in self.path:
            with self.owner.writes:
                if not self._generation_holds(body):
                    self._reply(412, {"Content-Type": "application/json"}, b"{}")
                    return
                self._forward(body, fault)
            return
        self._forward(body, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = do_any  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def _kind(self) -> str:
        """Name the kind of request: method, object's last part and the names of the options."""
        parts = urlsplit(self.path)
        options = sorted(parse_qs(parts.query, keep_blank_values=True))
        return f"{self.command} {unquote(parts.path).rpartition('/')[2]} {options}"

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _forward(self, body: bytes, fault: Fault | None) -> None:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
        connection = http.client.HTTPConnection(self.owner.upstream, timeout=60)
        connection.request(self.command, self.path, body or None, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if fault and self.owner.faults.then:
            then, self.owner.faults.then = self.owner.faults.then, None
            then()
        if fault == "lost":
            self.close_connection = True
            self.connection.shutdown(2)
            return
        kept = {k: v for k, v in answer.getheaders() if k.lower() not in _HOP_BY_HOP}
        self._reply(answer.status, kept, content, cut=fault == "cut")

    def _reply(self, status: int, headers: dict[str, str], body: bytes, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.command == "HEAD" or status == 204:
            self.send_header("Content-Length", headers.get("Content-Length", "0"))
            self.end_headers()
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: (len(body) + 1) // 2] if cut else body)
        if cut:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)

    def _generation_holds(self, body: bytes) -> bool:
        parts = urlsplit(self.path)
        options = parse_qs(parts.query)
        upload, download = _UPLOAD.match(parts.path), _DOWNLOAD.match(parts.path)
        if upload:
            named = re.search(rb'"name": ?("(?:[^"\\]|\\.)*")', body)
            assert named is not None, body[:300]
            bucket, name = upload.group(1), json.loads(named.group(1))
        else:
            assert download is not None, self.path
            bucket, name = download.group(1), unquote(download.group(2))
        connection = http.client.HTTPConnection(self.owner.upstream, timeout=60)
        connection.request("GET", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}")
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        found = re.search(rb'"generation": ?"(\d+)"', content) if answer.status == 200 else None
        return (found.group(1).decode() if found else "0") == options["ifGenerationMatch"][0]


_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}
