"""The report of a run: one HTML file, the same in Markdown, and flat numbers."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from refine_af import __version__
from refine_af.contracts.groups import grouped
from refine_af.evaluation.compare import Comparison
from refine_af.evaluation.fairness import Refusal
from refine_af.reporting import text, words
from refine_af.reporting.answer import percent
from refine_af.reporting.contents import find_contents, is_embedded, run_facts
from refine_af.reporting.funnel import REASONS
from refine_af.reporting.inputs import Report, ReportInputs
from refine_af.reporting.numbers import flat_metrics

PAGE = Path(__file__).parent / "page"


def render(inputs: ReportInputs) -> Report:
    """Return the report; the same inputs give the same bytes.

    The page holds no time, host or path: seconds and rates have their own page, see ``timing``.
    50,000 rows take some seconds, most of them for charts and the similarity to the seeds.
    """
    contents = find_contents(inputs)
    values: dict[str, Any] = {
        "inputs": inputs,
        "contents": contents,
        "answer": contents.answer,
        "funnel": contents.funnel,
        "evaluated": list(contents.answer.summaries),
        "comparisons": _comparisons(contents.answer.main, contents.answer.others),
        "words": words,
        "reasons": REASONS,
        "version": __version__,
        "parts": grouped(inputs.tasks),
        "run": run_facts(inputs.manifest),
        "embedded": is_embedded(inputs.manifest),
        **page_parts(),
    }
    return Report(
        html=environment("html").get_template("report.html.j2").render(values),
        markdown=environment("md").get_template("report.md.j2").render(values),
        metrics=flat_metrics(inputs, contents),
        answer=contents.answer.sentence,
    )


def page_parts() -> dict[str, str]:
    """Return the style, the script and the script's hash for the content security policy."""
    script = (PAGE / "tables.js").read_text(encoding="utf-8")
    style = (PAGE / "style.css").read_text(encoding="utf-8")
    return {"style": style, "script": script, "script_hash": script_hash(script)}


def script_hash(script: str) -> str:
    """Return what a content security policy allows this script by."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"sha256-{digest}"


@cache
def environment(kind: str, folder: Path = PAGE) -> Environment:
    """Return the Jinja2 environment of ``html``, which escapes all text, or of ``md``."""
    jinja = Environment(
        loader=FileSystemLoader(folder),
        autoescape=kind == "html",  # noqa: S701  Markdown is escaped by its own filters
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    jinja.filters |= {
        "shown": text.shown,
        "points": text.points,
        "signed": text.signed_points,
        "number": text.number,
        "chance": text.chance,
        "percent": percent,
        "cell": text.markdown_cell,
        "block": text.markdown_block,
    }
    jinja.tests["refusal"] = lambda value: isinstance(value, Refusal)
    return jinja


def _comparisons(
    main: Comparison | Refusal | None, others: tuple[Comparison | Refusal, ...]
) -> list[Comparison | Refusal]:
    return [*([main] if main else []), *others]
