"""``s3://`` through boto3 and its managed transfers.

Every object carries its sha256 in its metadata, which multipart uploads have no checksum for
otherwise. ``AWS_ENDPOINT_URL`` and the rest of the platform's own chain (environment, profile,
service account, instance role) decide server and credentials.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import boto3
import urllib3.exceptions
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.awsrequest import AWSResponse  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]
from s3transfer.exceptions import (  # type: ignore[import-untyped]
    RetriesExceededError,
    S3DownloadFailedError,
)
from s3transfer.manager import TransferManager  # type: ignore[import-untyped]

from refine_af.contracts.errors import RefineAfError, StorageError
from refine_af.storage import limits
from refine_af.storage.manifest import CHUNK_BYTES, digest_bytes, digest_file
from refine_af.storage.objects import ANY, ObjectStore
from refine_af.storage.retry import STATUS_CODES, is_permanent, pauses, repeated
from refine_af.storage.store import DamagedError, MissingObjectError, Versioned

Result = TypeVar("Result")

SHA256_FIELD = "refine-af-sha256"

TRANSFER = TransferConfig(
    multipart_threshold=16 * 1024 * 1024, multipart_chunksize=8 * 1024 * 1024, max_concurrency=8
)
"""Larger files go in parts, so memory is constant: 8 of 8 MiB in flight."""

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0

DAMAGED_WAITS = (0.0, 0.1, 0.5)
"""Seconds before content that did not match its checksum is read again, once for each."""

_BODY_CUT = (
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
    RetriesExceededError,
    urllib3.exceptions.HTTPError,
    ConnectionError,
    TimeoutError,
)
_CUT = (
    HTTPClientError,
    BotoConnectionError,
    ResponseParserError,  # an answer that was cut short, or a proxy's page in place of XML
    *_BODY_CUT,
)
_request_errors = (ClientError, BotoCoreError, Boto3Error, S3DownloadFailedError, *_CUT)
"""Exceptions of requests whose cause lies outside this program."""

_BUSY = {
    "SlowDown", "InternalError", "RequestTimeout", "OperationAborted", "Throttling",
    "ConditionalRequestConflict",
}  # fmt: skip
_DENIED = {
    "AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch",
    "ExpiredToken", "InvalidToken", "AllAccessDisabled", "AccountProblem",
}  # fmt: skip
_MISSING = {"NoSuchKey", "404"}
_CONDITION = {"PreconditionFailed", "412"}


def open_s3() -> ObjectStore:
    """Return the store of this process for the endpoint and credentials of the environment."""
    names = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_PROFILE")
    return _store(os.getpid(), *(os.environ.get(name) for name in names))


@lru_cache(maxsize=4)
def _store(*_environment: object) -> ObjectStore:
    return ObjectStore(S3Client())


class S3Client:
    """Requests on S3 objects; see ``BucketClient``."""

    scheme = "s3"

    def __init__(self) -> None:
        self.retries = 0
        config = Config(
            connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, max_pool_connections=32
        )
        self._client: Any = boto3.session.Session().client("s3", config=config)
        # The policy of this project in place of botocore's, which counts attempts, not minutes.
        events = self._client.meta.events
        events.unregister("needs-retry.s3", unique_id="retry-config-s3")
        events.register("needs-retry.s3", self._wait_before_retry)
        events.register("before-send.s3", self._send)

    def get(self, bucket: str, key: str) -> Versioned:
        """Return content and ETag."""

        def request() -> Versioned:
            answer = self._client.get_object(Bucket=bucket, Key=key)
            limits.check_size(f"s3://{bucket}/{key}", answer["ContentLength"])
            data = answer["Body"].read()
            digests = {"sha256": digest_bytes(data)}
            if _expected_digest(answer)[0] == "md5":
                digests["md5"] = hashlib.md5(data, usedforsecurity=False).hexdigest()
            _verify(answer, digests, f"s3://{bucket}/{key}")
            return Versioned(data, str(answer["ETag"]))

        with self._errors("read", bucket, key):
            return self._read(request)

    def get_to(self, bucket: str, key: str, sink: BinaryIO) -> str:
        """Write the content to ``sink``, in parallel parts; a part that is cut is asked again."""

        def request() -> str:
            sink.seek(0)
            sink.truncate()
            stored = self._client.head_object(Bucket=bucket, Key=key)
            limits.check_size(f"s3://{bucket}/{key}", stored["ContentLength"])
            with TransferManager(self._client, TRANSFER, executor_cls=_executor()) as transfers:
                transfers.download(bucket, key, sink).result()
            digests = _digests(sink, _expected_digest(stored)[0])
            _verify(stored, digests, f"s3://{bucket}/{key}")
            return digests["sha256"]

        with self._errors("read", bucket, key):
            return self._read(request)

    def put(self, bucket: str, key: str, data: bytes, condition: str | None = ANY) -> str | None:
        """Write an object; the condition goes as ``If-None-Match`` or ``If-Match``."""
        extra: dict[str, str] = {}
        if condition is None:
            extra = {"IfNoneMatch": "*"}
        elif condition != ANY:
            extra = {"IfMatch": condition}
        metadata = {SHA256_FIELD: digest_bytes(data)}
        with self._errors("write", bucket, key):
            try:
                answer = self._client.put_object(
                    Bucket=bucket, Key=key, Body=data, Metadata=metadata, **extra
                )
            except ClientError as error:
                if extra and _code(error) in _CONDITION | _MISSING:
                    return None
                raise
            return str(answer["ETag"])

    def put_from(self, bucket: str, key: str, source: Path, sha256: str | None = None) -> str:
        """Write a file: one request up to 16 MiB, else parallel parts, each repeated by itself."""
        sha256 = sha256 or digest_file(source)
        if source.stat().st_size < TRANSFER.multipart_threshold:
            self.put(bucket, key, source.read_bytes())
            return sha256
        extra = {"Metadata": {SHA256_FIELD: sha256}}
        with self._errors("write", bucket, key), source.open("rb") as file:
            try:
                with TransferManager(self._client, TRANSFER, executor_cls=_executor()) as uploads:
                    uploads.upload(file, bucket, key, extra).result()
            except ClientError as error:
                # A repetition after a lost answer: the upload is gone because it was completed.
                if _code(error) != "NoSuchUpload":
                    raise
                stored = self._client.head_object(Bucket=bucket, Key=key)
                if stored["Metadata"].get(SHA256_FIELD) != sha256:
                    raise
        return sha256

    def keys(self, bucket: str, prefix: str, limit: int | None = None) -> Iterator[str]:
        """Yield keys, one page of up to 1,000 a request."""
        yielded = 0
        for page in self._pages(bucket, prefix, MaxKeys=min(limit or 1000, 1000)):
            for item in page.get("Contents", ()):
                if limit is not None and yielded >= limit:
                    return
                yielded += 1
                yield item["Key"]

    def versions(self, bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield keys and entity tags; an object that is written again gets another one."""
        for page in self._pages(bucket, prefix):
            for item in page.get("Contents", ()):
                yield item["Key"], str(item["ETag"])

    def folders(self, bucket: str, prefix: str) -> list[str]:
        """Return the parts before the next ``/``."""
        return [
            item["Prefix"][len(prefix) : -1]
            for page in self._pages(bucket, prefix, Delimiter="/")
            for item in page.get("CommonPrefixes", ())
        ]

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object."""
        with self._errors("delete", bucket, key):
            self._client.delete_object(Bucket=bucket, Key=key)

    def abort_uploads(self, bucket: str, prefix: str) -> None:
        """Abort multipart uploads that were never completed; their parts cost money."""
        with self._errors("tidy", bucket, prefix):
            answer = self._client.list_multipart_uploads(Bucket=bucket, Prefix=prefix)
            for upload in answer.get("Uploads", ()):
                self._client.abort_multipart_upload(
                    Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )

    def _pages(self, bucket: str, prefix: str, **options: str | int) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix, **options
        )
        with self._errors("list", bucket, prefix):
            for page in pages:
                page["IsTruncated"]  # every listing says it; a login page must not be an empty one
                yield page

    def _read(self, request: Callable[[], Result]) -> Result:
        """Return what ``request`` reads; asked again where it was damaged or replaced on the way.

        A few times only: content that is damaged in the store stays so.
        """
        for wait in DAMAGED_WAITS:
            try:
                return repeated(request, _is_cut, self._count)
            except (DamagedError, FlexibleChecksumError, ClientError) as error:
                if isinstance(error, ClientError) and _code(error) not in _CONDITION:
                    raise
                self._count(error)
            time.sleep(wait)
        return repeated(request, _is_cut, self._count)

    def _send(self, request: Any, **_: object) -> AWSResponse:  # noqa: ANN401  no types
        """Send a request in botocore's place, to bound what it reads of an answer."""
        whole = not request.stream_output
        request.stream_output = True
        answer = self._client._endpoint.http_session.send(request)
        bounded = _BoundedAnswer(answer.url, answer.status_code, answer.headers, answer.raw)
        if whole:
            bounded.content  # noqa: B018  read here, where what breaks off is repeated
        return bounded

    def _wait_before_retry(
        self,
        request_dict: dict[str, Any],
        response: tuple[Any, dict[str, Any]] | None,
        caught_exception: Exception | None,
        **_: object,
    ) -> float | None:
        """Answer botocore's question how long to wait before a failed request is repeated."""
        error = caught_exception
        if response is not None and _status(response[1]) >= 300:
            error = ClientError(response[1], "")
        if error is None or not is_transient(error):
            return None
        waits = request_dict["context"].setdefault("refine_af_pauses", pauses())
        wait: float | None = next(waits, None)
        self.retries += wait is not None
        return wait

    def _count(self, _error: Exception) -> None:
        self.retries += 1

    @contextmanager
    def _errors(self, operation: str, bucket: str, key: str) -> Iterator[None]:
        try:
            yield
        except _request_errors as error:
            raise _translated(error, operation, bucket, key) from error
        except (KeyError, ValueError) as error:  # botocore, on headers that are missing or odd
            raise StorageError(
                f"s3://{bucket}/{key}: cannot {operation}: the answer is not S3's"
                f" ({type(error).__name__}: {error}); a proxy or login page may have given it;"
                " check AWS_ENDPOINT_URL and the network"
            ) from error


