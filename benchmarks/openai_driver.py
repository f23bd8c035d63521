"""Rows per second of the openai engine against a bare aiohttp loop; the server answers at once.

    python benchmarks/openai_driver.py [--rows 4000] [--repeats 7] [--concurrency 64] \
        [--distilabel PYTHON] [--against CHECKOUT]

The server is a process of its own on the loopback. Both sides send the same bytes to the same
server with the same concurrency, alternating; the bare loop reads the answers, parses the JSON
and keeps the text, and does nothing else. Printed: the median rate of each, the median of the
pairwise ratios, and the time to the first row of the engine in a fresh process. PYTHON is the
interpreter of an environment that has ``distilabel[openai]``: its ``OpenAILLM`` then asks for a
tenth of the rows in batches of the same size after each repeat, without its pipeline, which would
only add to its time. With CHECKOUT, only the engine's processor time for a row is printed, ours and
that of the other checkout, in processes of their own that take turns.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
from aiohttp import web

from refine_af.engines.openai_protocol import Dialect, payload
from refine_af.engines.openai_text import OpenAIText
from refine_af.engines.text import Request, Sampling

PROMPT = "Below is a varied list of tasks.\n" + "1. Count the words in a sentence.\n" * 20
SAMPLING = Sampling(max_tokens=64, temperature=0.7, stop=("\n\n",))
TEXT = " Sort the words by length.\n10. Name three rivers of Asia.\n11. Translate the sentence." * 3
FIRST_ROW = """
import sys, time
from refine_af.engines.openai_text import OpenAIText
from refine_af.engines.text import Request, Sampling
started = time.perf_counter()
OpenAIText("m", base_url=sys.argv[1]).generate([Request("1", "x", 1)], Sampling())
print(time.perf_counter() - started)
"""

DISTILABEL = """
import sys, time
from distilabel.models import OpenAILLM
url, rows, size, prompt = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
model = OpenAILLM(model="m", base_url=url, api_key="none")
model.load()
asked = [[{"role": "user", "content": f"{prompt}{place}"}] for place in range(rows)]
def run(inputs):
    for start in range(0, len(inputs), size):
        done = model.generate_outputs(inputs[start:start + size], max_new_tokens=64)
        assert all(one["generations"][0] for one in done)
run(asked[:size])
started = time.perf_counter(), time.process_time()
run(asked)
print(rows / (time.perf_counter() - started[0]), rows / (time.process_time() - started[1]))
"""

ENGINE_TIME = """
import sys, time
sys.path.insert(0, sys.argv[1])
from refine_af.engines.openai_text import OpenAIText
from refine_af.engines.text import Request, Sampling
url, rows, concurrency, prompt = sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
sampling = Sampling(max_tokens=64, temperature=0.7, stop=("\\n\\n",))
requests = [Request(str(place), f"{prompt}{place}", place) for place in range(rows)]
engine = OpenAIText("m", base_url=url, concurrency=concurrency)
engine.generate(requests[:200], sampling)
best = float("inf")
for _ in range(3):
    started = time.process_time()
    engine.generate(requests, sampling)
    best = min(best, (time.process_time() - started) / rows * 1e6)
print(best)
"""


def serve(pipe: Connection) -> None:
    """Answer every request with the same completion; send the port through ``pipe``."""
    usage = {"prompt_tokens": 200, "completion_tokens": 60}
    body = json.dumps(
        {"choices": [{"text": TEXT, "finish_reason": "stop"}], "usage": usage}
    ).encode()
    message = {"role": "assistant", "content": TEXT}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    facts = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
    chat_body = json.dumps(facts | {"choices": [choice], "usage": usage}).encode()

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        given = chat_body if request.path.endswith("chat/completions") else body
        return web.Response(body=given, content_type="application/json")

    async def start() -> None:
        app = web.Application()
        app.router.add_post("/v1/completions", answer)
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(start())


async def bare(url: str, bodies: list[bytes], concurrency: int) -> list[str]:
    """Send and read, as short as it can be written."""
    found = [""] * len(bodies)
    places = iter(range(len(bodies)))
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def work() -> None:
            for place in places:
                async with session.post(f"{url}/completions", data=bodies[place]) as response:
                    found[place] = json.loads(await response.read())["choices"][0]["text"]

        await asyncio.gather(*(work() for _ in range(concurrency)))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--distilabel", help="interpreter that has distilabel[openai]")
    parser.add_argument("--against", type=Path, help="another checkout")
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ours.recv()}/v1"
    try:
        if options.against:
            compare(url, options.rows, options.repeats, options.concurrency, options.against)
            return
        measure(url, options.rows, options.repeats, options.concurrency, options.distilabel)
    finally:
        server.terminate()


def peer(python: str, url: str, rows: int, concurrency: int, prompt: str) -> tuple[float, float]:
    """Return distilabel's rows per second of wall and of CPU time."""
    found = subprocess.run(
        [python, "-W", "ignore", "-c", DISTILABEL, url, str(rows), str(concurrency), prompt],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ""},
        text=True,
    )
    wall, cpu = map(float, found.stdout.split()[-2:])
    return wall, cpu


