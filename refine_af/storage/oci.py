"""Pushes a folder to an OCI registry, by the distribution specification (1.1).

The folder becomes an image that holds files alone: one layer a file, an uncompressed tar with the
file below ``models/``. A cluster mounts it as an image volume, and any tool that pulls images reads
it. Equal folders make equal digests, so what is there already is not sent again.

Source: opencontainers/distribution-spec 1.1, opencontainers/image-spec 1.1.
"""

import base64
import hashlib
import http.client
import json
import os
import re
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from refine_af.contracts.errors import DependencyError, ParameterError
from refine_af.storage import limits
from refine_af.storage.manifest import digest_file
from refine_af.storage.retry import STATUS_CODES, is_permanent, repeated

SCHEME = "oci://"
USER_VARIABLE, PASSWORD_VARIABLE = "OCI_USERNAME", "OCI_PASSWORD"
FOLDER = "models"
"""Where the files are in the image."""

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

TIMEOUT_SECONDS = 120.0
NOT_FOUND, UNAUTHORIZED = 404, 401
_REFERENCE = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+(:\d+)?)/(?P<name>[a-z0-9]+([._/-]+[a-z0-9]+)*):(?P<tag>\w[\w.-]{0,127})"
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an image goes: registry, repository and tag."""

    host: str
    name: str
    tag: str

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Return the parts of ``oci://HOST/REPOSITORY:TAG``.

        Raises:
            ParameterError: Saying what is allowed.
        """
        match = _REFERENCE.fullmatch(uri.removeprefix(SCHEME))
        if not uri.startswith(SCHEME) or match is None:
            raise ParameterError(
                f"{uri!r} is not an image; write oci://HOST/REPOSITORY:TAG, the repository in lower"
                " case"
            )
        return cls(match["host"], match["name"], match["tag"])


def push_folder(uri: str, folder: Path, scratch: Path, labels: Mapping[str, str]) -> str:
    """Push the files of a folder, and return the digest of the image.

    Args:
        uri: ``oci://HOST/REPOSITORY:TAG``. The registry of this machine (localhost) is spoken to
            without TLS, as Docker does.
        folder: What is pushed.
        scratch: Room for a copy of the largest file.
        labels: Annotations of the image.

    Raises:
        ParameterError: For a wrong address, or when the registry refuses.
        DependencyError: When it does not answer.
    """
    reference = Reference.parse(uri)
    repository = _Repository(reference)
    layers = []
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        layer = _layer(path, f"{FOLDER}/{path.relative_to(folder).as_posix()}", scratch / "layer")
        layers.append(repository.push_blob(LAYER, layer))
        layer.unlink()
    config = scratch / "config.json"
    config.write_bytes(_json(_config([layer["digest"] for layer in layers], labels)))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": repository.push_blob(CONFIG, config),
        "layers": layers,
        "annotations": dict(labels),
    }
    return repository.push_manifest(_json(manifest))


