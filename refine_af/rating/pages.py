"""A sheet as CSV and as one HTML page, and the key that says whose answer is whose."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from refine_af.rating.sheet import LEVELS, Item
from refine_af.reporting.report import environment, script_hash
from refine_af.reporting.text import shown

COLUMNS = ("item", "instruction", "input", "answer", "rating", "comment")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters of a cell that spreadsheet programs evaluate; some also full-width forms."""

MOST_CHARACTERS = 20_000
"""Of a cell; spreadsheet programs cut at 32,767."""

SCRIPT = Path(__file__).parent / "page" / "sheet.js"


def sheet_csv(items: Sequence[Item]) -> str:
    """Return the sheet for spreadsheet programs; ``rating`` and ``comment`` are left to fill in."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for item in items:
        texts = (item.instruction, item.input, item.answer)
        writer.writerow([_cell(item.id), *(_cell(text) for text in texts), "", ""])
    return sink.getvalue()


def sheet_html(items: Sequence[Item]) -> str:
    """Return the sheet as a page: rate by clicking and save a CSV, or print it.

    It loads nothing, sends nothing and keeps what was clicked in the page only.
    """
    script = SCRIPT.read_text(encoding="utf-8")
    page = environment("html", SCRIPT.parent).get_template("sheet.html.j2")
    return page.render(
        items=items, levels=LEVELS, script=script, script_hash=script_hash(script), shown=_shown
    )


def key_json(items: Sequence[Item], seed: int) -> str:
    """Return whose answer each item is; raters must not see it."""
    rows = {
        item.id: {"arm": item.arm, "task": item.task, "instance": item.instance} for item in items
    }
    return json.dumps({"seed": seed, "items": rows}, indent=1, ensure_ascii=False) + "\n"


def _shown(text: str) -> str:
    return shown(text, MOST_CHARACTERS)


def _cell(text: str) -> str:
    """Return text that a spreadsheet program shows and does not run."""
    clean = shown(text, MOST_CHARACTERS)
    return f"'{clean}" if clean.lstrip(" ").startswith(FORMULA_STARTS) else clean
