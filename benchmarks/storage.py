"""Large files to and from an S3 and a Cloud Storage server, against the bare clients.

``python benchmarks/storage.py [--megabytes 1000] [--rounds 3]`` starts moto and the Cloud Storage
emulator as processes of their own. Bare client and our store take turns in one run; the ratio of
their best times is the bar (1.3), and memory is the growth of the peak over that of the imports.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

BUCKET = "bucket-of-benchmarks"
S3_SERVER = """
import sys
from moto.server import main
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
"""
GS_SERVER = """
import sys
from gcp_storage_emulator.server import create_server
create_server("127.0.0.1", int(sys.argv[1]), in_memory=False, default_bucket=sys.argv[2]).run()
"""
PORTS = {"s3": 5951, "gs": 5952}
Transfer = Callable[[Path, Path], None]
"""Sends the first path to the server and fetches into the second; one of them is unused."""


@contextmanager
def server(kind: str, folder: Path) -> Iterator[None]:
    """Run a server for as long as the block lasts, and point both clients at it."""
    url = f"http://127.0.0.1:{PORTS[kind]}"
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORTS['s3']}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{PORTS['gs']}",
    }
    source = S3_SERVER if kind == "s3" else GS_SERVER
    words = [sys.executable, "-c", source, str(PORTS[kind]), BUCKET]
    with (folder / f"{kind}.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.2)
        if kind == "s3":
            import boto3

            boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield
    finally:
        process.terminate()
        process.wait()


def bare(kind: str) -> tuple[Callable[[Path], None], Callable[[Path], None]]:
    """Return what a person would write with the platform's own client."""
    if kind == "s3":
        import boto3

        client = boto3.client("s3")
        return (
            lambda path: client.upload_file(str(path), BUCKET, "bare"),
            lambda path: client.download_file(BUCKET, "bare", str(path)),
        )
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    nobody: Any = AnonymousCredentials()
    blob = storage.Client(project="none", credentials=nobody).bucket(BUCKET).blob("bare")
    return (
        lambda path: blob.upload_from_filename(str(path), timeout=600),
        lambda path: blob.download_to_filename(str(path), timeout=600),
    )


def ours(kind: str) -> tuple[Callable[[Path], None], Callable[[Path], None]]:
    """Return the store's two methods."""
    from refine_af.storage.schemes import open_store

    uri = f"{kind}://{BUCKET}/ours"
    store = open_store(uri)
    return (
        lambda path: (store.publish(uri, path), None)[1],
        lambda path: (store.download(uri, path), None)[1],
    )


def seconds(call: Callable[[Path], None], path: Path) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    call(path)
    return time.perf_counter() - started


def grown(kind: str, source: Path, target: Path) -> float:
    """Return by how many MiB our transfers raise the peak memory of a fresh process."""
    put, get = ours(kind)
    put(Path(__file__))
    before = peak_kib(reset=True)
    put(source)
    get(target)
    return (peak_kib() - before) / 1024


def peak_kib(*, reset: bool = False) -> int:
    """Return the peak of this process's resident memory (Linux), since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def main() -> int:
    """Measure and print one line per direction."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kind", choices=("s3", "gs", "both"), default="both")
    options = parser.parse_args()
    kinds = ("s3", "gs") if options.kind == "both" else (options.kind,)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        source, target = place / "source", place / "target"
        with source.open("wb") as sink:
            for _ in range(options.megabytes):
                sink.write(os.urandom(1_000_000))
        for kind in kinds:
            with server(kind, place):
                report(kind, source, target, options.rounds)
    return 0


def report(kind: str, source: Path, target: Path, rounds: int) -> None:
    """Print seconds, ratio and memory of one kind of store."""
    theirs, mine = bare(kind), ours(kind)
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        pairs = [("bare", theirs), ("ours", mine)]
        for name, (put, get) in pairs if number % 2 == 0 else reversed(pairs):
            found.setdefault(f"{name} put", []).append(seconds(put, source))
            target.unlink(missing_ok=True)
            found.setdefault(f"{name} get", []).append(seconds(get, target))
            assert target.stat().st_size == source.stat().st_size
    size = source.stat().st_size / 1e6
    for way in ("put", "get"):
        us, them = min(found[f"ours {way}"]), min(found[f"bare {way}"])
        print(f"{kind} {way} {size:.0f} MB: {us:.1f} s, bare {them:.1f} s, ratio {us / them:.2f}")
    with get_context("spawn").Pool(1) as pool:
        print(f"{kind} memory: +{pool.apply(grown, (kind, source, target)):.0f} MiB")


if __name__ == "__main__":
    sys.exit(main())