def _layer(path: Path, name: str, target: Path) -> Path:
    """Write a tar with one file, which depends on its name and content alone."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive, path.open("rb") as file:
        entry = tarfile.TarInfo(name)
        entry.size = path.stat().st_size
        entry.mode = 0o644
        archive.addfile(entry, file)
    return target


def _config(layers: list[str], labels: Mapping[str, str]) -> dict[str, Any]:
    # files alone run on no processor; engines ask for one all the same
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": dict(labels)},
        "rootfs": {"type": "layers", "diff_ids": layers},
    }


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class _Repository:
    """One repository of a registry."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        local = reference.host.partition(":")[0] in ("localhost", "127.0.0.1")
        self._root = f"{'http' if local else 'https'}://{reference.host}/v2/{reference.name}"
        self._authorization = ""

    def push_blob(self, media_type: str, path: Path) -> dict[str, Any]:
        """Send a file that the registry does not have, and return its descriptor."""
        digest, size = f"sha256:{digest_file(path)}", path.stat().st_size
        if self._ask("HEAD", f"{self._root}/blobs/{digest}", absent=True) is None:
            begun = self._ask("POST", f"{self._root}/blobs/uploads/")
            assert begun is not None  # noqa: S101  only what may be absent is None
            there = urllib.parse.urljoin(f"{self._root}/blobs/uploads/", begun["Location"] or "")
            joint = "&" if "?" in there else "?"
            self._ask("PUT", f"{there}{joint}digest={digest}", path)
        return {"mediaType": media_type, "digest": digest, "size": size}

    def push_manifest(self, data: bytes) -> str:
        """Put the manifest under the tag, and return its digest."""
        self._ask("PUT", f"{self._root}/manifests/{self._reference.tag}", data, kind=MANIFEST)
        return f"sha256:{hashlib.sha256(data).hexdigest()}"

    def _ask(
        self,
        method: str,
        url: str,
        body: Path | bytes | None = None,
        *,
        kind: str = "application/octet-stream",
        absent: bool = False,
    ) -> http.client.HTTPMessage | None:
        """Return the headers of the answer; None where it is 404 and may be."""
        try:
            return limits.within(
                self._reference.host,
                lambda: repeated(lambda: self._sent(method, url, body, kind), _is_transient),
                writes=True,
            )
        except urllib.error.HTTPError as error:
            if error.code == NOT_FOUND and absent:
                return None
            raise _refusal(error, self._reference.host) from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise DependencyError(
                f"registry {self._reference.host}: no answer ({reason})"
            ) from None

    def _sent(
        self, method: str, url: str, body: Path | bytes | None, kind: str
    ) -> http.client.HTTPMessage:
        try:
            return self._once(method, url, body, kind)
        except urllib.error.HTTPError as error:
            challenge = error.headers.get("WWW-Authenticate", "")
            if error.code != UNAUTHORIZED:
                raise
            self._authorization = _authorization(challenge)
            if not self._authorization:
                raise
        return self._once(method, url, body, kind)

    def _once(
        self, method: str, url: str, body: Path | bytes | None, kind: str
    ) -> http.client.HTTPMessage:
        size = body.stat().st_size if isinstance(body, Path) else len(body or b"")
        headers = {"Content-Length": str(size), "Content-Type": kind}
        # an upload may be sent on to a store, which must not see the registry's token
        if self._authorization and urllib.parse.urlsplit(url).netloc == self._reference.host:
            headers["Authorization"] = self._authorization
        data = body.open("rb") if isinstance(body, Path) else body
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                found: http.client.HTTPMessage = answer.headers
                return found
        finally:
            if not isinstance(data, bytes | None):
                data.close()


def _authorization(challenge: str) -> str:
    """Return the header that answers a registry's challenge; empty without anything to answer."""
    user, password = (os.environ.get(name, "") for name in (USER_VARIABLE, PASSWORD_VARIABLE))
    basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() != "bearer":
        return basic
    values = dict(_CHALLENGE.findall(rest))
    query = urllib.parse.urlencode({k: values[k] for k in ("service", "scope") if k in values})
    headers = {"Authorization": basic} if basic else {}
    request = urllib.request.Request(f"{values.get('realm', '')}?{query}", headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        said = json.loads(answer.read())
    return f"Bearer {said.get('token') or said.get('access_token')}"


def _is_transient(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in STATUS_CODES
    return isinstance(error, OSError) and not is_permanent(error)


def _refusal(error: urllib.error.HTTPError, host: str) -> ParameterError | DependencyError:
    said = error.read(2000).decode("utf-8", "replace").strip()
    if error.code in STATUS_CODES:
        return DependencyError(f"registry {host}: it answers {error.code}: {said}")
    hint = f"; set {USER_VARIABLE} and {PASSWORD_VARIABLE}" if error.code in (401, 403) else ""
    return ParameterError(f"registry {host}: it refuses with {error.code}: {said}{hint}")
