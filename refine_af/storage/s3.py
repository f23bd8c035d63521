"""``s3://`` through s3fs: its session, credentials and loop; the requests are made here.

Every object carries its sha256 in its metadata, which multipart uploads have no checksum for
otherwise. ``AWS_ENDPOINT_URL`` and the rest of the platform's own chain (environment, profile,
service account, instance role) decide server and credentials.
"""

import asyncio
import io
import os
from collections.abc import Awaitable, Callable, Iterator
from functools import lru_cache, partial
from operator import methodcaller
from pathlib import Path
from typing import Any, BinaryIO

import fsspec.asyn
import s3fs

from refine_af.storage.bucket import ANY
from refine_af.storage.digest import digest_bytes, digest_file
from refine_af.storage.objects import ObjectStore
from refine_af.storage.retry import pauses
from refine_af.storage.s3_errors import is_condition, is_transient, request_errors, translated
from refine_af.storage.s3_transfer import SHA256_FIELD, Reception, send_parts
from refine_af.storage.store import DamagedError, Versioned

Request = Callable[[Any], Awaitable[Any]]

ONE_REQUEST_BYTES = 16 * 1024 * 1024
"""Larger files are sent in parts."""


def open_s3() -> ObjectStore:
    """Return the store of this process for the endpoint and credentials of the environment."""
    named = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_PROFILE")
    return _store(os.getpid(), *(os.environ.get(name) for name in named))


@lru_cache(maxsize=4)
def _store(*_environment: object) -> ObjectStore:
    return ObjectStore(S3Client())


class S3Client:
    """Requests on S3 objects; see ``BucketClient``."""

    scheme = "s3"

    def __init__(self) -> None:
        # Our own repetitions are counted and bounded; two layers of them would multiply.
        config = {"retries": {"max_attempts": 0}, "max_pool_connections": 32}
        self._fs = s3fs.S3FileSystem(
            config_kwargs=config, skip_instance_cache=True, use_listings_cache=False
        )
        self.retries = 0

    def get(self, bucket: str, key: str) -> Versioned:
        """Return content and ETag."""
        sink = io.BytesIO()
        reception = self._receive(bucket, key, sink)
        return Versioned(sink.getvalue(), reception.etag)

    def get_to(self, bucket: str, key: str, sink: BinaryIO) -> str:
        """Stream the content; a cut connection continues at the byte where it ended."""
        return self._receive(bucket, key, sink).sha256

    def put(self, bucket: str, key: str, data: bytes, condition: str | None = ANY) -> str | None:
        """Write an object; the condition goes as ``If-None-Match`` or ``If-Match``."""
        extra: dict[str, str] = {}
        if condition is None:
            extra = {"IfNoneMatch": "*"}
        elif condition != ANY:
            extra = {"IfMatch": condition}
        metadata = {SHA256_FIELD: digest_bytes(data)}

        async def request(client: Any) -> str | None:  # noqa: ANN401  a generated class
            try:
                answer = await client.put_object(
                    Bucket=bucket, Key=key, Body=data, Metadata=metadata, **extra
                )
            except request_errors as error:
                if extra and is_condition(error):
                    return None
                raise
            return str(answer["ETag"])

        version: str | None = self._call(request, "write", bucket, key)
        return version

    def put_from(self, bucket: str, key: str, source: Path, sha256: str | None = None) -> str:
        """Write a file: one request up to 16 MiB, else parts, each repeated by itself."""
        sha256 = sha256 or digest_file(source)
        if source.stat().st_size <= ONE_REQUEST_BYTES:
            self.put(bucket, key, source.read_bytes())
            return sha256

        repeat = partial(self._repeat, "write", bucket, key)
        self._run(send_parts(repeat, bucket, key, source, sha256))
        return sha256

    def keys(self, bucket: str, prefix: str, limit: int | None = None) -> Iterator[str]:
        """Yield keys, one page of up to 1,000 a request."""
        found = 0
        for page in self._pages(bucket, prefix, MaxKeys=min(limit or 1000, 1000)):
            for item in page.get("Contents", ()):
                if limit is not None and found >= limit:
                    return
                found += 1
                yield item["Key"]

    def folders(self, bucket: str, prefix: str) -> list[str]:
        """Return the parts before the next ``/``."""
        return [
            item["Prefix"][len(prefix) : -1]
            for page in self._pages(bucket, prefix, Delimiter="/")
            for item in page.get("CommonPrefixes", ())
        ]

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object."""
        request = methodcaller("delete_object", Bucket=bucket, Key=key)
        self._call(request, "delete", bucket, key)

    def abort_uploads(self, bucket: str, prefix: str) -> None:
        """Abort multipart uploads that were never completed; their parts cost money."""
        request = methodcaller("list_multipart_uploads", Bucket=bucket, Prefix=prefix)
        answer = self._call(request, "list", bucket, prefix)
        for upload in answer.get("Uploads", ()):
            names = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
            request = methodcaller("abort_multipart_upload", **names)
            self._call(request, "tidy", bucket, upload["Key"])

    def _pages(self, bucket: str, prefix: str, **options: str | int) -> Iterator[dict[str, Any]]:
        names: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, **options}
        while True:
            page = self._call(methodcaller("list_objects_v2", **names), "list", bucket, prefix)
            yield page
            if not page.get("IsTruncated"):
                return
            names["ContinuationToken"] = page["NextContinuationToken"]

    def _receive(self, bucket: str, key: str, sink: BinaryIO) -> Reception:
        repeat = partial(self._repeat, "read", bucket, key)
        for last in (False, True):
            sink.seek(0)
            sink.truncate()
            reception = Reception(bucket, key, sink)
            try:
                self._run(reception.run(repeat))
                break
            except DamagedError:  # damaged on the way, or replaced: once more from the start
                if last:
                    raise
        return reception

    def _call(self, request: Request, operation: str, bucket: str, key: str) -> Any:  # noqa: ANN401
        return self._run(self._repeat(operation, bucket, key, request))

    async def _repeat(
        self,
        operation: str,
        bucket: str,
        key: str,
        request: Request,
        progress: Callable[[], int] = int,
    ) -> Any:  # noqa: ANN401  the request's result
        waits, before = pauses(), progress()
        while True:
            try:
                return await request(await self._fs.set_session())
            except request_errors as error:
                if progress() != before:
                    waits, before = pauses(), progress()
                wait = next(waits, None) if is_transient(error) else None
                if wait is None:
                    raise translated(error, operation, bucket, key) from error
            self.retries += 1
            await asyncio.sleep(wait)

    def _run(self, work: Any) -> Any:  # noqa: ANN401  a coroutine of any result
        async def awaited() -> Any:  # noqa: ANN401
            return await work

        return fsspec.asyn.sync(self._fs.loop, awaited)
