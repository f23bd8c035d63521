"""The compiled Argo files executed: the same bytes as KFP's local run, through S3 and GCS."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from argo_machines import Docker, Processes
from argo_repository import GcsRepository, Repository, S3Repository
from argo_run import Cluster, Execution, Machine, load, try_again
from servers import BUCKET

from pipelines.argo import write_argo
from pipelines.compiling import compile_request
from pipelines.config import load_config
from pipelines.flow import Images

REGISTRY = "registry.example/team"


@pytest.fixture(scope="module")
def kfp_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the artifacts of the preset smoke from KFP's local runner."""
    folder = tmp_path_factory.mktemp("kfp")
    command = [sys.executable, "-m", "refine_af", "run", "--preset", "smoke"]
    done = subprocess.run(
        [*command, "--output-dir", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "artifacts"


def compile_smoke(folder: Path, *assignments: str) -> list[Path]:
    config = load_config("smoke", "").with_values(assignments)
    write_argo(compile_request(config, "cpu", Images("", "0.1.0")), folder, "refine-af-smoke")
    return [folder / "templates.yaml", folder / "workflow.yaml"]


def execute(
    repository: Repository, machine: Machine, folder: Path, name: str, *assignments: str
) -> Execution:
    templates, submitted = compile_smoke(folder / "yaml", *assignments)
    cluster = Cluster(load(templates), repository, machine, folder / "pods")
    (workflow,) = load(submitted)
    return cluster.submit(workflow, name, {"registry": REGISTRY})


def digests_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "telemetry"
    }


def fetched(repository: Repository, done: Execution, name: str, folder: Path) -> dict[str, str]:
    """Return the digest of every artifact of a run, and of every value handed on."""
    for task, artifacts in done.keys.items():
        for artifact, key in artifacts.items():
            start, _, own = key.rpartition(f"/{artifact}")[0].rpartition("/")
            assert start == f"refine-af/{name}"
            repository.get(key, folder / own / artifact)
        for output, value in done.parameters.get(task, {}).items():
            (folder / own / output).write_text(value, encoding="utf-8")
    return digests_of(folder)


@pytest.mark.parametrize("kind", ["s3", "gs"])
def test_same_bytes_as_kfp_by_processes(
    kind: str, kfp_run: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(f"{kind}_root")
    repository: Repository = S3Repository(BUCKET) if kind == "s3" else GcsRepository(BUCKET)
    name = f"refine-af-smoke-{kind}"
    done = execute(repository, Processes(), tmp_path, name)
    assert not done.failed, (tmp_path / "pods" / done.failed / "0" / "log").read_text()
    assert len(done.attempts) == 15
    assert fetched(repository, done, name, tmp_path / "got") == digests_of(kfp_run)


@pytest.mark.docker
@pytest.mark.parametrize("kind", ["s3", "gs"])
def test_same_bytes_as_kfp_in_the_stages_images(
    kind: str, kfp_run: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not shutil.which("docker"):
        pytest.skip("no docker command")
    request.getfixturevalue(f"{kind}_root")
    repository: Repository = S3Repository(BUCKET) if kind == "s3" else GcsRepository(BUCKET)
    name = f"refine-af-smoke-docker-{kind}"
    threads = os.environ.get("OMP_NUM_THREADS")
    options = ("-e", f"OMP_NUM_THREADS={threads}") if threads else ()
    done = execute(repository, Docker(options), tmp_path, name)
    assert not done.failed, (tmp_path / "pods" / done.failed / "0" / "log").read_text()
    assert fetched(repository, done, name, tmp_path / "got") == digests_of(kfp_run)


@pytest.mark.parametrize(("code", "again"), [(0, True), (1, True), (69, True), (64, False)])
def test_mistakes_are_not_tried_again(code: int, again: bool, tmp_path: Path) -> None:
    for template in load(compile_smoke(tmp_path)[0])[:-1]:
        (only,) = template["spec"]["templates"]
        assert try_again(only["retryStrategy"], code) is again
        assert try_again(only["retryStrategy"], 65) is False


def test_a_wrong_value_ends_the_workflow_at_its_task_with_its_code(
    tmp_path: Path, s3_root: str
) -> None:
    repository = S3Repository(BUCKET)
    done = execute(repository, Processes(), tmp_path, "wrong", "seeds_uri=/no/such/seeds.jsonl")
    assert done.failed == "check-inputs"
    assert done.attempts == {"check-inputs": [65]}
    assert repository.keys("refine-af/wrong/") == []
    assert "/no/such/seeds.jsonl" in (tmp_path / "pods/check-inputs/0/log").read_text()


def test_a_work_dir_that_cannot_be_written_is_found_by_the_first_task(
    tmp_path: Path, s3_root: str
) -> None:
    repository = S3Repository(BUCKET)
    done = execute(repository, Processes(), tmp_path, "outage", "work_dir=s3://no-such-bucket/work")
    assert done.failed == "check-inputs"
    assert done.attempts == {"check-inputs": [69, 69, 69]}
    assert "no-such-bucket" in (tmp_path / "pods/check-inputs/0/log").read_text()
