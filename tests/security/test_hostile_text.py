"""Text of a model that tries to be something else: template, markup, formula, terminal code."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from refine_af.cli import main
from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.progress import StageProgress, printable
from refine_af.contracts.records import Instance, Instruction, Pair, Rejected, Seed
from refine_af.export.formats import FORMATS
from refine_af.rating.pages import sheet_csv, sheet_html
from refine_af.rating.sheet import Item
from refine_af.runner import run_stage
from refine_af.self_instruct.prompts import instance_prompt, instructions_prompt

TEMPLATE = "{{ 7 * 7 }}{% for c in ().__class__.__base__.__subclasses__() %}x{% endfor %}"
MARKUP = "</script><script>window.hurt = 1</script><img src=x onerror='window.hurt = 2'>"
TERMINAL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egpj.exe"
FORMULAS = ("=cmd|'/C calc'!A0", "+1+1", "-1+1", "@SUM(1)", "\t=1", '=HYPERLINK("http://x")')
NAUGHTY = (TEMPLATE, MARKUP, *FORMULAS, "NUL\u2400", "\u2028line\u2029", "'; DROP TABLE rows; --")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def pair(text: str) -> Instance:
    return Instance.make("ins-1", text, text, text, is_classification=False, sample=0)


@pytest.mark.parametrize("text", NAUGHTY)
def test_a_row_is_never_template_code(text: str) -> None:
    for prompt in (
        instructions_prompt([text]),
        instance_prompt(text, "input_first", "plain"),
        instance_prompt(text, "output_first", "few_shot"),
    ):
        assert "49" not in prompt.replace(text, "") or "7 * 7" not in text
        assert " ".join(text.split()).rstrip(":") in " ".join(prompt.split())


def test_a_template_cannot_reach_python() -> None:
    from refine_af.contracts.errors import ParameterError
    from refine_af.evaluation.prompts import render_prompt

    for template in (
        "{{ instruction.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ self.__init__.__globals__ }}",
    ):
        with pytest.raises(ParameterError):
            render_prompt(template, "a", "b")


def report(folder: Path) -> str:
    seeds = [Seed.make("s1", MARKUP, MARKUP, (Pair(input="", output="x"),), False, MARKUP)]
    rows = [Instruction.make(text, (seeds[0].id,), n, 0, 0) for n, text in enumerate(NAUGHTY)]
    dropped = [Rejected.make("generate_instructions", "similar", text) for text in NAUGHTY]
    for task, name, found in (
        ("seed_ingest", "seeds", seeds),
        ("generate_instructions", "instructions", rows),
        ("generate_instructions", "rejected", dropped),
    ):
        artifacts = folder / "run" / "artifacts" / task
        artifacts.mkdir(parents=True, exist_ok=True)
        write_rows(artifacts / name, found)
    names = ("report", "summary", "result")
    run_stage(
        "report",
        inputs={"run": str(folder / "run")},
        outputs={name: str(folder / name) for name in names},
        params={},
    )
    return (folder / "report").read_text(encoding="utf-8")


def test_pages_escape_every_row_and_allow_no_source(tmp_path: Path) -> None:
    item = Item("q1", MARKUP, MARKUP, MARKUP, "task", "1", "rl")
    for page in (report(tmp_path), sheet_html([item])):
        assert "window.hurt = 1</script>" not in page
        assert "<img src=x" not in page
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
        assert policy is not None
        assert "default-src 'none'" in policy[1]
        assert "unsafe-inline'; script" not in policy[1].replace("style-src 'unsafe-inline'; s", "")
        assert "http" not in policy[1]


def test_the_markdown_for_the_ui_holds_no_markup_of_a_row(tmp_path: Path) -> None:
    report(tmp_path)
    summary = (tmp_path / "summary").read_text(encoding="utf-8")
    assert "<script" not in summary
    assert "<img" not in summary


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_runs_no_script_of_a_row(tmp_path: Path) -> None:
    report(tmp_path)
    sheet = tmp_path / "sheet.html"
    sheet.write_text(sheet_html([Item("q1", MARKUP, MARKUP, MARKUP, "t", "1", "rl")]))
    (tmp_path / "report").rename(tmp_path / "report.html")
    for page in (tmp_path / "report.html", sheet):
        command = [
            str(CHROMIUM),
            *("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000"),
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            page.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
        body = done.stdout.partition("<body")[2]
        assert page != sheet or "window.hurt = 1" in body  # shown as text
        assert "<img src" not in body  # a browser that made an element would print it so
        assert body.count("<script") == body.count("</script>") <= 1


def test_cells_are_no_formulas() -> None:
    items = [Item(f"q{n}", text, text, text, "t", "1", "rl") for n, text in enumerate(FORMULAS)]
    for line in sheet_csv(items).split("\r\n")[1:]:
        for cell in re.findall(r'(?:^|,)"?([^",]+)', line):
            assert not cell.startswith(("=", "+", "-", "@", "\t")), line


@pytest.mark.parametrize("form", [form for form in FORMATS if form not in ("parquet", "hf")])
def test_exports_keep_every_row_as_it_is(form: str, tmp_path: Path) -> None:
    rows = [pair(text) for text in NAUGHTY]
    write_rows(tmp_path / "rows", rows)
    command = ["export", "--instances", str(tmp_path / "rows"), "--format", form]
    assert main([*command, "--licence", "MIT", "--output", str(tmp_path / "out")]) == 0
    (path,) = (tmp_path / "out" / "data").iterdir()
    text = path.read_text(encoding="utf-8")
    found = (
        json.loads(text)
        if path.suffix == ".json"
        else [json.loads(line) for line in text.split("\n") if line]
    )
    assert len(found) == len(rows)
    for row, source in zip(found, NAUGHTY, strict=True):
        assert json.dumps(source.strip(), ensure_ascii=False)[1:-1] in json.dumps(
            row, ensure_ascii=False
        )
    assert not list(tmp_path.glob("out/**/*.csv"))


def test_terminal_codes_do_not_reach_a_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert printable(TERMINAL).isprintable()
    StageProgress("evaluate", "rl").say(TERMINAL)
    StageProgress("evaluate", "rl").event("fail", message=TERMINAL)
    assert main(["explain", TERMINAL, "--run", str(tmp_path / TERMINAL.replace("/", ""))]) != 0
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)
