"""``https://``, to read only: no other scheme even by redirect, no decompression, bounded."""

import hashlib
import http.client
import io
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO

from refine_af.contracts.errors import RefineAfError, StorageError
from refine_af.storage import limits
from refine_af.storage.atomic import disk_errors, new_file
from refine_af.storage.location import locate
from refine_af.storage.manifest import CHUNK_BYTES, digest_bytes
from refine_af.storage.retry import STATUS_CODES, is_permanent, repeated
from refine_af.storage.store import MissingObjectError, require_digest

TIMEOUT_SECONDS = 60.0

_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


class HttpsSource:
    """Single files of web servers; ``SSL_CERT_FILE`` and the environment's proxies are used."""

    def __init__(self) -> None:
        self.retries = 0
        self._opener = urllib.request.build_opener(_OnlyHttps())

    def read(self, uri: str) -> bytes:
        """Return the content of one file."""
        sink = io.BytesIO()
        self._receive(uri, sink)
        return sink.getvalue()

    def download(self, uri: str, target: Path, expected: str | None = None) -> str:
        """Copy one file to ``target``; a web server has no directories and no checksums."""
        with (
            disk_errors("write", str(target)),
            new_file(target, durable=False) as descriptor,
            open(descriptor, "wb", closefd=False) as sink,
        ):
            digest = self._receive(uri, sink)
            require_digest(uri, digest, expected)
        return digest

    def fingerprint(self, uri: str) -> str:
        """Return the strong entity tag that the server gives, or else the content's sha256."""

        def request() -> str:
            with self._request(uri) as answer:
                tag = answer.headers.get("ETag", "")
            return "" if tag.startswith("W/") else tag

        tag = self._asked(uri, request)
        return f"entity tag {tag}" if tag else digest_bytes(self.read(uri))

    def _receive(self, uri: str, sink: BinaryIO) -> str:
        """Write the content to ``sink`` and return its sha256; starts over when it is cut."""
        return self._asked(uri, partial(self._receive_once, uri, sink))

    def _asked(self, uri: str, request: Callable[[], str]) -> str:
        try:
            return limits.within(uri, lambda: repeated(request, _is_transient, self._count))
        except _ERRORS as error:
            raise _translated(uri, error) from error

    def _receive_once(self, uri: str, sink: BinaryIO) -> str:
        sink.seek(0)
        sink.truncate()
        sha256, size = hashlib.sha256(), 0
        end = time.monotonic() + limits.seconds()
        with self._request(uri) as answer:
            length = answer.headers.get("Content-Length", "")
            limits.check_size(uri, int(length) if length.isdecimal() else 0)
            # read1 returns what has arrived, so that a slow body meets the deadline.
            while chunk := answer.read1(CHUNK_BYTES):
                sink.write(chunk)
                sha256.update(chunk)
                size += len(chunk)
                limits.check_size(uri, size)
                limits.check_time(uri, end)
        if length.isdecimal() and size != int(length):
            raise ConnectionResetError(f"{size} of {length} bytes arrived")
        return sha256.hexdigest()

    def _request(self, uri: str) -> http.client.HTTPResponse:
        locate(uri)
        # S310: the scheme was checked, and the opener follows no redirect to another one.
        request = urllib.request.Request(uri, headers={"Accept-Encoding": "identity"})  # noqa: S310
        answer: http.client.HTTPResponse = self._opener.open(request, timeout=TIMEOUT_SECONDS)
        return answer

    def _count(self, error: Exception) -> None:
        self.retries += 1
        if isinstance(error, urllib.error.HTTPError):
            error.close()


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follows redirects (at most 10) to https only."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.lower().startswith("https://"):
            raise StorageError(
                f"{req.full_url}: redirects to {newurl!r}; only https:// is followed; give the"
                " address of the file itself"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_transient(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in STATUS_CODES
    return isinstance(error, _ERRORS) and not is_permanent(error)


def _translated(uri: str, error: Exception) -> RefineAfError:
    if not isinstance(error, urllib.error.HTTPError):
        return StorageError(f"{uri}: {error}; check the address and the network")
    error.close()
    if error.code in (404, 410):
        return MissingObjectError(f"{uri}: the server has no such file; check the address")
    if error.code in (401, 403):
        return StorageError(
            f"{uri}: the server refuses access ({error.code}); only public files can be read over"
            " https://; download it and give the path"
        )
    return StorageError(f"{uri}: the server answered {error.code}; try again later")
