"""Builds the images: a base of dependencies each for core, vllm and train, then every stage.

``make images`` calls it. Needs Docker with BuildKit and this package in the environment, whose
registry of stages says which images there are. ``DOCKER`` names another client.
"""

import argparse
import contextlib
import functools
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from refine_af import __version__
from refine_af.contracts.stage import Image, Stage
from refine_af.stages import STAGES
from refine_af.targets.kfp_source import image_name

ROOT = Path(__file__).parent.parent
DOCKER = os.environ.get("DOCKER") or "docker"
BASE_IMAGE = "python:3.11-slim"
"""As in the Dockerfile."""
BASES: tuple[Image, ...] = ("core", "vllm", "train")
TORCH_FOR_CPUS = "https://download.pytorch.org/whl/cpu"
SOURCES_OF_WHEELS = ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL")


@dataclass(frozen=True)
class Variant:
    """Images for one kind of machine.

    Attributes:
        locks: Name of the lock file of each base.
        system_packages: Debian packages that a base needs while it runs.
        compiles: Whether they hold a C++ compiler, so that torch may compile.
    """

    locks: dict[Image, str]
    system_packages: dict[Image, str]
    compiles: bool


VARIANTS = {
    "cpu": Variant(
        {"core": "core", "vllm": "vllm-cpu", "train": "train-cpu"},
        {"vllm": "libnuma1"},  # vLLM for CPUs binds memory with it
        compiles=False,
    ),
    # Triton and torch's inductor compile when a kernel first runs.
    "gpu": Variant(
        {"core": "core", "vllm": "vllm-gpu", "train": "train-gpu"},
        {"vllm": "g++", "train": "g++"},
        compiles=True,
    ),
}


@dataclass(frozen=True)
class Build:
    """What a person asked for.

    Without ``cache`` every base is made anew, even where Docker still has its layers.
    """

    variant: Variant
    registry: str
    tag: str
    base_image: str
    source: str
    revision: str
    cache: bool = True

    def base(self, name: Image) -> str:
        """Return the reference of a base."""
        prefix = f"{self.registry.rstrip('/')}/" if self.registry else ""
        return f"{prefix}refine-af-{name}:{self.tag}"

    def stage(self, stage: Stage) -> str:
        """Return the reference of a stage's image: the one that compiled pipelines name."""
        return image_name(stage, self.registry, self.tag)

    def arguments(self, base: Image) -> dict[str, str]:
        """Return the build arguments that all images on a base share.

        They must be equal for all of them: that is what lets Docker build a base once.
        """
        given = {
            "BASE": base,
            "LOCK": self.variant.locks[base],
            "BYTECODE": "imported" if base == "core" else "all",
            "SYSTEM": "packaged" if base in self.variant.system_packages else "plain",
            "SYSTEM_PACKAGES": self.variant.system_packages.get(base, ""),
            "TORCH_COMPILE_DISABLE": "0" if self.variant.compiles else "1",
            "BASE_IMAGE": self.base_image,
            "VERSION": __version__,
            "REVISION": self.revision,
            "SOURCE": self.source,
            "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", ""),
        }
        return {name: value for name, value in given.items() if value}


@contextlib.contextmanager
def wheels() -> Iterator[dict[str, str]]:
    """Yield the build arguments that say where wheels are found besides pip's own index.

    A folder in ``PIP_FIND_LINKS`` is served on the loopback interface meanwhile, because a build
    sees no folder of this machine. With neither variable set, torch comes from PyTorch's index of
    builds for CPUs; hashes in the lock files decide what is accepted.
    """
    given = {name: os.environ[name] for name in SOURCES_OF_WHEELS if os.environ.get(name)}
    folder = Path(given.get("PIP_FIND_LINKS", ""))
    if not given:
        yield {"PIP_EXTRA_INDEX_URL": TORCH_FOR_CPUS}
    elif "PIP_FIND_LINKS" in given and folder.is_dir():
        with serve(folder) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield given | {"PIP_FIND_LINKS": f"http://127.0.0.1:{server.server_port}/"}
            server.shutdown()
    else:
        yield given


def serve(folder: Path) -> http.server.ThreadingHTTPServer:
    """Return a server of a folder's files on the loopback interface.

    It has one port for one folder, because Docker's cache takes the address for a part of the
    command; while another build has it, any port, and the bases are built without the cache.
    """
    handler = functools.partial(Silent, directory=str(folder))
    port = 20_000 + zlib.crc32(str(folder.absolute()).encode()) % 10_000
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        return http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)


class Silent(http.server.SimpleHTTPRequestHandler):
    """Serves files and reports nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing of a request."""


