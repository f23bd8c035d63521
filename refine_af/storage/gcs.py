"""``gs://`` through google-cloud-storage: crc32c on every transfer, generation preconditions.

``STORAGE_EMULATOR_HOST`` and Google's own chain (workload identity, service account, gcloud)
decide server and credentials.
"""

import base64
import hashlib
import http.client
import io
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import requests  # type: ignore[import-untyped]
import urllib3.exceptions
from google.api_core.exceptions import (
    Forbidden,
    GoogleAPICallError,
    GoogleAPIError,
    NotFound,
    PreconditionFailed,
    Unauthorized,
)
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from refine_af.contracts.errors import RefineAfError, StorageError
from refine_af.storage import limits, retry
from refine_af.storage.manifest import digest_file
from refine_af.storage.objects import ANY, ObjectStore
from refine_af.storage.store import DamagedError, MissingObjectError, Versioned

PART_BYTES = 100 * 1024 * 1024
"""A resumable upload is held in memory, sent and repeated in parts of this size, the library's own.
Servers may copy what they have for each part, so more parts cost more than requests: with 64 MiB, 1
GB took 1.4 times the library's time at the emulator, with 16 MiB 1.7 times."""

BATCH_BYTES = 1024 * 1024
"""Bytes written and digested at a time."""

RESUMABLE_BYTES = 8 * 1024 * 1024
"""The library sends files up to this size in one request."""

REQUEST_SECONDS = 60.0

_CUT = (
    ConnectionError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    TransportError,
    DataCorruption,  # the server computed another checksum of the upload
)
_request_errors = (GoogleAPIError, GoogleAuthError, InvalidResponse, *_CUT)
"""Exceptions of requests whose cause lies outside this program."""


def open_gcs() -> ObjectStore:
    """Return the store of this process for the server and credentials of the environment."""
    named = ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT")
    return _store(os.getpid(), *(os.environ.get(name) for name in named))


@lru_cache(maxsize=4)
def _store(*_environment: object) -> ObjectStore:
    return ObjectStore(GcsClient())


