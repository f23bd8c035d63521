"""The pages for people: their commands run, their tables and quotations are what the code says."""

import ast
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / "docs").glob("**/*.md"),
    *(ROOT / "manifests").glob("**/README.md"),
    ROOT / "components" / "README.md",
    ROOT / "pipelines" / "README.md",
]


def commands(page: Path, kind: str) -> list[str]:
    """Return the commands of a page's blocks.

    ``console`` blocks are run; ``sh`` blocks need a cluster, a GPU, the network, an earlier run or
    minutes, so only their options are checked.
    """
    return [
        line.removeprefix("$ ")
        for block in re.findall(rf"```{kind}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("$ ") or kind == "sh"
    ]


def refine_af_commands(kind: str) -> list[str]:
    return [c for page in PAGES for c in commands(page, kind) if c.startswith("refine-af ")]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if commands(page, "console")], ids=lambda page: page.stem
)
def test_the_commands_of_a_page_run_in_order(page: Path, tmp_path: Path) -> None:
    """In one folder, as a reader types them; whole runs take the preset ``smoke`` to save time."""
    shutil.copy(ROOT / "seeds" / "seed_tasks.jsonl", tmp_path / "my_seeds.jsonl")
    for command in commands(page, "console"):
        if not command.startswith("refine-af "):
            continue
        words = shlex.split(command)[1:]
        if words[0] == "run" and "--dry-run" not in words:
            words = ["smoke" if word == "quickstart" else word for word in words]
        done = subprocess.run(
            [sys.executable, "-m", "refine_af", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"


@pytest.mark.parametrize("command", refine_af_commands("sh"))
def test_commands_for_a_cluster_have_options_that_exist(command: str) -> None:
    words = shlex.split(command, comments=True)
    shown = subprocess.run(
        [sys.executable, "-m", "refine_af", words[1], "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for word in words[2:]:
        assert not word.startswith("--") or f"{word} " in shown, word


@pytest.mark.parametrize("page", [p for p in PAGES if "```python" in p.read_text("utf-8")])
def test_python_blocks_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for text in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        exec(compile(text, page.name, "exec"), {})  # noqa: S102  our own page


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for page in ("tutorial", "how-to/kfp", "reference/stages/train_ppo", "reference/cli"):
        assert (tmp_path / page / "index.html").is_file(), page


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page}: {link}"


def test_quoted_messages_are_ours() -> None:
    """Each backticked sentence of the column that says what one sees stands in the sources."""
    source = re.sub(
        r'"\s*\n\s*f?"',
        "",
        "".join(path.read_text("utf-8") for path in (ROOT / "refine_af").rglob("*.py")),
    )
    page = (ROOT / "docs" / "when-it-fails.md").read_text("utf-8")
    seen = [line.split("|")[1] for line in page.splitlines() if re.match(r"\| \d+\. ", line)]
    assert len(seen) == 10
    quoted = [text for cell in seen for text in re.findall(r"`([a-z][^`]* [^`]+)`", cell + " ")]
    ours = [text for text in quoted if "artifact" not in text]  # those are Argo's
    assert len(ours) >= 7
    for text in ours:
        assert text in source, text


@pytest.mark.parametrize(("parameter", "most"), [("reward", 14), ("max_rouge_l", 11)])
def test_the_ways_of_the_architecture_page_are_short_and_name_functions_that_exist(
    parameter: str, most: int
) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    [way] = re.findall(rf"^`{parameter}`, from .*?\n\n((?:\d+\. .*\n)+)", page, re.MULTILINE)
    steps = way.splitlines()
    assert len(steps) <= most
    for step in steps:
        named = re.findall(r"`(\S+\.py)` `([\w.]+)`", step)
        assert named, step
        for file, name in named:
            assert name in functions(ROOT / "refine_af" / file), f"{file} {name}"


def functions(path: Path) -> set[str]:
    """Return the functions of a module, methods with their class."""
    body = ast.parse(path.read_text("utf-8")).body
    methods = {
        f"{holder.name}.{item.name}"
        for holder in body
        if isinstance(holder, ast.ClassDef)
        for item in holder.body
        if isinstance(item, ast.FunctionDef)
    }
    return methods | {item.name for item in body if isinstance(item, ast.FunctionDef)}
