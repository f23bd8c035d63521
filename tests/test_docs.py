"""The pages for people: their commands run, their tables and quotations are what the code says."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from made_folder import shared_folder

from refine_af.cli import main
from refine_af.contracts.jsonl import iter_objects
from refine_af.contracts.stage import Stage
from refine_af.evolve.operators import PACKAGED
from refine_af.stages import STAGES

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("**/*.md")),
    *sorted((ROOT / "manifests").glob("**/README.md")),
    *[ROOT / name / "README.md" for name in ("components", "pipelines", "examples", "benchmarks")],
    *[ROOT / name / "README.md" for name in ("images", "seeds", "tests", "refine_af")],
]
SHELL = ("sh", "bash", "shell", "console")
NEEDS = re.compile(
    r"# (Needs (a cluster|a GPU|the network|an endpoint|a real model|Docker|people)"
    r"|Changes your shell)\b"
)
SLOW = re.compile(r"# Takes minutes: the tests (?:run it with (--[a-z0-9 -]+)|look for)")
ELSEWHERE = re.compile(r"# Takes minutes: (\S+) runs it in the tests")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    kind: str
    text: str

    @property
    def first(self) -> str:
        """Return the first line."""
        return self.text.partition("\n")[0]

    @property
    def is_left_out(self) -> bool:
        """Tell whether a reader, too, is told what the block needs."""
        return bool(NEEDS.match(self.first))

    @property
    def file(self) -> str:
        """Return the name of the file that the block shows, or nothing."""
        name = re.fullmatch(r"# (\w+\.(?:py|yaml))", self.first)
        return name[1] if name else ""

    @property
    def script(self) -> str:
        """Return the commands of a shell block; slow ones with what makes them short."""
        lines = self.text.splitlines()
        if self.kind == "console":
            text = self.text.replace("\\\n", " ")
            lines = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
        slow = SLOW.match(self.first)
        if slow:
            shorter = slow[1] or ""
            lines.insert(0, f'refine-af() {{ command refine-af "$@" {shorter}; }}')
            lines.insert(0, f'make() {{ command make -n -C "{ROOT}" "$@"; }}')
        return "\n".join(lines)


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    if page.name == "CONTRIBUTING.md":  # test_recipes follows the recipes, in a copy
        text = text.partition("\n### Add ")[0]
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.M)
    return [Block(kind, text) for kind, text in fenced]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def runs(page: Path) -> bool:
    return any(
        block.kind == "python" or (block.kind in SHELL and not block.is_left_out)
        for block in blocks(page)
    )


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the pages' commands find: the command, and a run with one of its rows."""
    folder = tmp_path_factory.mktemp("commands")
    for name, words in {"refine-af": "-m refine_af", "python": ""}.items():
        command = folder / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        command.chmod(0o755)
    run = shutil.copytree(shared_folder(), folder / "run")
    _, row = next(iter_objects(run / "artifacts" / "dedup_filter" / "kept"))
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "RUN": str(run), "ROW": row["id"], "PYTHONPATH": str(ROOT)}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a reader's, with what the pages take for granted."""
    for name in ("components", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "seeds" / "seed_tasks.jsonl", tmp_path / "my_seeds.jsonl")
    shutil.copy(PACKAGED, tmp_path / "my_operators.yaml")
    (tmp_path / "mine.csv").write_text("question,answer\nName a sea.,The Red Sea.\n")
    (tmp_path / "pairs.jsonl").write_text('{"instruction": "Name a sea.", "output": "Red."}\n' * 2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)], ids=name_of)
def test_what_a_page_shows_runs_in_order(
    page: Path, environment: dict[str, str], checkout: Path
) -> None:
    """In one folder, as a reader types it; a shown file is written, a slow command made short."""
    variables: dict[str, Any] = {}
    for block in blocks(page):
        if block.file:
            (checkout / block.file).write_text(block.text, encoding="utf-8")
        elif elsewhere := ELSEWHERE.match(block.first):
            assert (ROOT / elsewhere[1]).is_file()
        elif block.kind == "python":
            exec(compile(block.text, page.name, "exec"), variables)  # noqa: S102  our own page
        elif block.kind in SHELL and not block.is_left_out:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.script],
                cwd=checkout,
                env=environment,
                capture_output=True,
                text=True,
                timeout=900,
                check=False,
            )
            assert done.returncode == 0, f"{block.script}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_command_hides_from_the_tests(page: Path) -> None:
    """Commands stand in blocks that are run; a reason for not running one is of the known ones."""
    for block in blocks(page):
        if block.kind not in SHELL:
            assert not re.search(r"^\$? ?(refine-af|pip|kubectl) ", block.text, re.M), block.text
        elif block.first.startswith("# "):
            assert block.is_left_out or SLOW.match(block.first), block.first


def commands_left_out() -> list[str]:
    return [
        line
        for page in PAGES
        for block in blocks(page)
        if block.kind in SHELL and block.is_left_out
        for line in block.text.replace("\\\n", " ").splitlines()
        if line.startswith("refine-af ")
    ]


@pytest.mark.parametrize("command", commands_left_out())
def test_commands_that_are_not_run_have_options_that_exist(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(command, comments=True)
    assert main([words[1], "--help"]) == 0
    shown = capsys.readouterr().out
    for word in words[2:]:
        assert not word.startswith("--") or f"{word} " in shown, word


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_the_page_of_a_component_shows_what_runs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    for block in blocks(ROOT / "components" / stage.name / "README.md"):
        if block.kind == "python":
            exec(compile(block.text, stage.name, "exec"), {})  # noqa: S102  our own page
        elif block.kind in SHELL and not block.is_left_out:
            for line in block.script.splitlines():
                assert main(shlex.split(line)[1:]) == 0, line
    capsys.readouterr()


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
