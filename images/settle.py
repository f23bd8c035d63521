"""Runs while an image is built: makes an installed environment small, started fast, repeatable.

``settle.py FOLDER all|imported TARGET``: drops what no stage reads (tests, C sources, other formats
of figures, AWS services but S3, symbols for debuggers), writes bytecode that does not depend on
times, gives every file the time ``SOURCE_DATE_EPOCH`` and moves the folder below ``TARGET``.
Bytecode matters because the images' file system is read-only and their user may not write:
without it each start compiles everything again.
"""

import compileall
import json
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

BYTECODE = py_compile.PycInvalidationMode.UNCHECKED_HASH

IMPORTED = (
    *("aiohttp", "boto3", "click", "google.cloud.storage", "httpx", "huggingface_hub", "jinja2"),
    *("kfp.dsl.executor_main", "matplotlib.backends.backend_svg", "matplotlib.figure", "numpy"),
    *("pydantic", "rapidfuzz.distance", "rapidfuzz.fuzz", "rapidfuzz.process", "rich.console"),
    "yaml",
)
"""What the stages of the core image import from others."""

UNREAD = (
    # tests that their packages do not import themselves
    *("fontTools/**/tests", "fsspec/**/tests", "matplotlib/**/tests", "mpl_toolkits/**/tests"),
    *("networkx/**/tests", "numpy/**/tests", "pandas/tests", "pyarrow/tests", "sympy/**/tests"),
    # what only compilers and type checkers read; torch's inductor and Triton keep theirs
    *("fontTools/**/*.c", "numpy/**/*.pyi", "numpy/_core/include", "pyarrow/include"),
    *("numpy/distutils", "numpy/f2py"),
    # matplotlib's other formats: the report holds SVG
    *("matplotlib/mpl-data/sample_data", "matplotlib/mpl-data/fonts/afm"),
    *("matplotlib/mpl-data/fonts/pdfcorefonts", "fontTools/feaLib", "fontTools/varLib"),
    # a codec that no figure is written in
    *("PIL/_avif.*.so", "pillow.libs/libavif-*"),
)
"""What no stage reads, as patterns below the folder of packages."""

AWS_SERVICES = {"s3", "sso", "sso-oidc", "sts"}
UNSTRIPPABLE = {"nvidia", "torch", "triton", "vllm"}
"""Large, stripped by their makers, or with sections that ``strip`` does not know."""


def packages(root: Path) -> Path:
    """Return the folder of installed packages of an environment."""
    (found,) = (root / "lib").glob("python3.*/site-packages")
    return found


def prune(site: Path) -> None:
    """Remove what no stage reads."""
    for pattern in UNREAD:
        for path in sorted(site.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)  # gone with a folder above it
    for path in site.glob("botocore/data/*"):
        if path.is_dir() and path.name not in AWS_SERVICES:
            shutil.rmtree(path)


def strip(site: Path) -> None:
    """Remove symbols that only debuggers read.

    Not from ``*.libs``: their layout was changed by auditwheel, and ``strip`` may break it.
    """
    tops = [item for item in site.iterdir() if item.name not in UNSTRIPPABLE]
    found = [
        str(path)
        for top in tops
        if not top.name.endswith(".libs")
        for path in ([top] if top.is_file() else top.rglob("*.so"))
        if path.suffix == ".so" and not path.is_symlink()
    ]
    if found:
        subprocess.run(["strip", "--strip-unneeded", *found], check=True)


def imported(python: Path) -> Iterator[Path]:
    """Yield the sources that :data:`IMPORTED` loads, itself included."""
    program = (
        "import importlib, json, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print(json.dumps([getattr(m, '__file__', None) for m in sys.modules.values()]))"
    )
    command = [str(python), "-B", "-c", program, *IMPORTED]
    with tempfile.TemporaryDirectory() as caches:
        given = os.environ | {"_KFP_RUNTIME": "true", "MPLCONFIGDIR": caches}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=given)
    for name in json.loads(done.stdout.strip().split("\n")[-1]):
        if name and name.endswith(".py"):
            yield Path(name)


def compile_sources(root: Path, which: str) -> None:
    """Write bytecode that is used without a look at the source's time."""
    site = packages(root)
    if which == "all":
        compileall.compile_dir(
            site, quiet=2, maxlevels=40, workers=0, invalidation_mode=BYTECODE, ddir=None
        )
        return
    for path in imported(root / "bin" / "python"):
        if path.is_relative_to(site):
            py_compile.compile(str(path), invalidation_mode=BYTECODE, quiet=2)


def move(root: Path, files: Path, epoch: int) -> None:
    """Move ``root`` below ``files`` under the same path, every file and folder with one time."""
    target = files / root.relative_to("/")
    target.parent.mkdir(parents=True)
    root.rename(target)
    for path in [files, *files.rglob("*")]:
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def main() -> None:
    """Settle the environment that the command line names and move it below another folder."""
    root, which, files = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    site = packages(root)
    prune(site)
    if shutil.which("strip"):
        strip(site)
    compile_sources(root, which)
    move(root, files, int(os.environ["SOURCE_DATE_EPOCH"]))


if __name__ == "__main__":
    main()