def build(reference: str, target: str, arguments: dict[str, str], *, cache: bool) -> None:
    """Build one image, with Docker's cached layers or without.

    Raises:
        SystemExit: With the end of Docker's output.
    """
    command = [DOCKER, "build", "--file", "images/Dockerfile", "--target", target]
    command += ["--tag", reference, "--progress", "plain", "--network", "host"]
    command += [] if cache else ["--no-cache"]
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    start = time.monotonic()
    done = subprocess.run(
        [*command, "."],
        cwd=ROOT,
        env=os.environ | {"DOCKER_BUILDKIT": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.split("\n")[-40:])
        sys.exit(f"{tail}\nimages/build.py: {reference} was not built; see the lines above")
    size = int(inspect(reference, "{{.Size}}")) / 1e6
    print(f"{reference:48} {size:7.0f} MB {time.monotonic() - start:6.0f} s", flush=True)


def inspect(reference: str, template: str) -> str:
    """Return what ``docker image inspect`` says of an image."""
    command = [DOCKER, "image", "inspect", "--format", template, reference]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def by_digest(image: str) -> str:
    """Return a base image by the digest that its registry has of it, so that all images share it.

    An image that was made on this machine has none and keeps its tag; this is said.
    """
    if "@" in image:
        return image
    pulled = subprocess.run([DOCKER, "pull", "--quiet", image], capture_output=True, text=True)
    known = subprocess.run(
        [DOCKER, "image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', image],
        capture_output=True,
        text=True,
    )
    if known.returncode:
        sys.exit(f"images/build.py: {image} is not here and cannot be had: {pulled.stderr.strip()}")
    if not known.stdout.strip():
        print(f"{image}: no registry has it, so it has no digest; its tag is taken", flush=True)
        return image
    name = known.stdout.split()[0]
    print(f"{image} is {name}", flush=True)
    return name


def build_all(request: Build, chosen: Sequence[Stage]) -> list[str]:
    """Build the chosen stages after the bases they stand on; return all references."""
    built = []
    with wheels() as found:
        for base in (name for name in BASES if name in {stage.image for stage in chosen}):
            shared = request.arguments(base) | found
            build(request.base(base), "base", shared, cache=request.cache)
            built.append(request.base(base))
        for stage in chosen:
            own = {"STAGE": stage.name, "SUMMARY": stage.summary}
            arguments = request.arguments(stage.image) | found | own
            build(request.stage(stage), "stage", arguments, cache=True)  # on the base just built
            built.append(request.stage(stage))
    return built


def write_bill(reference: str, folder: Path) -> None:
    """Write the CycloneDX bill of materials of an image, as its own Python reports it."""
    program = (ROOT / "images" / "sbom.py").read_bytes()
    command = [DOCKER, "run", "--rm", "--interactive", "--network", "none", reference]
    done = subprocess.run([*command, "python", "-", reference], input=program, capture_output=True)
    if done.returncode:
        sys.exit(done.stderr.decode() + f"images/build.py: no bill of materials of {reference}")
    folder.mkdir(parents=True, exist_ok=True)
    name = reference.rsplit("/", 1)[-1].partition(":")[0]
    (folder / f"{name}.cdx.json").write_bytes(done.stdout)


def push(reference: str) -> str:
    """Push an image and return its digest in the registry, ``sha256:...``."""
    subprocess.run([DOCKER, "push", "--quiet", reference], check=True, stdout=subprocess.DEVNULL)
    repository = reference.rpartition(":")[0]
    for item in json.loads(inspect(reference, "{{json .RepoDigests}}")):
        name, _, digest = str(item).partition("@")
        if name == repository:
            return digest
    sys.exit(f"images/build.py: {reference} was pushed, but Docker names no digest of it")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's values."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", choices=VARIANTS, default="cpu")
    parser.add_argument("--registry", default="", help="put before every image's name")
    parser.add_argument("--tag", default=__version__)
    parser.add_argument("--base-image", default=BASE_IMAGE, help=f"default: {BASE_IMAGE}")
    parser.add_argument("--source", default="", help="address of the sources, for the label")
    parser.add_argument("--only", action="append", choices=[s.name for s in STAGES], default=[])
    parser.add_argument("--bills", type=Path, default=ROOT / "build" / "sbom", metavar="FOLDER")
    parser.add_argument("--no-cache", action="store_true", help="build the bases from nothing")
    parser.add_argument(
        "--push", type=Path, metavar="DIGESTS", help="push, and write digests by stage to this file"
    )
    options = parser.parse_args(arguments)
    if options.push and not options.registry:
        parser.error("--push needs --registry")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Build, describe and, when asked, push."""
    options = parse(arguments)
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    request = Build(
        VARIANTS[options.variant],
        options.registry,
        options.tag,
        by_digest(options.base_image),
        options.source,
        git.stdout.strip(),
        cache=not options.no_cache,
    )
    chosen = [stage for stage in STAGES if stage.name in options.only or not options.only]
    for reference in build_all(request, chosen):
        write_bill(reference, options.bills)
    print(f"bills of materials: {options.bills}")
    if options.push:
        digests = {stage.name: push(request.stage(stage)) for stage in chosen}
        options.push.write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
