"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of the package."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^### Add an? (\w+)\n(.*?)(?=^###? |\Z)", PAGE, re.M | re.S))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what the recipes edit and read; tests that edit copy it again."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(
        ROOT / "refine_af", folder / "refine_af", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(ROOT / "seeds", folder / "seeds")
    return folder


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Iterator[Path]:
    folder = shutil.copytree(pristine, tmp_path / "copy")
    yield folder
    shutil.rmtree(folder)


def refine_af(folder: Path, *words: str) -> str:
    """Run the copy's command line in its folder."""
    return python(folder, "-m", "refine_af", *words)


def python(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def follow(name: str, folder: Path) -> str:
    """Perform the blocks of a recipe in order; return what its commands printed."""
    printed = ""
    for kind, text in BLOCK.findall(RECIPES[name]):
        if kind == "diff":
            subprocess.run(["git", "apply", "-"], input=text, text=True, cwd=folder, check=True)
        elif kind == "console":
            for line in text.splitlines():
                printed += refine_af(folder, *shlex.split(line.removeprefix("$ refine-af ")))
        else:
            path, _, content = text.removeprefix("# ").partition("\n")
            assert not (folder / path).exists()
            (folder / path).write_text(content, encoding="utf-8")
    return printed


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_recipe_has_a_test() -> None:
    assert sorted(RECIPES) == ["operator", "preset", "scorer", "stage"]


def test_a_stage_becomes_a_command_and_a_component(copy: Path) -> None:
    follow("stage", copy)
    seeds = rows(copy / "seeds" / "seed_tasks.jsonl")
    assert [row["words"] for row in rows(copy / "counts.jsonl")] == [
        len(str(seed["name"]).split()) for seed in seeds
    ]
    made = python(
        copy,
        "-c",
        "from pathlib import Path; from refine_af.generate import component_files\n"
        "from refine_af.stages.count_words import STAGE\n"
        "print(*sorted(path.name for path in component_files(STAGE, Path())))",
    )
    assert "component.yaml" in made
    assert "README.md" in made


def test_an_operator_rewrites_seeds(copy: Path) -> None:
    seed = (copy / "seeds" / "seed_tasks.jsonl").read_text(encoding="utf-8").splitlines()[0]
    (copy / "seeds.jsonl").write_text(seed + "\n", encoding="utf-8")
    follow("operator", copy)
    trace = rows(copy / "evolved" / "trace")
    assert [row["operator"] for row in trace] == ["shorten"] * len(trace)
    assert trace


def test_a_scorer_of_the_package_is_measured(copy: Path) -> None:
    pair = {"instruction": "Name a colour.", "output": "red and blue"}
    (copy / "pairs.jsonl").write_text(json.dumps(pair), encoding="utf-8")
    follow("scorer", copy)
    [row] = rows(copy / "scores" / "scored")
    assert isinstance(row["parts"], dict)
    assert row["parts"]["brevity"] == -3.0


def test_presets_of_a_run_and_a_reward_are_planned(copy: Path) -> None:
    plan = follow("preset", copy)
    assert "plain_and_right" in plan
