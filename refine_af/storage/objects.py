"""Directories, manifests and conditional writes on top of any object store's requests."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, TypeVar

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.storage import limits
from refine_af.storage.atomic import disk_errors, new_directory, new_file
from refine_af.storage.location import Location, check_name, locate
from refine_af.storage.manifest import INCOMPLETE, MANIFEST_NAME, Manifest, digest_listing
from refine_af.storage.store import MissingObjectError, Versioned, require_digest

Result = TypeVar("Result")

TRANSFERS = 4
"""Files of one directory in flight at once; a large file is itself sent in parallel parts."""

SETTLE_SECONDS = 2.0

ANY: Literal["any"] = "any"
"""Unconditional write; the other conditions are a version, or None: nothing is there."""


class BucketClient(Protocol):
    """One object store's requests, each repeated when the store fails for a moment.

    Methods raise ``MissingObjectError``, or ``StorageError`` with what to do.
    """

    scheme: str
    retries: int

    def get(self, bucket: str, key: str) -> Versioned:
        """Return content and version, verified."""

    def get_to(self, bucket: str, key: str, sink: BinaryIO) -> str:
        """Write the content to ``sink``, which can be read too, and return its sha256.

        Verified; memory is constant.
        """

    def put(self, bucket: str, key: str, data: bytes, condition: str | None = ANY) -> str | None:
        """Write an object; return its version, or None when the condition does not hold."""

    def put_from(self, bucket: str, key: str, source: Path, sha256: str | None = None) -> str:
        """Write an object from a file of any size and return its sha256; memory constant.

        A caller that knows the sha256 gives it, which saves a pass over the file.
        """

    def keys(self, bucket: str, prefix: str, limit: int | None = None) -> Iterator[str]:
        """Yield the keys with that prefix in code point order."""

    def versions(self, bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield the keys with that prefix, each with its version (entity tag, generation)."""

    def folders(self, bucket: str, prefix: str) -> list[str]:
        """Return the parts between ``prefix`` and the next ``/``, each once."""

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object; a missing one is not an error."""

    def abort_uploads(self, bucket: str, prefix: str) -> None:
        """Drop unfinished uploads under the prefix."""


class ObjectStore:
    """A store over buckets.

    A directory is published as: a manifest that says "not complete", the files, the manifest with
    all sizes and digests. A reader takes a directory with a manifest only when it is complete and
    every file agrees with it; a directory without one (uploaded by other tools) is taken as it is,
    each file checked against the store's own checksum.
    """

    def __init__(self, client: BucketClient, settle_seconds: float = SETTLE_SECONDS) -> None:
        """Work through ``client``.

        Args:
            client: Requests of one kind of store.
            settle_seconds: Where the server ignores write conditions: how long a lease's writer
                waits before it reads back who won.
        """
        self._client = client
        self._settle_seconds = settle_seconds

    @property
    def retries(self) -> int:
        """Return how many requests were repeated so far."""
        return self._client.retries

    def read(self, uri: str) -> bytes:
        """Return the content of one object."""
        location = _object(uri)
        return self._get(location.bucket, location.key, uri).data

    def download(self, uri: str, target: Path, expected: str | None = None) -> str:
        """Copy the object, or else the directory, to ``target``."""
        location = locate(uri)
        with disk_errors("write", str(target)):
            if location.key:
                try:
                    return self._download_file(location, target, uri, expected)
                except MissingObjectError:
                    pass
            return self._download_directory(location, target, uri, expected)

    def fingerprint(self, uri: str) -> str:
        """Return the version of the object, or a digest of the versions of all below."""
        location = locate(uri)
        versions = limits.within(
            uri, lambda: dict(self._client.versions(location.bucket, location.key))
        )
        if location.key in versions:
            return f"version {versions[location.key]}"
        prefix = _prefix(location)
        below = [(key, version) for key, version in versions.items() if key.startswith(prefix)]
        if not below:
            raise MissingObjectError(f"{uri}: nothing is stored there; check bucket and key")
        return f"versions {digest_listing(below)}"

    def publish(self, uri: str, source: Path) -> str:
        """Send one file; object stores show it only when all of it has arrived."""
        location = _object(uri)
        with disk_errors("read", str(source)):
            return _sent(uri, lambda: self._client.put_from(location.bucket, location.key, source))

    def publish_bytes(self, uri: str, data: bytes, *, durable: bool = True) -> None:
        """Send one small object."""
        location = _object(uri)
        self._put(location.bucket, location.key, data, uri)

    def publish_directory(self, uri: str, source: Path) -> str:
        """Send the files, then the manifest; until then a reader finds no whole directory."""
        location = _object(uri)
        prefix = f"{location.key}/"
        with disk_errors("read", str(source)):
            manifest = Manifest.of(source)
            self._put(location.bucket, prefix + MANIFEST_NAME, INCOMPLETE, uri)
            self._delete(location.bucket, location.key, uri)

            def send(name: str) -> None:
                record = manifest.files[name]
                key, path = prefix + name, source / name
                _sent(
                    f"{uri}/{name}",
                    lambda: self._client.put_from(location.bucket, key, path, record.sha256),
                )

            _in_parallel(send, sorted(manifest.files))
        self._put(location.bucket, prefix + MANIFEST_NAME, manifest.dump(), uri)
        kept = {prefix + name for name in manifest.files} | {prefix + MANIFEST_NAME}
        for key in self._keys(location, prefix, uri):
            if key not in kept:
                self._delete(location.bucket, key, uri)
        return manifest.digest

    def list_files(self, uri: str) -> list[str]:
        """Return the URIs of all files below; directories that are not whole have none."""
        location = locate(uri)
        prefix = _prefix(location)
        keys = [key for key in self._keys(location, prefix, uri) if not key.endswith("/")]
        roots = [key.removesuffix(MANIFEST_NAME) for key in keys if _is_manifest(key)]
        listed = self._listed(location.bucket, roots)
        start = f"{location.root}/"
        return [
            start + key
            for key in keys
            if not _is_manifest(key)
            and (key in listed or not any(key.startswith(root) for root in roots))
        ]

    def list_directories(self, uri: str) -> list[str]:
        """Return the names of the directories directly below, whole or not."""
        location = locate(uri)
        return limits.within(
            uri, lambda: sorted(self._client.folders(location.bucket, _prefix(location)))
        )

    def exists(self, uri: str) -> bool:
        """Return whether an object or a whole directory is there."""
        location = locate(uri)
        prefix = _prefix(location)
        if location.key and location.key in self._keys(location, location.key, uri, limit=1):
            return True
        if self._keys(location, prefix + MANIFEST_NAME, uri, limit=1):
            return bool(self._listed(location.bucket, [prefix], empty_counts=True))
        return bool(self._keys(location, prefix, uri, limit=1))

    def delete(self, uri: str) -> None:
        """Remove the object and everything below it, the manifest first."""
        location = _object(uri)
        self._delete(location.bucket, location.key, uri)
        keys = sorted(
            self._keys(location, _prefix(location), uri), key=lambda key: not _is_manifest(key)
        )
        _in_parallel(lambda key: self._delete(location.bucket, key, uri), keys)

    def sweep(self, uri: str) -> None:
        """Drop unfinished uploads below."""
        location = _object(uri)
        _sent(uri, lambda: self._client.abort_uploads(location.bucket, _prefix(location)))

    def read_version(self, uri: str) -> Versioned | None:
        """Return content and version of an object."""
        location = _object(uri)
        try:
            return self._get(location.bucket, location.key, uri)
        except MissingObjectError:
            return None

    def swap(self, uri: str, data: bytes, expected: str | None) -> str | None:
        """Write under the store's own condition (``If-None-Match``, ``ifGenerationMatch``).

        Some servers ignore it. So a first write is made once more under the condition that
        nothing is there, which must fail; where it does not, the writer waits and reads back
        whose write stayed. That is as good as such a server allows, not a guarantee.
        """
        location = _object(uri)
        version = self._put(location.bucket, location.key, data, uri, expected)
        if version is None or expected is not None:
            return version
        again = self._put(location.bucket, location.key, data, uri, None)
        if again is None:
            return version
        time.sleep(self._settle_seconds)
        current = self.read_version(uri)
        return current.version if current is not None and current.data == data else None

    def _put(
        self, bucket: str, key: str, data: bytes, uri: str, condition: str | None = ANY
    ) -> str | None:
        return _sent(uri, lambda: self._client.put(bucket, key, data, condition))

    def _delete(self, bucket: str, key: str, uri: str) -> None:
        _sent(uri, lambda: self._client.delete(bucket, key))

    def _get(self, bucket: str, key: str, uri: str) -> Versioned:
        return limits.within(uri, lambda: self._client.get(bucket, key))

    def _keys(
        self, location: Location, prefix: str, uri: str, limit: int | None = None
    ) -> list[str]:
        return limits.within(uri, lambda: list(self._client.keys(location.bucket, prefix, limit)))

    def _download_file(
        self, location: Location, target: Path, uri: str, expected: str | None
    ) -> str:
        with (
            new_file(target, durable=False) as descriptor,
            open(descriptor, "w+b", closefd=False) as sink,
        ):
            digest = limits.within(
                uri, lambda: self._client.get_to(location.bucket, location.key, sink)
            )
            require_digest(uri, digest, expected)
        return digest

    def _download_directory(
        self, location: Location, target: Path, uri: str, expected: str | None
    ) -> str:
        prefix = _prefix(location)
        names, manifest = self._names(location, prefix, uri)
        with new_directory(target, durable=False) as staged:

            def receive(name: str) -> tuple[str, str]:
                copy = staged / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                with copy.open("x+b") as sink:
                    digest = limits.within(
                        f"{uri}/{name}",
                        lambda: self._client.get_to(location.bucket, prefix + name, sink),
                    )
                if manifest is not None:
                    require_digest(f"{uri}/{name}", digest, manifest.files[name].sha256)
                return name, digest

            digest = digest_listing(_in_parallel(receive, names))
            require_digest(uri, digest, expected)
        return digest

    def _names(
        self, location: Location, prefix: str, uri: str
    ) -> tuple[list[str], Manifest | None]:
        try:
            raw = self._get(location.bucket, prefix + MANIFEST_NAME, uri).data
        except MissingObjectError:
            keys = [key for key in self._keys(location, prefix, uri) if not key.endswith("/")]
            if not keys:
                raise MissingObjectError(
                    f"{uri}: nothing is stored there; check bucket and key"
                ) from None
            return [check_name(key[len(prefix) :], uri) for key in keys], None
        manifest = Manifest.load(raw, uri)
        return sorted(manifest.files), manifest

    def _listed(self, bucket: str, roots: list[str], *, empty_counts: bool = False) -> set[str]:
        """Return the keys that the complete manifests at ``roots`` list."""
        listed: set[str] = set()
        for root in roots:
            try:
                name = root + MANIFEST_NAME
                manifest = Manifest.load(self._get(bucket, name, name).data, root)
            except DataError:  # not whole, or deleted meanwhile: lists nothing
                continue
            listed |= {root + name for name in manifest.files}
            if empty_counts:
                listed.add(root)
        return listed


def _sent(uri: str, call: Callable[[], Result]) -> Result:
    return limits.within(uri, call, writes=True)


def _in_parallel(call: Callable[[str], Result], items: Iterable[str]) -> list[Result]:
    with ThreadPoolExecutor(TRANSFERS) as pool:
        return list(pool.map(call, items))


def _object(uri: str) -> Location:
    location = locate(uri)
    if not location.key:
        raise ParameterError(f"{uri!r} names a bucket; add the key of an object in it")
    return location


def _prefix(location: Location) -> str:
    return f"{location.key}/" if location.key else ""


def _is_manifest(key: str) -> bool:
    return key.rpartition("/")[2] == MANIFEST_NAME
