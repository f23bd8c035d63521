"""Which errors of a Cloud Storage request a repetition may outlive, and what the others mean."""

import http.client

import requests  # type: ignore[import-untyped]
import urllib3.exceptions
from google.api_core.exceptions import (
    Forbidden,
    GoogleAPICallError,
    GoogleAPIError,
    NotFound,
    Unauthorized,
)
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from refine_af.contracts.errors import RefineAfError, StorageError
from refine_af.storage.retry import STATUS_CODES
from refine_af.storage.store import MissingObjectError

_CUT = (
    ConnectionError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    TransportError,
    DataCorruption,  # the checksum that the server computed of an upload is another
)
request_errors = (GoogleAPIError, GoogleAuthError, InvalidResponse, *_CUT)
"""All that a request may raise for a reason outside this program."""


def is_transient(error: Exception) -> bool:
    """Return whether the same request may succeed a moment later."""
    if isinstance(error, InvalidResponse):
        return error.response.status_code in STATUS_CODES
    if isinstance(error, GoogleAPICallError):
        return error.code in STATUS_CODES
    return isinstance(error, _CUT)


def translated(
    error: Exception, operation: str, bucket: str, key: str, missing_bucket: bool
) -> RefineAfError:
    """Return the error for the user: URI, operation, what was found, what to do."""
    place = f"gs://{bucket}/{key}: cannot {operation}"
    if missing_bucket:
        return StorageError(f"{place}: the bucket does not exist; create it or correct it")
    if isinstance(error, NotFound):
        return MissingObjectError(f"{place}: nothing is stored there; check bucket and key")
    if isinstance(error, Forbidden | Unauthorized):
        return StorageError(
            f"{place}: permission is missing; give this identity the role"
            " roles/storage.objectUser on the bucket"
        )
    if isinstance(error, DefaultCredentialsError):
        return StorageError(
            f"{place}: no credentials; give the pod's service account workload identity, or run"
            " gcloud auth application-default login"
        )
    return StorageError(f"{place}: {type(error).__name__}: {error}; check the network, try again")