def compare(url: str, rows: int, repeats: int, concurrency: int, against: Path) -> None:
    """Print the microseconds of processor time that the engine takes for a row."""
    sides = [Path(__file__).resolve().parent.parent, against.resolve()]
    times: list[list[float]] = [[], []]
    for repeat in range(repeats):
        for side in (0, 1) if repeat % 2 else (1, 0):
            command = [sys.executable, "-c", ENGINE_TIME, str(sides[side]), url, str(rows)]
            found = subprocess.check_output([*command, str(concurrency), PROMPT], cwd=sides[side])
            times[side].append(float(found))
    ratio = statistics.median(ours / theirs for ours, theirs in zip(*times, strict=True))
    ours, theirs = map(statistics.median, times)
    print(f"microseconds a row {ours:.1f}, {theirs:.1f} there; median of ratios {ratio:.2f}")


def measure(url: str, rows: int, repeats: int, concurrency: int, distilabel: str | None) -> None:
    """Run the loops in turn and print the medians."""
    requests = [Request(str(place), f"{PROMPT}{place}", place) for place in range(rows)]
    dialect = Dialect()
    bodies = [
        json.dumps(payload("m", request, SAMPLING, False, dialect)).encode() for request in requests
    ]
    engine = OpenAIText("m", base_url=url, concurrency=concurrency)
    engine.generate(requests[:200], SAMPLING)
    rates: dict[str, list[float]] = {"bare": [], "engine": []}
    peers: list[tuple[float, float]] = []
    cpu_rates: list[float] = []
    for _ in range(repeats):
        started = time.perf_counter()
        texts = asyncio.run(bare(url, bodies, concurrency))
        rates["bare"].append(rows / (time.perf_counter() - started))
        started, started_cpu = time.perf_counter(), time.process_time()
        found = engine.generate(requests, SAMPLING)
        rates["engine"].append(rows / (time.perf_counter() - started))
        cpu_rates.append(rows / (time.process_time() - started_cpu))
        assert [one.text for one in found] == texts
        if distilabel:
            peers.append(peer(distilabel, url, rows // 10, concurrency, PROMPT))
    ratios = [ours / bare for ours, bare in zip(rates["engine"], rates["bare"], strict=True)]
    first = [
        float(subprocess.check_output([sys.executable, "-c", FIRST_ROW, url])) for _ in range(5)
    ]
    print(f"bare aiohttp loop  {statistics.median(rates['bare']):8.0f} rows/s")
    print(f"openai engine      {statistics.median(rates['engine']):8.0f} rows/s")
    print(f"ratio              {statistics.median(ratios):8.2f} (bar: at least 0.60)")
    if peers:
        wall, cpu = (statistics.median(column) for column in zip(*peers, strict=True))
        pairs = zip(rates["engine"], peers, strict=True)
        ratio = statistics.median(ours / theirs for ours, (theirs, _) in pairs)
        cpu_pairs = zip(cpu_rates, peers, strict=True)
        cpu_ratio = statistics.median(ours / theirs for ours, (_, theirs) in cpu_pairs)
        print(f"distilabel         {wall:8.0f} rows/s, {cpu:.0f} of CPU time")
        print(f"engine/distilabel  {ratio:8.1f} (bar: at least 10), CPU time {cpu_ratio:.1f}")
    print(f"first row after    {statistics.median(first):8.3f} s (bar: under 0.5 s)")


if __name__ == "__main__":
    main()
