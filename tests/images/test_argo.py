"""Argo's templates executed in the stages' images, artifacts moved through S3 and GCS servers."""

from pathlib import Path

import pytest
from argo_machines import Docker
from argo_own import ROWS, filtered_by_a_stage
from argo_repository import GcsRepository, Repository, S3Repository
from argo_smoke import REGISTRY, digests_of, execute, fetched, run_by_kfp
from docker_engine import built_images, docker
from servers import BUCKET

from refine_af import __version__

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("threads_of_a_container")]


@pytest.fixture(scope="module")
def kfp_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the artifacts of the preset smoke from KFP's local runner, without Docker."""
    return run_by_kfp(tmp_path_factory.mktemp("kfp"))


@pytest.fixture(scope="module")
def images() -> None:
    """Give the built images the names that they have in a registry."""
    for name in built_images():
        docker("tag", f"{name}:{__version__}", f"{REGISTRY}/{name}:{__version__}")


@pytest.mark.parametrize("kind", ["s3", "gs"])
def test_same_bytes_as_kfp_in_the_stages_images(
    images: None, kind: str, kfp_run: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(f"{kind}_root")
    repository: Repository = S3Repository(BUCKET) if kind == "s3" else GcsRepository(BUCKET)
    name = f"refine-af-smoke-docker-{kind}"
    done = execute(repository, Docker(), tmp_path, name)
    assert not done.failed, (tmp_path / "pods" / done.failed / "0" / "log").read_text()
    assert len(done.attempts) == 15
    assert fetched(repository, done, name, tmp_path / "got") == digests_of(kfp_run)


@pytest.mark.short
@pytest.mark.parametrize("kind", ["s3", "gs"])
def test_a_stage_in_a_workflow_of_ones_own_in_its_image(
    images: None, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(f"{kind}_root")
    repository: Repository = S3Repository(BUCKET) if kind == "s3" else GcsRepository(BUCKET)
    assert filtered_by_a_stage(repository, Docker(), tmp_path) == [ROWS[0], ROWS[2]]
