"""``refine-af export``."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from refine_af.contracts.errors import ParameterError
from refine_af.export.formats import FORMATS, Format
from refine_af.lineage.mixture import refuse_mixture
from refine_af.lineage.run import open_run

if TYPE_CHECKING:
    from refine_af.export.source import Source  # loads numpy


@click.command()
@click.option("--run", "run", default="", metavar="RUN", help="Folder or URI of a run.")
@click.option("--arm", default="rl", show_default=True, help="Arm of that run.")
@click.option("--instances", default="", metavar="FILE", help="Instead of --run: instances.")
@click.option("--seeds", default="", metavar="FILE", help="With --instances: their seed tasks.")
@click.option("--model", default="", help="With --instances: the model that wrote them.")
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="Shape of rows.")
@click.option(
    "--template",
    type=click.Choice(["plain", "alpaca", "tk_instruct"]),
    default="plain",
    show_default=True,
    help="Words around a row, for prompt-completion.",
)
@click.option(
    "--test-share",
    default=0.0,
    show_default=True,
    help="Share of rows in a test split by task family; 0: no split.",
)
@click.option("--output", required=True, metavar="DIR", help="Folder or URI to write.")
@click.option("--model-licence", default="", help="The model's terms, where no page states them.")
@click.option(
    "--licence", default="", metavar="ID", help="Your decision where a source's is unknown."
)
@click.option("--push-to-hub", "repository", default="", metavar="OWNER/NAME", help="Upload it.")
@click.option("--public", is_flag=True, help="A new repository is private without this.")
def export(
    run: str,
    arm: str,
    instances: str,
    seeds: str,
    model: str,
    form: str,
    template: str,
    test_share: float,
    output: str,
    model_licence: str,
    licence: str,
    repository: str,
    public: bool,
) -> None:
    """Write a run's instruction data in the form of another tool, with its data card."""
    from refine_af.export.licence import find_terms
    from refine_af.export.publish import Export, publish

    if repository and "://" in output:
        raise ParameterError("--push-to-hub uploads a local folder; give --output a local one")
    source = _source(run, arm, instances, seeds, model)
    terms = find_terms(source.seeds, source.model, model_licence, licence)
    options = {"model": model, "model-licence": model_licence, "licence": licence}
    given = {name: value for name, value in options.items() if value}
    written = publish(
        source, terms, Export(cast(Format, form), template, output, given, test_share)
    )
    files = ", ".join(f"{file.rows:,} rows in {file.name}" for file in written.files.values())
    click.echo(f"{output}: {files}")
    click.echo(f"licence: {', '.join(terms.published)}{' (stated)' if terms.stated else ''}")
    for note in source.notes:
        click.echo(f"note: {note}")
    if repository:
        from refine_af.export.hub import push

        click.echo(f"uploaded: {push(Path(output), repository, public=public)}")


def _source(run: str, arm: str, instances: str, seeds: str, model: str) -> "Source":
    from refine_af.export.source import source_of_files, source_of_run

    if bool(run) == bool(instances):
        raise ParameterError("give either --run DIR or --instances FILE")
    if run:
        if seeds or model:
            raise ParameterError("--seeds and --model belong to --instances; a run knows its own")
        return source_of_run(refuse_mixture(open_run(run)), arm)
    for name, path in (("--instances", instances), ("--seeds", seeds)):
        if path and not Path(path).is_file():
            raise ParameterError(f"{name} {path}: no such file")
    return source_of_files(Path(instances), Path(seeds) if seeds else None, model)
