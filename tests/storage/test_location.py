"""Which URIs and names are allowed, and what opening a store loads."""

import subprocess
import sys

import pytest

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.storage.location import Location, check_name, join, locate
from refine_af.storage.schemes import open_store


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("s3://bucket/a/b?c#d", Location("s3", "bucket", "a/b?c#d")),
        ("S3://bucket/a/", Location("s3", "bucket", "a")),
        ("minio://mlpipeline/v2/a", Location("s3", "mlpipeline", "v2/a")),
        ("gs://my_bucket.org", Location("gs", "my_bucket.org", "")),
        ("https://host:8443/p?q", Location("https", "host:8443", "p?q")),
        ("../relative", Location("local", "", "../relative")),
        ("/abs/ü", Location("local", "", "/abs/ü")),
        ("file-with:colon", Location("local", "", "file-with:colon")),
    ],
)
def test_a_uri_is_taken_apart(uri: str, place: Location) -> None:
    assert locate(uri) == place


@pytest.mark.parametrize(
    "uri",
    [
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "ftp://host/x",
        "gopher://host/x",
        "gcs://bucket/x",
        "hdfs://name/x",
        "s3a://bucket/x",
        "data://x",
    ],
)
def test_other_schemes_are_refused_with_what_is_allowed(uri: str) -> None:
    with pytest.raises(ParameterError, match=r"allowed: a local path, s3://BUCKET/KEY, gs://"):
        open_store(uri)


@pytest.mark.parametrize(
    "uri", ["", "  ", "a\x00b", "s3://", "s3:///key", "gs://b/k", "s3://a b/k"]
)
def test_nothing_and_bad_buckets_are_refused(uri: str) -> None:
    with pytest.raises(ParameterError):
        locate(uri)


@pytest.mark.parametrize(
    "name",
    ["", "/a", "a/", "..", "a/../b", "./a", "a//b", "a\\b", "a\nb", "a\x00", "\x7f", "\udc80"],
)
def test_names_that_could_leave_are_refused(name: str) -> None:
    with pytest.raises(DataError):
        check_name(name, "place")
    with pytest.raises(DataError):
        join("s3://bucket/x", name)


def test_names_are_joined_with_one_slash() -> None:
    assert join("s3://b/x/", "y/z") == "s3://b/x/y/z"
    assert join("relative", "y") == "relative/y"
    assert join("/", "y") == "/y"


def test_importing_storage_loads_no_client_library() -> None:
    script = (
        "import sys, refine_af.storage.journal, refine_af.storage.schemes as schemes;"
        "schemes.open_store('.');"
        "heavy = {'boto3', 'botocore', 'aiohttp', 'google', 'gcsfs', 'requests'};"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert shown.stdout.strip() == "[]", shown.stderr


@pytest.mark.parametrize(
    ("uri", "library", "extra"),
    [
        ("s3://bucket/x", "boto3", "s3"),
        ("s3://bucket/x", "botocore", "s3"),
        ("gs://bucket/x", "google.cloud.storage", "gcs"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(uri: str, library: str, extra: str) -> None:
    script = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from refine_af.storage.schemes import open_store\n"
        f"try: open_store({uri!r})\n"
        "except Exception as error: print(type(error).__name__, error.exit_code, error)"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert shown.stdout.startswith(f"MissingLibraryError 64 {uri}: "), shown
    assert f"pip install 'refine-af[{extra}]'" in shown.stdout
