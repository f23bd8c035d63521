"""Artifact repositories as Argo's own drivers see them: plain objects, a directory as many."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol


class Repository(Protocol):
    """What Argo's init and wait containers do with one bucket."""

    def put(self, key: str, source: Path) -> None:
        """Store a file, or each file of a directory below ``key``."""

    def get(self, key: str, target: Path) -> None:
        """Fetch a file or a directory.

        Raises:
            FileNotFoundError: When there is neither.
        """

    def keys(self, prefix: str) -> list[str]:
        """Return the keys with that prefix, sorted."""


class _Bucket(ABC):
    """Files and directories in terms of single objects."""

    def put(self, key: str, source: Path) -> None:
        if source.is_file():
            self._send(key, source)
            return
        for path in sorted(source.rglob("*")):
            if path.is_file():
                self._send(f"{key}/{path.relative_to(source).as_posix()}", path)

    def get(self, key: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        below = self.keys(f"{key}/")
        if key in self.keys(key):
            self._receive(key, target)
            return
        if not below:
            raise FileNotFoundError(key)
        for name in below:
            place = target / name.removeprefix(f"{key}/")
            place.parent.mkdir(parents=True, exist_ok=True)
            self._receive(name, place)

    @abstractmethod
    def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix."""

    @abstractmethod
    def _send(self, key: str, source: Path) -> None:
        """Put a file."""

    @abstractmethod
    def _receive(self, key: str, target: Path) -> None:
        """Fetch a file."""


class S3Repository(_Bucket):
    """A bucket through boto3, at ``endpoint`` or else at ``AWS_ENDPOINT_URL``."""

    def __init__(self, bucket: str, endpoint: str | None = None) -> None:
        import boto3

        self._client: Any = boto3.client("s3", endpoint_url=endpoint)
        self._bucket = bucket

    def keys(self, prefix: str) -> list[str]:
        """Return the keys with that prefix, sorted."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        return sorted(item["Key"] for page in pages for item in page.get("Contents", []))

    def _send(self, key: str, source: Path) -> None:
        self._client.upload_file(str(source), self._bucket, key)

    def _receive(self, key: str, target: Path) -> None:
        self._client.download_file(self._bucket, key, str(target))


class GcsRepository(_Bucket):
    """A bucket through google-cloud-storage, at ``STORAGE_EMULATOR_HOST``."""

    def __init__(self, bucket: str) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
        self._bucket: Any = storage.Client(project="none", credentials=nobody).bucket(bucket)

    def keys(self, prefix: str) -> list[str]:
        """Return the keys with that prefix, sorted."""
        return sorted(blob.name for blob in self._bucket.list_blobs(prefix=prefix))

    def _send(self, key: str, source: Path) -> None:
        self._bucket.blob(key).upload_from_filename(str(source))

    def _receive(self, key: str, target: Path) -> None:
        self._bucket.blob(key).download_to_filename(str(target))