class GcsClient:
    """Requests on Cloud Storage objects; see ``BucketClient``."""

    scheme = "gs"

    def __init__(self) -> None:
        self.retries = 0
        self._lazy: Any = None

    def get(self, bucket: str, key: str) -> Versioned:
        """Return content and generation."""
        sink = io.BytesIO()
        generation, _ = self._receive(bucket, key, sink)
        return Versioned(sink.getvalue(), str(generation))

    def get_to(self, bucket: str, key: str, sink: BinaryIO) -> str:
        """Stream the content; a cut connection continues at the byte where it ended."""
        return self._receive(bucket, key, sink)[1]

    def put(self, bucket: str, key: str, data: bytes, condition: str | None = ANY) -> str | None:
        """Write an object; the condition goes as ``ifGenerationMatch``, 0 for nothing there."""
        generation = None if condition == ANY else int(condition or 0)
        with self._errors("write", bucket, key):
            blob = self._blob(bucket, key)
            try:
                blob.upload_from_string(
                    data, checksum="crc32c", if_generation_match=generation, **self._options
                )
            except PreconditionFailed:
                return None
            return str(blob.generation)

    def put_from(self, bucket: str, key: str, source: Path, sha256: str | None = None) -> str:
        """Write a file; over 8 MiB it is a resumable upload in parts of 100 MiB.

        The server checks the crc32c; the sha256 is taken while the file is on its way.
        """
        with self._errors("write", bucket, key), ThreadPoolExecutor(1) as aside:
            digest = aside.submit(digest_file, source) if sha256 is None else None
            self._send(bucket, key, source)
            return digest.result() if digest is not None else str(sha256)

    def _send(self, bucket: str, key: str, source: Path) -> None:
        """Upload; one whose parts the server has lost, or takes no more, starts over."""
        waits = retry.pauses()
        while True:
            try:
                blob = self._blob(bucket, key, chunk_size=PART_BYTES)
                blob.upload_from_filename(str(source), checksum="crc32c", **self._options)
                return
            except GoogleAPICallError as error:
                wait = next(waits, None)
                if wait is None or not _session_lost(error, source):
                    raise
                self._count(error)
            time.sleep(wait)

    def keys(self, bucket: str, prefix: str, limit: int | None = None) -> Iterator[str]:
        """Yield keys, one page of up to 1,000 a request."""
        with self._errors("list", bucket, prefix):
            blobs = self._client.list_blobs(
                bucket, prefix=prefix, max_results=limit, fields=_KEY_FIELDS, **self._options
            )
            for blob in blobs:
                yield blob.name

    def versions(self, bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield keys and generations."""
        with self._errors("list", bucket, prefix):
            blobs = self._client.list_blobs(
                bucket, prefix=prefix, fields=_VERSION_FIELDS, **self._options
            )
            for blob in blobs:
                yield blob.name, str(blob.generation)

    def folders(self, bucket: str, prefix: str) -> list[str]:
        """Return the parts before the next ``/``."""
        with self._errors("list", bucket, prefix):
            blobs = self._client.list_blobs(bucket, prefix=prefix, delimiter="/", **self._options)
            for _ in blobs:  # prefixes are known once the pages have been read
                pass
            return [name[len(prefix) : -1] for name in blobs.prefixes]

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object."""
        with self._errors("delete", bucket, key):
            try:
                self._blob(bucket, key).delete(**self._options)
            except NotFound:
                self._require_bucket(bucket)

    def abort_uploads(self, bucket: str, prefix: str) -> None:
        """Do nothing: Cloud Storage forgets unfinished uploads after a week, free of charge."""

    @property
    def _options(self) -> dict[str, Any]:
        """Return what every request is made with: the retry policy in the library's form."""
        policy = Retry(
            predicate=is_transient,
            initial=retry.FIRST_SECONDS,
            maximum=retry.LONGEST_SECONDS,
            multiplier=2.0,
            timeout=retry.retry_seconds(),
            on_error=self._count,
        )
        return {"retry": policy, "timeout": REQUEST_SECONDS}

    @property
    def _client(self) -> Any:  # noqa: ANN401  the library has no types
        if self._lazy is None:
            # else a thread asks for the bucket's own metadata, for traces that nobody collects
            os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
            if os.environ.get("STORAGE_EMULATOR_HOST"):
                nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
                self._lazy = storage.Client(project="none", credentials=nobody)
            else:
                self._lazy = storage.Client()
            self._lazy._http.hooks["response"].append(_bound_answer)
        return self._lazy

    def _blob(self, bucket: str, key: str, chunk_size: int | None = None) -> Any:  # noqa: ANN401
        return self._client.bucket(bucket).blob(key, chunk_size=chunk_size)

    def _receive(self, bucket: str, key: str, sink: BinaryIO) -> tuple[int, str]:
        """Return generation and sha256 of the content written to ``sink``."""
        with self._errors("read", bucket, key):
            for last in (False, True):
                try:
                    return self._receive_once(bucket, key, sink)
                except (DamagedError, PreconditionFailed, NotFound):
                    # Damaged in transfer, or replaced meanwhile: start over once.
                    if last:
                        raise
        raise AssertionError

    def _receive_once(self, bucket: str, key: str, sink: BinaryIO) -> tuple[int, str]:
        blob = self._blob(bucket, key)
        blob.reload(**self._options)
        generation, size, crc32c = int(blob.generation), int(blob.size), blob.crc32c
        limits.check_size(f"gs://{bucket}/{key}", size)
        sink.seek(0)
        sink.truncate()
        down = _Download(sink, size)
        # A fresh blob: a loaded one is read from the link that the server named, and loses its
        # properties to each answer's headers.
        self._download(self._blob(bucket, key), generation, size, down)
        sha256, arrived = down.finish()
        if arrived != crc32c:
            raise DamagedError(f"gs://{bucket}/{key}: crc32c is {arrived}, stored was {crc32c}")
        return generation, sha256

    def _download(self, blob: Any, generation: int, size: int, down: "_Download") -> None:  # noqa: ANN401
        """Stream ``blob``, continuing where a connection was cut.

        The library's own repetition leaves a continued download unverified (3.17), so it is done
        here, with one crc32c over all pieces.
        """
        waits, before = retry.pauses(), 0
        while (start := down.size) < size:
            try:
                blob.download_to_file(
                    down,
                    start=start,
                    raw_download=True,
                    checksum=None,
                    if_generation_match=generation,
                    timeout=REQUEST_SECONDS,
                    retry=None,
                )
                if down.size == start:
                    raise ConnectionResetError(f"{start} of {size} bytes arrived")
            except _request_errors as error:
                if down.size > before:
                    waits, before = retry.pauses(), down.size
                wait = next(waits, None) if is_transient(error) else None
                if wait is None:
                    raise
                self._count(error)
                time.sleep(wait)

    @contextmanager
    def _errors(self, operation: str, bucket: str, key: str) -> Iterator[None]:
        try:
            yield
        except _request_errors as error:
            missing_bucket = isinstance(error, NotFound) and self._lacks_bucket(bucket)
            raise _translated(error, operation, bucket, key, missing_bucket) from error
        except (KeyError, TypeError, ValueError) as error:  # the library, on an odd answer
            raise StorageError(
                f"gs://{bucket}/{key}: cannot {operation}: the answer is not Cloud Storage's"
                f" ({type(error).__name__}: {error}); a proxy or login page may have given it;"
                " check the network"
            ) from error

    def _require_bucket(self, bucket: str) -> None:
        """Raise NotFound when the bucket itself is missing."""
        for _ in self._client.list_blobs(bucket, max_results=1, **self._options):
            pass

    def _lacks_bucket(self, bucket: str) -> bool:
        """Tell a missing bucket from a missing object, which Cloud Storage answers alike."""
        try:
            self._require_bucket(bucket)
        except NotFound:
            return True
        except _request_errors:
            return False
        return False

    def _count(self, _error: Exception) -> None:
        self.retries += 1


def _session_lost(error: Any, source: Path) -> bool:  # noqa: ANN401
    return error.code in (400, 404, 410) and source.stat().st_size > RESUMABLE_BYTES


_KEY_FIELDS = "items(name),nextPageToken"
_VERSION_FIELDS = "items(name,generation),nextPageToken"


class _Download:
    """The writing end of a download: counts, writes and digests the bytes in batches.

    The library hands over 8 KiB at a time; a call each for disk and two digests cost as much as
    the digests themselves.
    """

    def __init__(self, sink: BinaryIO, expected: int) -> None:
        self._expected = expected
        self._write: Callable[[bytes], object] = sink.write
        self._sha256 = hashlib.sha256()
        self._crc32c: Any = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self.size = 0

    def finish(self) -> tuple[str, str]:
        """Return sha256 and crc32c of all that arrived.

        The checksum is as Cloud Storage writes it: base64 of the big-endian bytes.
        """
        self._settle()
        return self._sha256.hexdigest(), base64.b64encode(self._crc32c.digest()).decode()

    def write(self, chunk: bytes) -> int:
        self._waiting.append(chunk)
        self._waiting_bytes += len(chunk)
        self.size += len(chunk)
        if self.size > self._expected:
            raise DamagedError(f"more than the object's {self._expected} bytes arrive")
        if self._waiting_bytes >= BATCH_BYTES:
            self._settle()
        return len(chunk)

    def _settle(self) -> None:
        batch = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        self._write(batch)
        self._sha256.update(batch)
        self._crc32c.update(batch)


def _bound_answer(response: requests.Response, **options: object) -> None:
    """Bound what is read of an answer that is no object."""
    if not options.get("stream"):
        address, chunks = str(response.url).partition("?")[0], response.iter_content
        bounded = partial(limits.bounded, address)
        response.iter_content = lambda *sizes, **_: bounded(chunks(*sizes))


def is_transient(error: Exception) -> bool:
    """Return whether the same request may succeed a moment later."""
    if isinstance(error, InvalidResponse):
        return error.response.status_code in retry.STATUS_CODES
    if isinstance(error, GoogleAPICallError):
        return error.code in retry.STATUS_CODES
    return isinstance(error, _CUT) and not retry.is_permanent(error)


def _translated(
    error: Exception, operation: str, bucket: str, key: str, missing_bucket: bool
) -> RefineAfError:
    """Return the error for the user: URI, operation, what happened, what to do."""
    start = f"gs://{bucket}/{key}: cannot {operation}"
    if missing_bucket:
        return StorageError(f"{start}: the bucket does not exist; create it or correct it")
    if isinstance(error, NotFound):
        return MissingObjectError(f"{start}: nothing is stored there; check bucket and key")
    if isinstance(error, Forbidden | Unauthorized):
        return StorageError(
            f"{start}: permission is missing; give this identity the role"
            " roles/storage.objectUser on the bucket"
        )
    if isinstance(error, DefaultCredentialsError):
        return StorageError(
            f"{start}: no credentials; give the pod's service account workload identity, or run"
            " gcloud auth application-default login"
        )
    return StorageError(f"{start}: {type(error).__name__}: {error}; check the network, try again")
