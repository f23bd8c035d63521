"""A model hub on this machine: the few requests that an upload makes, and what arrived."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hub:
    """What the stand-in saw.

    Attributes:
        url: Where it listens.
        token: The only one it takes.
        created: Bodies of the requests that made a repository.
        files: Content by path, once a commit named it.
        large: Content by sha256, uploaded before its commit.
    """

    url: str = ""
    token: str = "hf_stand_in"  # noqa: S105  no secret
    created: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Return status and JSON of one request."""
        if path.endswith("/repos/create"):
            self.created.append(json.loads(body))
            return 200, {"url": f"{self.url}/datasets/owner/name"}
        if "/validate-yaml" in path:
            return 200, {"errors": [], "warnings": []}
        if "/preupload/" in path:
            names = [item["path"] for item in json.loads(body)["files"]]
            modes = [(name, "lfs" if name.endswith(".parquet") else "regular") for name in names]
            files = [{"path": n, "uploadMode": m, "shouldIgnore": False} for n, m in modes]
            return 200, {"files": files, "commitOid": "0" * 40}
        if path.endswith("/info/lfs/objects/batch"):
            return 200, {"transfer": "basic", "objects": [self._wanted(o) for o in _objects(body)]}
        if method == "PUT":
            self.large[hashlib.sha256(body).hexdigest()] = body
            return 200, {}
        if "/commit/" in path:
            self._commit(body)
            address = f"{self.url}/datasets/owner/name/commit/{'1' * 40}"
            return 200, {"success": True, "commitOid": "1" * 40, "commitUrl": address}
        return 200, {"sha": "0" * 40, "id": "owner/name", "siblings": []}

    def _wanted(self, item: dict[str, Any]) -> dict[str, Any]:
        upload = {"href": f"{self.url}/store/{item['oid']}"}
        return {"oid": item["oid"], "size": item["size"], "actions": {"upload": upload}}

    def _commit(self, body: bytes) -> None:
        for line in body.strip().split(b"\n"):
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                self.files[value["path"]] = self.large[value["oid"]]


def _objects(body: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(body)["objects"]
    return found


@contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _serve(self) -> None:
            body = self._body()
            allowed = self.headers.get("Authorization") == f"Bearer {hub.token}"
            known = allowed or self.path.startswith("/store/")
            answer = hub.answer(self.command, self.path, body) if known else (401, {})
            data = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_HEAD = _serve  # noqa: N815  names that the server calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
