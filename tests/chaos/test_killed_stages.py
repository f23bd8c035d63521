"""Stages killed at every publish boundary and at random moments end with the same bytes.

``REFINE_AF_CHAOS_SECONDS`` bounds the time, counted from the start of this module: one boundary of
every stage is tried whatever it takes, others and random points until it is over
(``make chaos-short``). Without it every boundary of every stage and 100 random points are tried
(``make chaos``). ``REFINE_AF_CHAOS_SEED`` draws other moments.
"""

import os
import random
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from small_stages import KillServer, SmallStage, small_stages

from refine_af.stages import STAGES
from refine_af.storage.manifest import digest_path

pytestmark = pytest.mark.chaos

BUCKET = "bucket-of-tests"
RANDOM_POINTS = 100
SEED = int(os.environ.get("REFINE_AF_CHAOS_SEED", "17"))
START = time.monotonic()
SECONDS = float(os.environ.get("REFINE_AF_CHAOS_SECONDS", "inf"))
S3 = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KillServer]:
    found = KillServer(tmp_path_factory.mktemp("server"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> list[SmallStage]:
    return small_stages(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def faulty_s3() -> Iterator[dict[str, str]]:
    """An S3 server behind a proxy that fails 5 % of all requests, in five ways."""
    import http.client
    import sys

    sys.path.insert(0, str(Path(__file__).parent.parent / "storage"))
    from servers import FaultyProxy

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    address = "{}:{}".format(*moto.get_host_and_port())
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("PUT", f"/{BUCKET}")
    assert connection.getresponse().status == 200
    with FaultyProxy(address) as proxy:
        proxy.faults.share = 0.05
        yield S3 | {"AWS_ENDPOINT_URL": proxy.url}
        assert proxy.faults.log
    moto.stop()


def digests(output: Path) -> dict[str, str]:
    return {
        path.name: digest_path(path)
        for path in sorted(output.iterdir())
        if path.name != "telemetry" and not path.name.startswith(".")
    }


@pytest.fixture(scope="module")
def whole(
    server: KillServer, stages: list[SmallStage], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[dict[str, str], int, float]]:
    """What an uninterrupted run of each stage leaves, its publications and its seconds."""
    found = {}
    for small in stages:
        folder = tmp_path_factory.mktemp(small.stage)
        ended = server.run(small, str(folder / "work"), folder / "out", {})
        assert ended["code"] == 0, server.log()
        found[small.stage] = (digests(folder / "out"), server.published(), ended["seconds"])
    return found


def finish(
    server: KillServer, small: SmallStage, work: str, output: Path, environment: dict[str, str]
) -> dict[str, str]:
    """Run to the end, as a retry would; an outage of the server may need another retry."""
    for _ in range(3):
        ended = server.run(small, work, output, environment)
        if ended["code"] == 0:
            return digests(output)
    pytest.fail(f"{small.stage} does not finish: {server.log()}")


def test_no_stage_is_left_out(stages: list[SmallStage]) -> None:
    assert sorted(small.stage for small in stages) == sorted(stage.name for stage in STAGES)


def one_of_each_first(points: list[tuple[SmallStage, int]]) -> list[tuple[SmallStage, int]]:
    """Return the points shuffled, those first that are the first of their stage."""
    random.Random(SEED).shuffle(points)
    first = {small.stage: (small, boundary) for small, boundary in reversed(points)}
    return [*first.values(), *(one for one in points if one != first[one[0].stage])]


def test_killed_at_every_publish_boundary(
    server: KillServer,
    stages: list[SmallStage],
    whole: dict[str, tuple[dict[str, str], int, float]],
    tmp_path: Path,
) -> None:
    points = one_of_each_first(
        [(small, n) for small in stages for n in range(1, whole[small.stage][1] + 1)]
    )
    tried = 0
    for small, boundary in points:
        if tried >= len(stages) and time.monotonic() > START + SECONDS * 2 / 3:
            break
        folder = tmp_path / f"{small.stage}-{boundary}"
        ended = server.run(small, str(folder / "work"), folder / "out", {}, kill_after=boundary)
        assert ended["code"] == -9, server.log()
        found = finish(server, small, str(folder / "work"), folder / "out", {})
        assert found == whole[small.stage][0], f"{small.stage} killed after {boundary}"
        tried += 1
    print(f"{tried} of {len(points)} publish boundaries of {len(stages)} stages")


def test_killed_at_random_moments_on_disk_and_on_a_failing_server(
    server: KillServer,
    stages: list[SmallStage],
    whole: dict[str, tuple[dict[str, str], int, float]],
    faulty_s3: dict[str, str],
    tmp_path: Path,
) -> None:
    draw = random.Random(SEED)
    order = random.Random(SEED).sample(stages, len(stages))
    tried, killed = 0, 0
    for number in range(RANDOM_POINTS):
        if tried and time.monotonic() > START + SECONDS:
            break
        small = order[number % len(stages)]
        expected, _, seconds = whole[small.stage]
        remote = draw.random() < 0.5
        environment = faulty_s3 if remote else {}
        output = tmp_path / f"{number}"
        work = f"s3://{BUCKET}/{uuid.uuid4().hex}" if remote else str(output / "work")
        kills = draw.randint(1, 3)
        for _ in range(kills):
            moment = draw.uniform(0, seconds)
            ended = server.run(small, work, output / "out", environment, kill_at=moment)
            killed += ended["code"] == -9
        found = finish(server, small, work, output / "out", environment)
        assert found == expected, f"{small.stage}, point {number}"
        tried += 1
    print(f"{tried} of {RANDOM_POINTS} random points, {killed} kills")
