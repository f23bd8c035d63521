"""The compiled Argo files executed: the same bytes as KFP's local run, through S3 and GCS."""

from pathlib import Path

import pytest
from argo_machines import Processes
from argo_own import ROWS, filtered_by_a_stage
from argo_repository import GcsRepository, Repository, S3Repository
from argo_run import load, try_again
from argo_smoke import compile_smoke, digests_of, execute, fetched, run_by_kfp
from servers import BUCKET


@pytest.fixture(scope="module")
def kfp_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the artifacts of the preset smoke from KFP's local runner."""
    return run_by_kfp(tmp_path_factory.mktemp("kfp"))


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


def test_a_stage_in_a_workflow_of_ones_own(tmp_path: Path, s3_root: str) -> None:
    kept = filtered_by_a_stage(S3Repository(BUCKET), Processes(), tmp_path)
    assert kept == [ROWS[0], ROWS[2]]
