"""Which errors of an S3 request a repetition may outlive, and what the others mean."""

import aiohttp
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]

from refine_af.contracts.errors import RefineAfError, StorageError
from refine_af.storage.retry import STATUS_CODES
from refine_af.storage.store import MissingObjectError

_CUT = (
    HTTPClientError,
    IncompleteReadError,
    ResponseParserError,  # an answer that was cut short, or a proxy's page in place of XML
    aiohttp.ClientError,
    ConnectionError,
    TimeoutError,
)
request_errors = (ClientError, BotoCoreError, *_CUT)
"""All that a request may raise for a reason outside this program."""

_BUSY = {"SlowDown", "InternalError", "RequestTimeout", "OperationAborted", "Throttling"}
_CONFLICT = "ConditionalRequestConflict"
_DENIED = {
    "AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch",
    "ExpiredToken", "InvalidToken", "AllAccessDisabled", "AccountProblem",
}  # fmt: skip


def is_transient(error: Exception) -> bool:
    """Return whether the same request may succeed a moment later."""
    if isinstance(error, ClientError):
        return _status(error) in STATUS_CODES or _code(error) in _BUSY | {_CONFLICT}
    return isinstance(error, _CUT)


def is_condition(error: Exception) -> bool:
    """Return whether a conditional write was refused because its condition does not hold."""
    return isinstance(error, ClientError) and _code(error) in {
        "PreconditionFailed", "412", "NoSuchKey", "404"
    }  # fmt: skip


def is_code(error: Exception, code: str) -> bool:
    """Return whether the server answered with this S3 error code."""
    return isinstance(error, ClientError) and _code(error) == code


def translated(error: Exception, operation: str, bucket: str, key: str) -> RefineAfError:
    """Return the error for the user: URI, operation, what was found, what to do."""
    place = f"s3://{bucket}/{key}: cannot {operation}"
    if isinstance(error, ClientError):
        code = _code(error)
        if code == "NoSuchBucket":
            return StorageError(
                f"{place}: the bucket does not exist; create it or correct its name"
            )
        if code in {"NoSuchKey", "404"}:
            return MissingObjectError(f"{place}: nothing is stored there; check bucket and key")
        if code in _DENIED:
            return StorageError(
                f"{place}: permission is missing ({code}); give this identity s3:GetObject,"
                " s3:PutObject, s3:DeleteObject and s3:ListBucket on the bucket"
            )
        message = error.response.get("Error", {}).get("Message", "")
        return StorageError(f"{place}: the server answered {code} {message}; try again later")
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return StorageError(
            f"{place}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give"
            " the pod a service account with access"
        )
    return StorageError(
        f"{place}: {type(error).__name__}: {error}; check AWS_ENDPOINT_URL and the network"
    )


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
