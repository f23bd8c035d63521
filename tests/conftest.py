"""Servers that the storage tests talk to: S3 (moto) and Cloud Storage (an emulator)."""

import os

# Read when torch is imported, here and in what tests start: tests run side by side, and threads
# that wait for a core which another test holds cost ten times what they save on tiny models.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A test of an outage waits seconds, not the minutes of a cluster.
os.environ.setdefault("REFINE_AF_RETRY_SECONDS", "20")

import http.client
import socket
import uuid
from collections.abc import Iterator

import pytest
from servers import BUCKET, Faults, FaultyProxy

SERVER_VARIABLES = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture(scope="module")
def threads_of_a_container() -> Iterator[None]:
    """Let what the tests start use every core, as a container does: sums depend on the number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OMP_NUM_THREADS")
        yield


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def moto_address() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.request("PUT", f"/{BUCKET}")
    assert connection.getresponse().status == 200
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def emulator_address() -> Iterator[str]:
    from gcp_storage_emulator.server import create_server

    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def s3_faults(moto_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """Point s3:// at the server through a proxy, and return the proxy's faults (none yet)."""
    with FaultyProxy(moto_address) as proxy:
        for name, value in SERVER_VARIABLES.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy.faults


@pytest.fixture
def gs_faults(emulator_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """Point gs:// at the emulator through a proxy that honours ifGenerationMatch as Google does."""
    with FaultyProxy(emulator_address, enforce_generations=True) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        yield proxy.faults


@pytest.fixture
def s3_root(moto_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a fresh s3:// prefix, spoken to directly."""
    for name, value in SERVER_VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{moto_address}")
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture
def gs_root(gs_faults: Faults) -> str:
    """Return a fresh gs:// prefix behind the proxy that enforces generation preconditions."""
    return f"gs://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(params=["local", "s3", "gs"])
def root(request: pytest.FixtureRequest) -> str:
    """Return a fresh place in each kind of store."""
    if request.param == "local":
        return str(request.getfixturevalue("tmp_path") / "store")
    return str(request.getfixturevalue(f"{request.param}_root"))
