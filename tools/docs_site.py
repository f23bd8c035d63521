"""A hook of MkDocs: adds pages that live elsewhere in the repository or derive from the code."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from refine_af.cli import root as cli
from refine_af.contracts import records
from refine_af.stages import STAGES
from refine_af.targets.pages import columns

ROOT = Path(__file__).parent.parent
PAGES = {
    "components/README.md": "how-to/component.md",
    "pipelines/README.md": "how-to/kfp.md",
    "manifests/argo/README.md": "how-to/argo.md",
    "manifests/README.md": "how-to/namespace.md",
    "seeds/README.md": "reference/seeds.md",
    "refine_af/README.md": "reference/package.md",
    "refine_af/builtin/README.md": "reference/embedded-model.md",
    "refine_af/evolve/README.md": "reference/evolve.md",
    "refine_af/pipelines/README.md": "reference/pipelines.md",
    "images/README.md": "reference/images.md",
    "benchmarks/README.md": "reference/benchmarks.md",
    "SECURITY.md": "reference/security.md",
    "DECISIONS.md": "decisions.md",
    **{
        f"components/{stage.name}/README.md": f"reference/stages/{stage.name}.md"
        for stage in STAGES
    },
}
"""Where each page of the repository stands in the site."""

_LINK = re.compile(r"\[([^\]]+)\]\(([^)#:]+)(#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the repository and the reference."""
    for source, target in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, target, content=relinked(text, source, target)))
    for target, text in reference_pages():
        files.append(File.generated(config, target, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:  # noqa: ANN401  mkdocs' Page
    """Turn links of a page in ``docs`` to other pages of the repository into links of the site."""
    if page.file.generated_by:
        return markdown
    source = f"docs/{page.file.src_uri}"
    return relinked(markdown, source, page.file.src_uri)


def relinked(text: str, source: str, target: str) -> str:
    """Return a page's text with its links as they are in the site.

    A link to a file that is no page of the site, such as a module, becomes its name as code.
    """

    def link(match: re.Match[str]) -> str:
        words, path, anchor = match.group(1), match.group(2), match.group(3) or ""
        where = normalised(PurePosixPath(source).parent / path)
        if where.startswith("docs/"):
            page = where.removeprefix("docs/")
        elif where in PAGES:
            page = PAGES[where]
        elif f"{where}/README.md" in PAGES:
            page = PAGES[f"{where}/README.md"]
        else:
            return words if words.startswith("`") else f"{words} (`{where}`)"
        return f"[{words}]({relative(page, target)}{anchor})"

    return _LINK.sub(link, text)


def normalised(path: PurePosixPath) -> str:
    """Return a path with its ``..`` resolved."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def relative(page: str, target: str) -> str:
    """Return the link from the page ``target`` to ``page``."""
    up = "../" * (len(PurePosixPath(target).parts) - 1)
    return up + page


def reference_pages() -> Iterator[tuple[str, str]]:
    """Yield the path and text of each page that derives from the code."""
    rows = [f"| [{stage.name}](stages/{stage.name}.md) | {stage.summary} |" for stage in STAGES]
    yield (
        "reference/stages.md",
        "\n".join(["# Stages", "", "| stage | what |", "| --- | --- |", *rows]),
    )
    yield "reference/records.md", records_page()
    yield "reference/cli.md", cli_page()


def records_page() -> str:
    """Return the columns of every record, from the models that check them."""
    lines = ["# Records", "", "The rows of artifacts: JSON Lines, one object a line."]
    for name, model in sorted(vars(records).items()):
        if isinstance(model, type) and issubclass(model, records.Row) and model is not records.Row:
            lines += ["", f"## {name}", "", (model.__doc__ or "").split("\n\n")[0], ""]
            lines += columns(model)
    return "\n".join(lines)


def cli_page() -> str:
    """Return the help of every command that is not a stage's."""
    context = click.Context(cli, info_name="refine-af")
    stages = {stage.command for stage in STAGES}
    lines = ["# Command line", "", "Each stage is a command too: see [Stages](stages.md)."]
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if command is not None and name not in stages:
            shown = command.get_help(click.Context(command, context, info_name=name))
            lines += ["", f"## {name}", "", "```text", shown, "```"]
    return "\n".join(lines)
