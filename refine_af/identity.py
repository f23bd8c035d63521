"""The identity of a stage run: its parameters, the code, and all content that it reads.

Inputs and local files count by content, objects of a store by the store's own versions, web pages
by a strong entity tag or else by content, Hub models and data sets by commit, the user's code by
its source. An endpoint's model cannot be pinned; its identity says so.

Local weights are digested anew each time, without a cache: a model that was trained again in place
can have the size, and with a copying tool also the times, of the one before.
"""

import ast
import hashlib
import os
import re
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

import refine_af
from refine_af.contracts.content import Content, ContentKind
from refine_af.contracts.errors import DependencyError
from refine_af.contracts.params import Params
from refine_af.contracts.stage import Stage
from refine_af.engines.text import TextEngine
from refine_af.stages import STAGES
from refine_af.storage.entry import Identity, canonical
from refine_af.storage.manifest import digest_bytes, digest_file, digest_listing, digest_path
from refine_af.storage.sources import fingerprint
from refine_af.storage.task_records import record_files

UNPINNED = "unpinned"
"""Prefix of an endpoint's identity: its model may change behind the same name."""


GIVEN = "given"
"""Value of the parameter ``engine`` where the caller passed an engine."""


def stage_identity(
    stage: Stage, params: Params, inputs: Mapping[str, Path], engine: TextEngine | None = None
) -> Identity:
    """Return what decides the rows of a stage run.

    An engine of the caller's counts by its own description, and ``model`` is only its name.

    Raises:
        RefineAfError: When something that a parameter names is missing or cannot be reached.
    """
    values = params.method_values()
    kinds = {item.name: item.kind for item in stage.inputs}
    digests: dict[str, str] = {}
    for name, path in sorted(inputs.items(), key=lambda item: list(kinds).index(item[0])):
        digests |= record_digests(path) if kinds[name] == "records" else {name: digest_path(path)}
    if engine is None:
        digests |= content_digests(params.content())
    else:
        digests |= content_digests(one for one in params.content() if one.parameter != "model")
        digests["engine"] = digest_bytes(canonical(engine.describe()))
        values["engine"] = GIVEN
    return Identity(stage.name, values, digests, code_version())


def record_digests(folder: Path) -> dict[str, str]:
    """Return the digest of each file of a run's records that decides what is read, by its name."""
    names = {stage.name: stage.recorded for stage in STAGES}
    return {name: digest_file(path) for name, path in record_files(folder, names)}


def content_digests(contents: Iterable[Content]) -> dict[str, str]:
    """Return what pins the content that each parameter names, by the parameter's name."""
    digests: dict[str, list[str]] = {}
    for content in contents:
        digests.setdefault(content.parameter, []).append(_KINDS[content.kind](content))
    return {
        name: values[0] if len(values) == 1 else digest_bytes("\n".join(values).encode())
        for name, values in digests.items()
    }


@cache
def code_version() -> str:
    """Return the version with a digest of the package's sources (prompts included).

    Weights are left out: whoever runs a pipeline hands on the model's digest as a parameter.
    """
    root = Path(refine_af.__file__).parent
    total = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in {".py", ".j2", ".yaml"} and "weights" not in path.parts:
            total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{refine_af.__version__}+{total.hexdigest()[:12]}"


@cache
def environment() -> str:
    """Return a digest of the installed software and the GPUs: a failure may be their doing."""
    installed = sorted(f"{package.name} {package.version}" for package in distributions())
    gpus = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    return digest_bytes("\n".join([code_version(), *installed, *gpus]).encode())


def _file(content: Content) -> str:
    return fingerprint(content.value)


def _tasks(content: Content) -> str:
    from refine_af.evaluation.task_sets import task_files

    path = Path(content.value)
    if "://" in content.value or path.suffix != ".txt":
        return fingerprint(content.value)
    files = [path, *task_files([path])]
    return digest_listing((str(file), digest_file(file)) for file in files)


def _operators(content: Content) -> str:
    from refine_af.evolve.operators import BUILTIN, PACKAGED

    return digest_file(PACKAGED) if content.value == BUILTIN else fingerprint(content.value)


def _model(content: Content) -> str:
    from refine_af.engines.models import model_revision, resolve_model
    from refine_af.evolve.embedding import LIGHT

    if content.value == LIGHT:
        return content.value  # code, which the code's version covers
    if "://" in content.value:
        return fingerprint(content.value)
    try:
        return model_revision(content.value)
    except DependencyError:
        # The Hub does not answer; what its cache holds will be read. A folder there is a commit.
        return f"hub:{resolve_model(content.value).name}"


