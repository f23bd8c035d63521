"""The README's blocks are run: what a newcomer types must work as printed."""

import re
from pathlib import Path

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


def test_links_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("*/README.md"), *ROOT.glob("*/*/README.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page}: {link}"


def test_tables_of_files_are_whole() -> None:
    """A README whose table lists the modules of its folder lists each, and none that is gone."""
    package = ROOT / "refine_af"
    for page in package.glob("*/README.md"):
        text = page.read_text(encoding="utf-8")
        if "| file |" not in text and "`trainer.py`" not in text:
            continue
        modules = {path.name for path in page.parent.glob("*.py")} - {"__init__.py"}
        listed = set(re.findall(r"`([a-z_]+\.py)`", text))
        assert modules <= listed, f"{page}: not listed: {sorted(modules - listed)}"
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    listed = set(re.findall(r"^\| `(\w+)/`", (package / "README.md").read_text("utf-8"), re.M))
    assert folders == listed


def test_files_named_by_pages_exist() -> None:
    for page in (*ROOT.glob("*/README.md"), *ROOT.glob("refine_af/*/README.md")):
        for name in re.findall(r"`([\w/]+\.py)`", page.read_text(encoding="utf-8")):
            folders = (page.parent, ROOT, ROOT / "refine_af", *ROOT.glob("tests/*"))
            assert any((folder / name).exists() for folder in folders), f"{page}: {name}"
