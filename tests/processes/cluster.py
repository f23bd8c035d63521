"""An API server of Kubernetes for TrainJobs, which runs a job as processes of this machine.

It refuses what the definitions of Trainer 2.3 do not allow. A node of a job is a process with the
job's command and the variables that Kubeflow's torch policy sets. No scheduler, no images.
"""

import contextlib
import datetime
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from crds import problems
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from refine_af.processes import kubernetes, launch

Object = dict[str, Any]
BEARER = "token-of-tests"
ROOT = f"/apis/{kubernetes.GROUP}"
JOBS = f"{ROOT}/namespaces/team/trainjobs"


class Cluster(ThreadingHTTPServer):
    """What the tests see and set of the server."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.installed = True
        self.allowed = True
        self.jobs: dict[str, _Job] = {}
        self.created: list[Object] = []
        self.deleted: list[str] = []

    def create(self, body: Object) -> tuple[int, Object]:
        """Start a job, if its definition allows it."""
        name = body["metadata"]["name"]
        if refused := problems(body, "trainer") if "REFINE_AF_TEST_DATA" in os.environ else []:
            return 422, {"kind": "Status", "message": "; ".join(refused)}
        if name in self.jobs:
            return 409, {"kind": "Status", "message": "already exists"}
        self.created.append(body)
        self.jobs[name] = _Job(body)
        return 201, body


class _Job:
    """The processes of one job; a node that fails ends the others."""

    def __init__(self, body: Object) -> None:
        trainer = body["spec"]["trainer"]
        self.body = body
        port = _free_port()
        self.nodes = [_start(trainer, number, port) for number in range(trainer["numNodes"])]
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        waiting = list(self.nodes)
        while waiting:
            for node in list(waiting):
                try:
                    code = node.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
                waiting.remove(node)
                if code:
                    self.end()

    def end(self) -> None:
        """Kill every process of the job."""
        for number in range(len(self.nodes)):
            self.kill(number)

    def kill(self, number: int) -> None:
        """Kill the processes of one node; torchrun's ranks have sessions of their own."""
        try:
            top = psutil.Process(self.nodes[number].pid)
            processes = [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def shown(self) -> Object:
        """Return the object with its status."""
        codes = [node.poll() for node in self.nodes]
        status: Object = {
            "jobsStatus": [
                {
                    "name": "node",
                    "ready": codes.count(None),
                    "active": codes.count(None),
                    "succeeded": codes.count(0),
                    "failed": len([code for code in codes if code]),
                    "suspended": 0,
                }
            ]
        }
        if None not in codes:
            kind = "Failed" if any(codes) else "Complete"
            now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            about = {"reason": f"Jobs{kind}", "message": f"codes {codes}"}
            condition = {"type": kind, "status": "True", "lastTransitionTime": now, **about}
            status["conditions"] = [condition]
        return self.body | {"status": status}


def _start(trainer: Object, number: int, port: int) -> "subprocess.Popen[bytes]":
    hidden = ("KUBERNETES_SERVICE_HOST", launch.TEMPLATE_VARIABLE)
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {item["name"]: item["value"] for item in trainer["env"] if "value" in item}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
        "PET_NNODES": str(trainer["numNodes"]),
        "PET_NPROC_PER_NODE": str(trainer["numProcPerNode"]),
        "PET_NODE_RANK": str(number),
        "PET_MASTER_ADDR": "127.0.0.1",
        "PET_MASTER_PORT": str(port),
    }
    command = [*trainer["command"], *trainer["args"]]
    return subprocess.Popen(command, env=environment, start_new_session=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Handler(BaseHTTPRequestHandler):
    server: Cluster

    def do_GET(self) -> None:
        name = self.path.removeprefix(f"{JOBS}/")
        if self.path == ROOT:
            kinds = [{"name": "trainjobs", "kind": "TrainJob", "namespaced": True}]
            if self.server.installed:
                self._answer(200, {"kind": "APIResourceList", "resources": kinds})
            else:
                self._answer(404, "404 page not found")
        elif name in self.server.jobs:
            self._answer(200, self.server.jobs[name].shown())
        else:
            self._answer(404, {"kind": "Status", "message": f"trainjobs {name} not found"})

    def do_POST(self) -> None:
        assert self.path == JOBS
        self._answer(*self.server.create(self._body()))

    def do_DELETE(self) -> None:
        name = self.path.removeprefix(f"{JOBS}/")
        assert self._body() == {"propagationPolicy": "Foreground"}
        job = self.server.jobs.pop(name, None)
        if job is None:
            self._answer(404, {"kind": "Status", "message": "not found"})
            return
        job.end()
        self.server.deleted.append(name)
        self._answer(200, {"kind": "Status", "status": "Success"})

    def _body(self) -> Object:
        body: Object = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return body

    def _answer(self, status: int, value: Object | str) -> None:
        if self.headers["Authorization"] != f"Bearer {BEARER}" or not self.server.allowed:
            status, value = 403, {"kind": "Status", "message": "trainjobs is forbidden"}
        data = (value if isinstance(value, str) else json.dumps(value)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def running(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Serve over TLS, and make this process one of a pod with a service account."""
    folder.mkdir()
    key, certificate = _certificate()
    (folder / "key").write_bytes(key)
    (folder / "ca.crt").write_bytes(certificate)
    (folder / "token").write_text(BEARER)
    (folder / "namespace").write_text("team")
    with Cluster() as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "ca.crt", folder / "key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(kubernetes, "SERVICE_ACCOUNT", folder)
        monkeypatch.setattr(launch, "POLL_SECONDS", 0.2)
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.server_port))
        yield server
        for job in server.jobs.values():
            job.end()
        server.shutdown()


def _certificate() -> tuple[bytes, bytes]:
    """Return a key and a certificate of 127.0.0.1 that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=12))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    encoding = serialization.Encoding.PEM
    return key.private_bytes(encoding, form, plain), certificate.public_bytes(encoding)