def _answers(content: Content) -> str:
    # A grammar of the package is code, which the code's version covers.
    is_packaged = content.value.startswith("builtin:")
    return content.value if is_packaged else fingerprint(content.value)


def _served(content: Content) -> str:
    return f"{UNPINNED}: {content.value}"


def _code(content: Content) -> str:
    module = content.value.partition(":")[0]
    files = sorted(set(_sources(module.partition(".")[0], set())))
    return digest_listing((str(path), digest_file(path)) for path in files)


def _harness(content: Content) -> str:
    """Return the harness's version for a task of its own; the files that a task file reads."""
    path = Path(content.value)
    if path.suffix not in _YAML:
        try:
            return f"lm_eval {version('lm_eval')}: {content.value}"
        except PackageNotFoundError:
            return f"lm_eval: {content.value}"
    files = _task_file_reads(path, set())
    return digest_listing((str(file), digest_path(file)) for file in sorted(files))


_YAML = {".yaml", ".yml"}
_READ_BESIDE = {".py", ".json", ".jsonl", ".csv", ".tsv", ".txt", ".parquet", ".j2", ".jinja"}
_READ_BESIDE |= {".toml", *_YAML}
"""Endings of files that code and task files read from their own folder."""

LONGEST_PATH = 255
_PATH = re.compile(r"[^\s'\"\[\]{},]+")


def _task_file_reads(path: Path, seen: set[Path]) -> set[Path]:
    """Return a task file, what lies beside it, and every local path that it names."""
    if path in seen or not path.is_file():
        return seen
    seen.add(path)
    seen |= {file for file in path.parent.glob("*") if file.suffix in _READ_BESIDE - _YAML}
    words = _PATH.findall(path.read_text(encoding="utf-8", errors="replace"))
    usable = [word for word in words if word.strip("./") and len(word) < LONGEST_PATH]
    for named in (folder / word for word in usable for folder in (path.parent, Path())):
        if named.suffix in _YAML:
            _task_file_reads(named, seen)
        elif named.exists():
            seen.add(named)
    return {file for file in seen if file.exists()}


_KINDS: dict[ContentKind, Callable[[Content], str]] = {
    "file": _file,
    "tasks": _tasks,
    "operators": _operators,
    "model": _model,
    "answers": _answers,
    "served_model": _served,
    "endpoint": _served,
    "code": _code,
    "harness": _harness,
}


def _sources(module: str, seen: set[str]) -> Iterator[Path]:
    """Yield the source files of a top-level module and of all that it imports of the user's own.

    Nothing is imported; what is installed, or part of Python, is left out.
    """
    if module in seen:
        return
    seen.add(module)
    for path in _files_of(module):
        yield path
        if path.suffix != ".py":
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if (named := _file_named(node, path.parent)) is not None:
                yield named
            for name in _imported(node):
                yield from _sources(name.partition(".")[0], seen)


def _imported(node: ast.AST) -> list[str]:
    """Return the modules that a statement or a call imports, by the names that stand there."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module] if node.module and not node.level else []
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
        return []
    called = getattr(node.func, "attr", getattr(node.func, "id", ""))
    given = node.args[0].value
    is_import = called in ("import_module", "__import__") and isinstance(given, str)
    return [str(given)] if is_import else []


def _file_named(node: ast.AST, beside: Path) -> Path | None:
    """Return the file that a text in the code names, beside the code or in the working folder."""
    text = node.value if isinstance(node, ast.Constant) else ""
    if not isinstance(text, str) or not text.strip("./") or len(text) > LONGEST_PATH:
        return None
    if "\0" in text or "\n" in text:
        return None
    found = (folder / text for folder in (beside, Path()))
    return next((path for path in found if path.is_file()), None)


def _files_of(module: str) -> list[Path]:
    spec = PathFinder.find_spec(module)
    if spec is None:
        return []
    # a namespace package has folders alone
    origins = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if spec.origin and not origins:
        origins = [Path(spec.origin)]
    files = [
        file
        for origin in origins
        if not _is_installed(origin)
        for file in (origin.rglob("*") if origin.is_dir() else [origin])
        if file.is_file() and not _is_cache(file.relative_to(origin))
    ]
    if spec.origin is not None:  # a package: its word lists and weights too
        return sorted(files)
    read = tuple(_READ_BESIDE | set(EXTENSION_SUFFIXES))
    return sorted(file for file in files if file.name.endswith(read))


def _is_cache(relative: Path) -> bool:
    return relative.suffix == ".pyc" or any(part.startswith(".") for part in relative.parts)


def _is_installed(path: Path) -> bool:
    installed = {
        sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
    own = str(Path(refine_af.__file__).parent)
    return any(f"{path}{os.sep}".startswith(folder + os.sep) for folder in (*installed, own))
