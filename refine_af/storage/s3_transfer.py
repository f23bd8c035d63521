"""Large S3 objects: parts up, and a stream down that continues where it was cut."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from botocore.exceptions import FlexibleChecksumError  # type: ignore[import-untyped]

from refine_af.storage.s3_errors import is_code, is_condition, request_errors
from refine_af.storage.store import DamagedError

SHA256_FIELD = "refine-af-sha256"
PART_BYTES = 8 * 1024 * 1024
MOST_PARTS = 10_000
PARTS_IN_FLIGHT = 8
"""Memory of an upload: 8 parts of 8 MiB (larger parts above 78 GiB). With 4 of
16 MiB a gigabyte took 1.4 times boto3's time, with these 1.1 times."""

CHUNK_BYTES = 1024 * 1024

Client = Any  # a class that botocore makes at run time


class Repeat(Protocol):
    """Calls a request until it succeeds or failed too often in a row without progress."""

    async def __call__(
        self, request: Callable[[Client], Awaitable[Any]], progress: Callable[[], int] = ...
    ) -> Any:  # noqa: ANN401  the request's result
        """Return what the request returns."""


async def send_parts(repeat: Repeat, bucket: str, key: str, source: Path, sha256: str) -> None:
    """Upload a file in parts; the object appears when the last request completes it."""
    names = {"Bucket": bucket, "Key": key}
    metadata = {SHA256_FIELD: sha256}
    answer = await repeat(lambda c: c.create_multipart_upload(**names, Metadata=metadata))
    upload = names | {"UploadId": answer["UploadId"]}
    try:
        parts = await _send_all(repeat, upload, source)
        await repeat(lambda c: _complete(c, names, upload, parts, sha256))
    except BaseException:
        await repeat(lambda c: c.abort_multipart_upload(**upload))
        raise


async def _send_all(repeat: Repeat, upload: dict[str, str], source: Path) -> list[dict[str, Any]]:
    size = source.stat().st_size
    step = max(PART_BYTES, -(-size // MOST_PARTS))
    gate = asyncio.Semaphore(PARTS_IN_FLIGHT)
    with source.open("rb") as file:

        async def send(number: int) -> dict[str, Any]:
            async with gate:
                file.seek((number - 1) * step)
                data = file.read(step)
                answer = await repeat(
                    lambda c: c.upload_part(**upload, PartNumber=number, Body=data)
                )
                sums = {name: text for name, text in answer.items() if name.startswith("Checksum")}
                return {"PartNumber": number, "ETag": answer["ETag"]} | sums

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(send(n + 1)) for n in range(-(-size // step))]
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in tasks]


async def _complete(
    client: Client,
    names: dict[str, str],
    upload: dict[str, str],
    parts: list[dict[str, Any]],
    sha256: str,
) -> None:
    try:
        await client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    except request_errors as error:
        if not is_code(error, "NoSuchUpload"):
            raise
        # A repetition after a lost answer: the upload is gone because it was completed.
        stored = await client.head_object(**names)
        if stored["Metadata"].get(SHA256_FIELD) != sha256:
            raise


class Reception:
    """One object on its way down."""

    def __init__(self, bucket: str, key: str, sink: BinaryIO) -> None:
        """Write to ``sink`` from its start."""
        self._names = {"Bucket": bucket, "Key": key}
        self._place = f"s3://{bucket}/{key}"
        self._sink = sink
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._expected = ("", "")
        self._offset = 0
        self.etag = ""

    @property
    def sha256(self) -> str:
        """Return the sha256 of what has arrived."""
        return self._sha256.hexdigest()

    async def run(self, repeat: Repeat) -> None:
        """Receive all of it.

        Raises:
            DamagedError: When the bytes are not those that were stored, or the object was
                replaced between two requests.
        """
        await repeat(self._request, lambda: self._offset)
        found = {"sha256": self.sha256, "md5": self._md5.hexdigest(), "": ""}
        kind, expected = self._expected
        if found[kind] != expected:
            raise DamagedError(f"{self._place}: {kind} is {found[kind]}, stored was {expected}")

    async def _request(self, client: Client) -> None:
        try:
            await self._take(client)
        except FlexibleChecksumError as error:
            raise DamagedError(f"{self._place}: {error}") from error
        except request_errors as error:
            if self._offset and is_condition(error):
                raise DamagedError(f"{self._place}: replaced while it was read") from error
            raise

    async def _take(self, client: Client) -> None:
        more = {"Range": f"bytes={self._offset}-", "IfMatch": self.etag} if self._offset else {}
        answer = await client.get_object(**self._names, **more)
        if not self._offset:
            self.etag = answer["ETag"]
            self._expected = _expected_digest(answer)
        total = self._offset + answer["ContentLength"]
        async with answer["Body"] as body:
            while chunk := await body.read(CHUNK_BYTES):
                self._keep(chunk)
        if self._offset < total:
            raise ConnectionResetError(f"{self._offset} of {total} bytes arrived")

    def _keep(self, chunk: bytes) -> None:
        self._sink.write(chunk)
        self._sha256.update(chunk)
        if self._expected[0] == "md5":
            self._md5.update(chunk)
        self._offset += len(chunk)


def _expected_digest(answer: dict[str, Any]) -> tuple[str, str]:
    """Return kind and value of the digest to verify: ours, else the ETag where it is an MD5."""
    ours = answer.get("Metadata", {}).get(SHA256_FIELD)
    if ours:
        return "sha256", ours
    etag = str(answer["ETag"]).strip('"')
    plain = answer.get("ServerSideEncryption", "AES256") == "AES256" and len(etag) == 32
    return ("md5", etag) if plain and "SSECustomerAlgorithm" not in answer else ("", "")
