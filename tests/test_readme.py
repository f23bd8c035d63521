"""The README's blocks are run: what a newcomer types must work as printed."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ")
    for kind, text in BLOCKS
    if kind == "console"
    for line in text.splitlines()
    if line.startswith("$ ")
]


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    wanted = [command.split()[1] for command in COMMANDS if command.startswith("make ")]
    assert wanted
    for target in wanted:
        assert f"\n{target}:" in makefile


@pytest.mark.parametrize("command", [item for item in COMMANDS if item.startswith("refine-af ")])
def test_commands_run(command: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "seeds" / "seed_tasks.jsonl", tmp_path / "my_seeds.jsonl")
    words = [sys.executable, "-m", "refine_af", *shlex.split(command)[1:]]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_python_blocks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    blocks = [text for kind, text in BLOCKS if kind == "python"]
    assert blocks
    for text in blocks:
        exec(compile(text, "README.md", "exec"), {})  # noqa: S102  our own page


def test_links_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("*/README.md"), *ROOT.glob("*/*/README.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page}: {link}"
