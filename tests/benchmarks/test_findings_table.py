"""The table of what stood in the way of a 7B run names tests that exist."""

import re

from refine_af.generate import ROOT

TITLE = "## A 7B run on GPUs: what stood in the way, and what is measured now"


def test_the_tests_that_the_table_names_exist() -> None:
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    section = page.partition(TITLE)[2].partition("\n## ")[0]
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", section)
    assert len(named) > 10
    for file, function in named:
        (path,) = (ROOT / "tests").glob(f"*/{file}")
        assert f"def {function}" in path.read_text(encoding="utf-8")


def test_every_row_says_how_it_is_known() -> None:
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    section = page.partition(TITLE)[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:2] == "| "]
    for row in rows[2:]:
        assert re.match(r"(counted|tested|by formula|measured)", row[3]), row
