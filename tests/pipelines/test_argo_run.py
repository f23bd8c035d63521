"""The compiled Argo files executed: the same bytes as KFP's local run, through S3 and GCS."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from argo_machines import Processes
from argo_own import ROWS, filtered_by_a_stage
from argo_repository import GcsRepository, Repository, S3Repository
from argo_run import load, try_again
from argo_smoke import compile_smoke, digests_of, execute, fetched, run_by_kfp
from servers import BUCKET

from refine_af import __version__
from refine_af.pipelines.compiling import compile_request
from refine_af.pipelines.config import load_config
from refine_af.pipelines.flow import Images


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


def test_the_compiled_file_runs_in_groups_by_kfp(tmp_path: Path) -> None:
    """As a backend reads it: nested, merged and pruned.

    The local runner names a task's folder by its component, which the tasks of both arms share in
    this file, so that what they wrote cannot be told apart here.
    """
    made = compile_request(load_config("smoke", ""), "cpu", Images("", __version__))
    made.write_ir(tmp_path / "smoke.yaml")
    code = (
        "import sys; from kfp import components, local\n"
        "local.init(local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[2])\n"
        "components.load_component_from_file(sys.argv[1])()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "smoke.yaml"), str(tmp_path / "root")],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    (root,) = (tmp_path / "root").iterdir()
    assert (root / "report" / "result").is_file()


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
