"""``refine-af explain``, ``trace``, ``verify`` and ``status``."""

import json
from pathlib import Path

import click

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.progress import printable
from refine_af.lineage.run import ARTIFACTS

RUN = click.option(
    "--run",
    "folder",
    default="",
    metavar="RUN",
    help="Folder or URI of a run, also of Argo or KFP; default: this folder, else the newest one"
    " in runs/.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@click.argument("row_id")
@RUN
@JSON
def explain(row_id: str, folder: str, as_json: bool) -> None:
    """Print the history of one row, kept or dropped, from seeds to evaluation."""
    from refine_af.lineage.mixture import refuse_mixture
    from refine_af.lineage.passport import passport
    from refine_af.lineage.passport_text import passport_lines
    from refine_af.lineage.run import open_run

    facts = passport(refuse_mixture(open_run(chosen_run(folder))), row_id)
    click.echo(_json(facts) if as_json else "\n".join(passport_lines(facts)))


@click.command()
@click.option("--seed", required=True, metavar="ID", help="Such as seed_017 (the file's own id).")
@RUN
@JSON
def trace(seed: str, folder: str, as_json: bool) -> None:
    """List every row that goes back to a seed task."""
    from dataclasses import asdict

    from refine_af.lineage.mixture import refuse_mixture
    from refine_af.lineage.run import open_run
    from refine_af.lineage.trace import trace as traced

    result = traced(refuse_mixture(open_run(chosen_run(folder))), seed)
    if as_json:
        click.echo(_json(asdict(result)))
        return
    lines = [
        f"{row_id}\t{generation}\t{artifact}\n"
        for artifact, rows in result.descendants.items()
        for row_id, generation in rows.items()
    ]
    click.echo("".join(lines), nl=False)
    totals = [f"{count} in {name}" for name, count in result.counts().items()]
    trained = [f"{task} trained on {count}" for task, count in result.trained_on.items()]
    title = f"{result.seed['seed_id']} ({result.seed['licence']}, {result.seed['id']})"
    click.echo(printable(f"{title}: {'; '.join([*totals, *trained]) or 'none'}"), err=True)


@click.command()
@click.argument("folder", metavar="RUN")
@click.option("--expect", default="", metavar="SHA256", help="Digest that the run printed.")
@JSON
def verify(folder: str, expect: str, as_json: bool) -> None:
    """Check every byte of a finished run and the chain of digests from stage to stage.

    Exits with 65 when anything is altered, missing, foreign or does not fit together.
    """
    from dataclasses import asdict

    from refine_af.lineage.verify import verify_run

    result = verify_run(folder, expect)
    if as_json:
        click.echo(_json(asdict(result)))
    else:
        click.echo("\n".join(printable(line) for line in result.lines()))
    if result.problems:
        count = len(result.problems)
        raise DataError(f"{folder}: {count} problem{'s' * (count != 1)}; see the lines above")


@click.command()
@click.argument("folder", metavar="RUN")
@JSON
def status(folder: str, as_json: bool) -> None:
    """Show where a run stands, or what the journals of a work folder (path or URI) hold."""
    from refine_af.lineage.status import status_lines, status_of

    facts = status_of(folder)
    click.echo(_json(facts) if as_json else "\n".join(map(printable, status_lines(facts))))


@click.command()
@RUN
@click.option("--output", required=True, metavar="DIR", help="New folder.")
@click.option("--max-rouge-l", type=float, default=None, help="Bound of ROUGE-L in all filters.")
@click.option("--min-total", type=float, default=None, help="Least total reward of an instance.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="STAGE.PARAM=VALUE",
    help="Another parameter that decides about rows, such as dedup_filter.max_rows=1000.",
)
def refilter(
    folder: str,
    output: str,
    max_rouge_l: float | None,
    min_total: float | None,
    assignments: tuple[str, ...],
) -> None:
    """Filter a run's answers again with other thresholds, without a model; ids stay the same."""
    from refine_af.lineage.mixture import refuse_mixture
    from refine_af.lineage.refilter import Refilter
    from refine_af.lineage.refilter import refilter as filtered
    from refine_af.lineage.run import open_run

    changes: dict[str, dict[str, str | float]] = {}
    if max_rouge_l is not None:
        for stage in ("generate_instructions", "dedup_filter"):
            changes[stage] = {"max_rouge_l": max_rouge_l}
    for text in assignments:
        key, equals, value = text.partition("=")
        stage, dot, name = key.strip().partition(".")
        if not (equals and dot):
            raise ParameterError(f"--set {text!r}: write it as stage.param=value")
        changes.setdefault(stage, {})[name] = value
    asked = Refilter(refuse_mixture(open_run(chosen_run(folder))), Path(output), changes, min_total)
    for task, metrics in filtered(asked).items():
        numbers = ", ".join(f"{name} {value:g}" for name, value in metrics.items())
        click.echo(f"{task}: {numbers}")


@click.command()
@click.argument("folder", default="runs", metavar="DIR")
@JSON
def runs(folder: str, as_json: bool) -> None:
    """List the runs in a folder (default: runs/): preset, model, start, state and result."""
    from dataclasses import asdict

    from refine_af.lineage.overview import runs_in

    if not Path(folder).is_dir():
        raise ParameterError(f"{folder}: no such folder; name the one that holds the runs")
    rows = runs_in(Path(folder))
    if as_json:
        click.echo(_json([asdict(row) for row in rows]))
        return
    for row in rows:
        facts = [row.uri, row.preset or "-", row.model or "-", row.started or "-", row.state]
        click.echo(printable("  ".join(facts)))
        if row.result:
            click.echo(printable(f"    {row.result}"))


@click.command()
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@JSON
def compare(first: str, second: str, as_json: bool) -> None:
    """Say what differs between two runs: configuration and scores by arm."""
    from dataclasses import asdict

    from refine_af.lineage.overview import compare_runs
    from refine_af.lineage.run import open_run

    comparison = compare_runs(open_run(first), open_run(second))
    click.echo(
        _json(asdict(comparison)) if as_json else "\n".join(map(printable, comparison.lines()))
    )


def chosen_run(folder: str) -> str:
    """Return path or URI of the run that a command is about.

    Raises:
        ParameterError: When none is named and none is found.
    """
    if folder:
        return folder
    if Path(ARTIFACTS).is_dir():
        return "."
    runs = [path for path in Path("runs").glob("*") if (path / ARTIFACTS).is_dir()]
    if not runs:
        raise ParameterError("no run here and none in runs/; name one with --run DIR")
    newest = max(runs, key=lambda path: (path / ARTIFACTS).stat().st_mtime)
    click.echo(f"run: {newest}", err=True)
    return str(newest)


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False)