class _BoundedAnswer(AWSResponse):  # type: ignore[misc]
    _content: bytes | None

    @property
    def content(self) -> bytes:
        """Return the body of an answer that is no object, or of an error."""
        if self._content is None:
            address = str(self.url).partition("?")[0]
            self._content = b"".join(limits.bounded(address, self.raw.stream()))
        return self._content


def _executor() -> Callable[[int], ThreadPoolExecutor]:
    """Return what makes a transfer's threads, which end with the read that they belong to."""
    initializer = limits.helper()
    return lambda max_workers: ThreadPoolExecutor(max_workers, initializer=initializer)


def is_transient(error: Exception) -> bool:
    """Return whether the same request may succeed a moment later."""
    if isinstance(error, ClientError):
        return _status(error.response) in STATUS_CODES or _code(error) in _BUSY
    return isinstance(error, _CUT) and not is_permanent(error)


def _is_cut(error: Exception) -> bool:
    """Return whether the content broke off; what fails before it, botocore has repeated."""
    return isinstance(error, _BODY_CUT)


def _digests(file: BinaryIO, kind: str) -> dict[str, str]:
    """Return the sha256 of a file, and its MD5 where that is the kind to verify."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        sha256.update(chunk)
        if kind == "md5":
            md5.update(chunk)
    return {"sha256": sha256.hexdigest(), "md5": md5.hexdigest()}


def _verify(answer: dict[str, Any], digests: dict[str, str], uri: str) -> None:
    kind, expected = _expected_digest(answer)
    if kind and digests[kind] != expected:
        raise DamagedError(f"{uri}: {kind} is {digests[kind]}, stored was {expected}")


def _expected_digest(answer: dict[str, Any]) -> tuple[str, str]:
    """Return kind and value of the digest to verify: ours, else the ETag where it is an MD5."""
    ours = answer.get("Metadata", {}).get(SHA256_FIELD)
    if ours:
        return "sha256", ours
    etag = str(answer["ETag"]).strip('"')
    plain = answer.get("ServerSideEncryption", "AES256") == "AES256" and len(etag) == 32
    return ("md5", etag) if plain and "SSECustomerAlgorithm" not in answer else ("", "")


def _translated(error: Exception, operation: str, bucket: str, key: str) -> RefineAfError:
    """Return the error for the user: URI, operation, what happened, what to do."""
    start = f"s3://{bucket}/{key}: cannot {operation}"
    if isinstance(error, FlexibleChecksumError):
        return DamagedError(f"{start}: {error}")
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return StorageError(
            f"{start}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give"
            " the pod a service account with access"
        )
    if not isinstance(error, ClientError):
        return StorageError(
            f"{start}: {type(error).__name__}: {error}; check AWS_ENDPOINT_URL and the network"
        )
    code = _code(error)
    if code == "NoSuchBucket":
        return StorageError(f"{start}: the bucket does not exist; create it or correct its name")
    if code in _MISSING:
        return MissingObjectError(f"{start}: nothing is stored there; check bucket and key")
    if code in _CONDITION:
        return DamagedError(f"{start}: the object was replaced while it was read; try again")
    if code in _DENIED:
        return StorageError(
            f"{start}: permission is missing ({code}); give this identity s3:GetObject,"
            " s3:PutObject, s3:DeleteObject and s3:ListBucket on the bucket"
        )
    message = error.response.get("Error", {}).get("Message", "")
    return StorageError(f"{start}: the server answered {code} {message}; try again later")


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(answer: dict[str, Any]) -> int:
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
