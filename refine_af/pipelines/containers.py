"""Runs tasks locally in the images of a cluster, through KFP's Docker runner.

Each task runs as on Kubernetes: read-only root file system, a writable ``/tmp``, no new privileges.
Differences: it runs as the person who started it, so that the files are theirs, and it sees the
run's folder, which holds the journals and the progress file, under the path it has outside.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kfp import local

from refine_af.contracts.errors import DependencyError, MissingLibraryError
from refine_af.contracts.progress import EVENTS_VARIABLE
from refine_af.pipelines.config import RunConfig
from refine_af.pipelines.flow import Images
from refine_af.processes.together import LOCK
from refine_af.runner import find_stage

LABEL = "refine-af.run"
"""Label of every container of a run; its value is the run's folder."""

CACHE = "/tmp/huggingface"  # noqa: S108  HF_HOME of the images
TEMPORARY = "rw,exec,nosuid,nodev,mode=1777"  # Docker's default forbids torch to load what it built

PASSED_ON = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"),
    *("AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "GOOGLE_CLOUD_PROJECT", "STORAGE_EMULATOR_HOST"),
    *("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "OMP_NUM_THREADS", "OMP_WAIT_POLICY"),
    *("REFINE_AF_RESUME", "REFINE_AF_STARTED", EVENTS_VARIABLE, LOCK),
)
"""Variables that a stage reads and that mean the same inside; none holds a path but the last."""


def connect() -> Any:  # noqa: ANN401  the Docker client is untyped
    """Return a client of the Docker engine that ``DOCKER_HOST`` or the default socket names."""
    try:
        import docker
    except ImportError:
        raise MissingLibraryError(
            "--runner docker: the Docker client is not installed; pip install 'docker>=7'"
        ) from None
    try:
        client = docker.from_env()
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        raise DependencyError(
            f"--runner docker: no Docker engine answers ({error}); start it or set DOCKER_HOST"
        ) from None
    return client


def check_images(images: Images, stages: Iterable[str]) -> None:
    """Refuse to start when an image is missing that no registry is known for.

    Without a registry in its name Docker would ask the public one, where the name may be anyone's.

    Raises:
        DependencyError: Naming the missing images.
    """
    client = connect()
    wanted = {images.reference(find_stage(name)) for name in stages}
    missing = wanted - {tag for image in client.images.list() for tag in image.tags}
    client.close()
    if missing and not images.registry:
        raise DependencyError(
            f"--runner docker: {', '.join(sorted(missing))} not on this machine; `make images`"
            " builds them, or name the registry that has them with --registry"
        )


def runner(output: Path, config: RunConfig) -> local.DockerRunner:
    """Return KFP's Docker runner for a run whose files are in ``output``."""
    temporary = temporary_folder(output)
    temporary.mkdir(exist_ok=True)
    environment = {name: os.environ[name] for name in passed_on(config) if name in os.environ}
    return local.DockerRunner(
        environment=environment | {"TMPDIR": str(temporary)},
        labels={LABEL: str(output)},
        mounts=list(mounts(output, config)),
        read_only=True,
        security_opt=["no-new-privileges"],
        shm_size="1g",
        tmpfs={"/tmp": TEMPORARY},  # noqa: S108
        user=f"{os.getuid()}:{os.getgid()}",
    )


def temporary_folder(output: Path) -> Path:
    """Return the folder for tasks' staged files: on disk, because ``/tmp`` is in memory here."""
    return output / "tmp"


def passed_on(config: RunConfig) -> tuple[str, ...]:
    """Return the variables that tasks get, those that hold an API key included."""
    keys = {str(values.get("api_key_variable", "")) for values in config.stages.values()}
    return (*PASSED_ON, *sorted(keys - {""}))


def mounts(output: Path, config: RunConfig) -> Iterator[Mapping[str, Any]]:
    """Yield the run's folder, local inputs and the cache of models as Docker mounts."""
    from docker.types import Mount

    yield Mount(str(output), str(output), type="bind")
    for path in sorted(local_inputs(config)):
        if not path.is_relative_to(output):
            yield Mount(str(path), str(path), type="bind", read_only=True)
    cache = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    if cache.is_dir():
        yield Mount(CACHE, str(cache), type="bind")


def local_inputs(config: RunConfig) -> set[Path]:
    """Return the existing absolute paths among a configuration's values."""
    values = [*config.parameters.values()]
    values += [value for stage in config.stages.values() for value in stage.values()]
    paths = {Path(value) for value in values if isinstance(value, str) and value.startswith("/")}
    return {path for path in paths if path.exists()}


def end(output: Path, seconds: float) -> None:
    """End the run's containers as Ctrl-C does, so that stages give their leases back.

    One that the engine was still making when the run was interrupted is seen a moment later.
    """
    from docker.errors import APIError

    client = connect()
    asked: set[str] = set()
    until = time.monotonic() + seconds
    while (left := _left(client, output)) and time.monotonic() < until:
        for container in left:
            if container.status == "running" and container.id not in asked:
                asked.add(container.id)
                with contextlib.suppress(APIError):  # it has ended by itself
                    # not to process 1, a shell, to which the kernel does not deliver it
                    container.exec_run(["sh", "-c", "kill -INT -1"], user="0")
        time.sleep(0.2)
    for container in left:
        with contextlib.suppress(APIError):
            container.remove(force=True)
    client.close()
    shutil.rmtree(temporary_folder(output), ignore_errors=True)


def _left(client: Any, output: Path) -> list[Any]:  # noqa: ANN401  the Docker client is untyped
    alive = {"label": f"{LABEL}={output}", "status": ["created", "running"]}
    return list(client.containers.list(all=True, filters=alive))
