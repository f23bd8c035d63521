"""Which store or source a URI belongs to; its library loads when it is opened."""

import os

from refine_af.contracts.errors import ParameterError, missing_library
from refine_af.storage.location import locate
from refine_af.storage.store import Source, Store


def open_store(uri: str) -> Store:
    """Return the store for the scheme of ``uri``; libraries load here, not at import.

    Raises:
        ParameterError: For a scheme outside the allow-list, and for https, which is read-only.
        MissingLibraryError: When the library of that scheme is not installed.
    """
    scheme = locate(uri).scheme
    if scheme == "local":
        from refine_af.storage.local import LocalStore

        return LocalStore()
    if scheme == "https":
        raise ParameterError(
            f"{uri!r} can only be read, as a single file; write to a local path, s3:// or gs://"
        )
    if uri.lower().startswith("minio:") and not os.environ.get("AWS_ENDPOINT_URL"):
        raise ParameterError(
            f"{uri!r} names a bucket of a MinIO or other S3 server, and AWS_ENDPOINT_URL does not"
            " say which; set it to the server's address, such as http://minio-service:9000"
        )
    try:
        if scheme == "s3":
            from refine_af.storage.s3 import open_s3

            return open_s3()
        from refine_af.storage.gcs import open_gcs

        return open_gcs()
    except ImportError as error:
        remedy = f"pip install 'refine-af[{'s3' if scheme == 's3' else 'gcs'}]'"
        raise missing_library(error, f"{uri}: {scheme}://", remedy) from error


def open_source(uri: str) -> Source:
    """Return what ``uri`` can be read from: a store, or a web server for https.

    Raises:
        ParameterError, MissingLibraryError: As :func:`open_store`.
    """
    if locate(uri).scheme != "https":
        return open_store(uri)
    from refine_af.storage.https import HttpsSource

    return HttpsSource()
