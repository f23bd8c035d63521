"""A killed stage asks an endpoint again for some seconds' requests at most, and loses no row."""

import contextlib
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from small_stages import KillServer, SmallStage

from refine_af.calls.journalled import STEP
from refine_af.contracts.jsonl import read_rows, write_rows
from refine_af.contracts.records import Instance, Instruction

pytestmark = pytest.mark.chaos
ROWS = 1000
KILLS = 3
KILL_SECONDS = 3.0
"""After the start: the stage then waits for the endpoint, or is still on its way there."""


class Endpoint:
    """An OpenAI-compatible endpoint that answers by the seed and counts what it is asked.

    With ``limit`` it leaves every further request waiting, so that a kill finds the stage at work
    on a machine of any speed.
    """

    def __init__(self) -> None:
        self.asked: Counter[int] = Counter()
        self.limit = float("inf")
        self.released = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.asked[body["seed"]] += 1
                if endpoint.asked.total() > endpoint.limit:
                    endpoint.released.wait()
                text = f"Input: {body['seed']}\nOutput: answer {body['seed'] % 97}"
                choice = {"text": text, "finish_reason": "stop"}
                raw = json.dumps({"choices": [choice]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def handle(self) -> None:
                with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                    super().handle()  # a killed client hangs up

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        """End the server."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    found = Endpoint()
    yield found
    found.close()


def test_calls_repeated_after_kills(tmp_path: Path, endpoint: Endpoint) -> None:
    rows = [Instruction.make(f"Write line number {n} now.", (), n, 0, 0) for n in range(ROWS)]
    write_rows(tmp_path / "instructions", rows)
    params = {"engine": "openai", "model": "any", "base_url": endpoint.url, "style": "plain"}
    small = SmallStage(
        "generate_instances",
        params | {"split": "none"},
        {"instructions": str(tmp_path / "instructions")},
    )
    server = KillServer(tmp_path)
    try:
        whole = server.run(small, str(tmp_path / "work0"), tmp_path / "whole", {})
        assert whole["code"] == 0, server.log()
        assert endpoint.asked.total() == ROWS
        endpoint.asked.clear()
        draw = random.Random(3)
        for _ in range(KILLS):
            endpoint.limit = endpoint.asked.total() + draw.uniform(0.2, 0.4) * ROWS
            ended = server.run(
                small, str(tmp_path / "work"), tmp_path / "out", {}, kill_at=KILL_SECONDS
            )
            assert ended["code"] == -9, server.log()
        endpoint.limit = float("inf")
        assert server.run(small, str(tmp_path / "work"), tmp_path / "out", {})["code"] == 0
    finally:
        server.close()
    repeated = endpoint.asked.total() - ROWS
    print(f"{KILLS} kills, {repeated} of {ROWS} calls repeated")
    assert len(endpoint.asked) == ROWS
    assert repeated <= STEP * KILLS
    for name in ("instances", "rejected", "calls", "metrics", "provenance"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    found = read_rows(tmp_path / "out" / "instances", Instance)
    assert [row.parents[0] for row in found] == [row.id for row in rows]
