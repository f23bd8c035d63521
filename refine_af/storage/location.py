"""Which URIs and object names are allowed, and what their parts are."""

import re
from dataclasses import dataclass, field
from typing import Literal

from refine_af.contracts.addresses import masked
from refine_af.contracts.credentials import refuse_credentials
from refine_af.contracts.errors import DataError, ParameterError, nearest

Scheme = Literal["local", "s3", "gs", "https"]

ALLOWED = "a local path, s3://BUCKET/KEY, gs://BUCKET/KEY or, to read only, https://HOST/PATH"
OWN_PREFIX = ".refine-af-"
"""Files that a store keeps for itself (unfinished writes, guards); never listed."""

_SCHEMES: dict[str, Scheme] = {"https": "https", "s3": "s3", "minio": "s3", "gs": "gs"}
"""KFP writes ``minio://`` for a bucket of its own object store, which speaks S3."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Location:
    """A parsed URI.

    Attributes:
        scheme: ``local`` for a path without a scheme; ``s3`` for ``minio://`` too.
        bucket: Bucket, or host for https; empty for a local path.
        key: Object name without leading slash, or the local path as it was given.
        root: What stands before the slash and the key, as it was given: ``minio://bucket``.
    """

    scheme: Scheme
    bucket: str
    key: str
    root: str = field(default="", compare=False)


def locate(uri: str) -> Location:
    """Return the parts of ``uri``; ``?`` and ``#`` are ordinary characters of an object name.

    Raises:
        ParameterError: For a scheme outside the allow-list, a bad bucket, an empty path, or a
            credential in the address, which is then not shown.
        DataError: For an object name that holds ``..``, ``.``, ``//`` or a control character.
    """
    match = _SCHEME.match(uri)
    if match is None:
        return _local(uri)
    refuse_credentials(masked(uri), uri)
    name = match.group(1).lower()
    bucket, _, key = uri[match.end() :].partition("/")
    scheme, root = _SCHEMES.get(name), match.group() + bucket
    if scheme == "https":
        return Location(scheme, bucket, key, root)
    if scheme is None:
        hint = nearest(name, list(_SCHEMES))
        raise ParameterError(f"{uri!r} has the scheme {name!r};{hint} allowed: {ALLOWED}")
    if not _BUCKET.fullmatch(bucket):
        raise ParameterError(
            f"{uri!r} names the bucket {bucket!r}; a bucket has letters, digits, '.', '_' or '-'"
        )
    key = key.rstrip("/")
    if key:
        check_name(key, uri)
    return Location(scheme, bucket, key, root)


def _local(uri: str) -> Location:
    if not uri.strip() or "\x00" in uri:
        raise ParameterError(f"{uri!r} is not a path; give {ALLOWED}")
    return Location("local", "", uri)


def check_name(name: str, uri: str) -> str:
    """Return ``name``, a relative name with ``/`` between its parts, when it is safe.

    Raises:
        DataError: When the name could leave its directory (``..``, absolute, backslash), has an
            empty part, or holds a control character; ``uri`` opens the message.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in name or _CONTROL.search(name):
        raise DataError(
            f"{uri}: the name {name!r} is refused; a name is relative and has no '..', '.',"
            " empty part, backslash or control character; rename the object"
        )
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(f"{uri}: the name {name!r} is not UTF-8; rename the file") from None
    return name


def join(uri: str, name: str) -> str:
    """Return the URI of ``name`` below ``uri``.

    Raises:
        DataError: As :func:`check_name`.
    """
    check_name(name, uri)
    return f"{uri.rstrip('/')}/{name}" if uri.strip("/") else f"/{name}"
