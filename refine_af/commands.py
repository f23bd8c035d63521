"""The commands that work on whole pipelines or on finished artifacts; stages are in ``cli``."""

import json
from pathlib import Path
from typing import Any, get_args

import click

from refine_af import __version__
from refine_af.contracts.errors import MissingLibraryError, ParameterError, missing_library
from refine_af.contracts.progress import printable
from refine_af.export.command import export as export
from refine_af.lineage.command import compare as compare
from refine_af.lineage.command import explain as explain
from refine_af.lineage.command import refilter as refilter
from refine_af.lineage.command import runs as runs
from refine_af.lineage.command import status as status
from refine_af.lineage.command import trace as trace
from refine_af.lineage.command import verify as verify
from refine_af.rating.command import judge as judge
from refine_af.rating.command import rating_sheet as rating_sheet
from refine_af.rating.command import read_ratings as read_ratings
from refine_af.rating.preflight import preflight as preflight
from refine_af.storage.journal import Resume

PRESET = click.option(
    "--preset", default="quickstart", show_default=True, help="A packaged preset."
)
CONFIG = click.option(
    "-c", "--config", default="", metavar="FILE", help="YAML laid over the preset; same keys."
)
SET = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="STAGE.PARAM=VALUE",
    help="Change one parameter; repeat as needed. Without STAGE: a parameter of the pipeline.",
)


LIMIT = click.option(
    "--limit",
    type=click.IntRange(1),
    default=None,
    metavar="N",
    help="At most N of what every stage counts: instructions and requests for them, rows, updates,"
    " instances of a task; --dry-run shows them.",
)
PRICE = click.option(
    "--price-per-gpu-hour", type=float, default=None, help="Shows money, also while it runs."
)


def need_kfp(extra: str = "pipelines") -> None:
    """Raise a MissingLibraryError where kfp is not installed; ``extra`` brings it."""
    try:
        import kfp  # noqa: F401
    except ImportError as error:
        raise missing_library(error, "a pipeline", f"pip install 'refine-af[{extra}]'") from None


@click.command()
@PRESET
@CONFIG
@SET
@click.option(
    "--output-dir",
    default="",
    metavar="DIR",
    help="Default: runs/<preset>-seed<seed>-<digest of the configuration>.",
)
@click.option("--seed", type=int, default=None, help="Seed of all randomness.")
@LIMIT
@click.option("--dry-run", is_flag=True, help="Show the DAG, the parameters and an estimate.")
@click.option(
    "--only", default="", metavar="TASK", help="Run one task on an earlier run's artifacts."
)
@click.option("--from", "since", default="", metavar="TASK", help="Run this task and all after it.")
@click.option(
    "--resume",
    type=click.Choice(get_args(Resume)),
    default="if_possible",
    show_default=True,
    help="always: refuse when the folder holds no run of this configuration, code and input;"
    " never: compute everything again.",
)
@click.option(
    "--replace",
    is_flag=True,
    help="Replace a run of another configuration in the folder, once this one is whole.",
)
@click.option(
    "--runner",
    type=click.Choice(["subprocess", "docker"]),
    default="subprocess",
    show_default=True,
    help="docker: every task in its image, as on a cluster.",
)
@click.option("--registry", default="", help="With --runner docker: put before images' names.")
@click.option("--tag", default="", help="With --runner docker: image tag; default: this version.")
@PRICE
def run(
    preset: str,
    config: str,
    assignments: tuple[str, ...],
    output_dir: str,
    seed: int | None,
    limit: int | None,
    dry_run: bool,
    only: str,
    since: str,
    runner: str,
    registry: str,
    tag: str,
    price_per_gpu_hour: float | None,
    resume: Resume,
    replace: bool,
) -> None:
    """Run a pipeline on this machine through KFP's local runner.

    Run again with the same output folder: finished tasks republish, a killed one continues.
    """
    from refine_af.pipelines.config import base_preset, load_config
    from refine_af.pipelines.inputs import check_contents
    from refine_af.pipelines.limit import limited
    from refine_af.pipelines.plan import dry_run_text
    from refine_af.pipelines.succession import default_folder
    from refine_af.pipelines.tasks import planned

    if only and since:
        raise ParameterError("--only and --from exclude each other; give one")
    extra = () if seed is None else (f"seed={seed}",)
    chosen = load_config(preset, config).with_values(assignments + extra)
    chosen = limited(chosen, limit) if limit else chosen
    check_contents(planned(chosen))
    base = base_preset(preset, config)
    folder = Path(output_dir) if output_dir else default_folder(base, chosen)
    if dry_run:
        click.echo(dry_run_text(chosen, load_config(base, ""), folder))
        return
    need_kfp("local")
    from rich.console import Console

    from refine_af.health import require_for_run
    from refine_af.pipelines import execute
    from refine_af.pipelines.flow import Images
    from refine_af.pipelines.summary import closing_lines

    if runner == "subprocess":
        require_for_run(chosen.engines)
    images = Images(registry, tag or __version__) if runner == "docker" else None
    request = execute.RunRequest(
        chosen,
        folder,
        only,
        since,
        resume,
        images,
        replace,
        f"{base} + {Path(config).name}" if config else base,
        price_per_gpu_hour,
    )
    result = execute.run(request, Console(stderr=True))
    write_timing(str(folder), folder / "timing.html", price_per_gpu_hour)
    click.echo(closing_lines(result, folder))
    click.echo(f"timing: {folder / 'timing.html'}")


@click.command()
@PRESET
@CONFIG
@SET
@click.option(
    "--limit",
    default=10,
    show_default=True,
    type=click.IntRange(1),
    metavar="N",
    help="Requests of each stage.",
)
@click.option(
    "--json", "target", default="", metavar="FILE", help="Also write the calls as JSON Lines."
)
def preview(
    preset: str, config: str, assignments: tuple[str, ...], limit: int, target: str
) -> None:
    """Show the first rows of a run: prompts, raw answers, what was read, and the reward's parts.

    The first stages work with the run's own model. Nothing is kept on disk, unless --json asks.
    """
    from dataclasses import asdict

    from refine_af.contracts.jsonl import write_rows
    from refine_af.pipelines.config import load_config
    from refine_af.pipelines.inputs import check_contents
    from refine_af.pipelines.preview import first_calls
    from refine_af.pipelines.preview_text import preview_text
    from refine_af.pipelines.tasks import planned

    chosen = load_config(preset, config).with_values(assignments)
    check_contents(planned(chosen))
    if target and not Path(target).absolute().parent.is_dir():
        raise ParameterError(f"--json {target}: there is no such folder; make it first")
    calls = first_calls(chosen, limit)
    if target:
        write_rows(Path(target), map(asdict, calls))
    click.echo(preview_text(calls))


@click.command()
def presets() -> None:
    """List the packaged presets and hardware profiles."""
    from refine_af.pipelines.config import load_config, preset_names
    from refine_af.pipelines.devices import GPUS
    from refine_af.pipelines.estimate import summary_line
    from refine_af.targets.profile import load_profile, profile_names

    click.echo("presets")
    for name in preset_names():
        config = load_config(name, "")
        click.echo(f"  {name:16} {config.summary}")
        for line in filter(None, (summary_line(config, profile) for profile in GPUS)):
            click.echo(f"  {'':16}   {line}")
    click.echo("profiles")
    for name in profile_names():
        click.echo(f"  {name:16} {load_profile(name).summary}")


@click.command()
@click.argument("uri", metavar="RUN")
@click.option("--output", default="timing.html", show_default=True, metavar="FILE")
@PRICE
def timing(uri: str, output: str, price_per_gpu_hour: float | None) -> None:
    """Show where the time of a run went: seconds, GPU-seconds, tokens and, with a price, money.

    RUN is the path or URI of a run on this machine, of Argo or of KFP.
    """
    click.echo(write_timing(uri, Path(output), price_per_gpu_hour))


def write_timing(uri: str, target: Path, price_per_gpu_hour: float | None) -> str:
    """Write the page of a run's telemetry and return the same as Markdown."""
    from refine_af.lineage.run import Run
    from refine_af.lineage.telemetry import telemetry_of
    from refine_af.reporting.timing import render_timing

    page = render_timing(telemetry_of(Run(uri)), price_per_gpu_hour=price_per_gpu_hour)
    target.write_text(page.html, encoding="utf-8", newline="\n")
    return page.markdown


@click.command("convert-model")
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="FOLDER", type=click.Path(path_type=Path))
def convert_model(source: str, target: Path) -> None:
    """Write a model with pickled weights (.bin) anew, with safetensors.

    SOURCE is a folder, s3://BUCKET/KEY, gs://BUCKET/KEY or a Hub id such as org/name@revision. Only
    tensors are read from the pickles: a file that holds code is refused, and nothing in it runs.
    Configuration and tokenizer come along; code does not.
    """
    try:
        from refine_af.engines.convert import convert_model as convert
    except ImportError as error:
        remedy = "pip install 'refine-af[train]'"
        raise missing_library(error, "convert-model", remedy) from None
    click.echo(f"{convert(source, target)} tensors written to {target}")


@click.command()
@click.option(
    "--references",
    required=True,
    metavar="FILE",
    help="JSON Lines as of the official script: id, references, task_id, task_category, track"
    " (default or xlingual; may be absent).",
)
@click.option("--predictions", required=True, metavar="FILE", help="JSON Lines: id, prediction.")
@click.option("--gpt2-tokenizer", metavar="FILE", help="Its tokenizer.json, for other languages.")
def score_predictions(references: str, predictions: str, gpt2_tokenizer: str | None) -> None:
    """Score existing predictions of any system with the official SUPER-NI metrics.

    Prints ROUGE-L and exact match overall, per category and per task, in points from 0 to 100.
    Every reference needs a prediction; one that stayed empty is an empty string.
    """
    from refine_af.evaluation.gpt2_tokens import gpt2_tokenizer as read_tokenizer
    from refine_af.evaluation.predictions import score_predictions as scored
    from refine_af.evaluation.summary import official, summarise

    tokenizer = read_tokenizer(Path(gpt2_tokenizer)) if gpt2_tokenizer else None
    rows = scored(Path(references), Path(predictions), tokenizer=tokenizer)
    click.echo(json.dumps(official(summarise(rows)), indent=1))


@click.command()
@click.option("--instructions", required=True, metavar="FILE", help="Instructions to train on.")
@click.option(
    "--prompts", default="", metavar="FILE", help="To write instances for; default: the same."
)
@click.option("--output-dir", required=True, metavar="DIR", help="Cells, journals and tables.")
@click.option("--seeds", default="1,2,3", show_default=True, help="Comma separated.")
@click.option("--rewards", default="balanced", show_default=True, help="Presets.")
@click.option(
    "--algorithms", default="ppo,best_of_n", show_default=True, help="ppo, rloo, grpo, best_of_n."
)
@click.option("--ablate", is_flag=True, help="Also with each term of a preset off.")
@click.option("--samples", default=4, show_default=True, help="The n of best_of_n.")
@SET
def sweep(
    instructions: str,
    prompts: str,
    output_dir: str,
    seeds: str,
    rewards: str,
    algorithms: str,
    ablate: bool,
    samples: int,
    assignments: tuple[str, ...],
) -> None:
    """Train a small grid and merge it into one table with intervals.

    Run again with the same output folder: finished cells cost nothing, a killed one continues.
    """
    from refine_af.sweep import Grid, Sweep, table

    try:
        numbers = tuple(int(seed) for seed in _listed(seeds))
    except ValueError:
        raise ParameterError(f"--seeds is {seeds!r}; give numbers, comma separated") from None
    chosen: Any = _listed(algorithms)
    grid = Grid(numbers, _listed(rewards), chosen, ablate, samples)
    prompts_path = Path(prompts or instructions)
    planned = Sweep(Path(instructions), prompts_path, Path(output_dir), _by_stage(assignments))
    click.echo(table(planned.run(grid)))


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _by_stage(assignments: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Return ``{stage: {parameter: value}}`` of ``STAGE.PARAM=VALUE``."""
    by_stage: dict[str, dict[str, str]] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        stage, dot, name = key.strip().partition(".")
        if not (equals and dot):
            raise ParameterError(f"--set {text!r}: write it as stage.param=value")
        by_stage.setdefault(stage, {})[name] = value
    return by_stage


@click.command()
@click.option("--stage", default="", help="Check what this stage needs; default: all stages.")
def doctor(stage: str) -> None:
    """Show which stages can start in this environment, and which extra each one needs."""
    from refine_af.health import EXTRAS, check, missing_modules
    from refine_af.runner import find_stage
    from refine_af.stages import STAGES

    problems = {item.name: check(item) for item in ([find_stage(stage)] if stage else STAGES)}
    for name, lines in problems.items():
        click.echo(f"{name:22} {'; '.join(map(printable, lines)) or 'ready'}")
    if not stage:
        click.echo("\nextra        here       for (pip install 'refine-af[EXTRA]')")
        for extra in EXTRAS:
            state = "missing" if missing_modules(extra.modules) else "installed"
            click.echo(f"{extra.name:12} {state:10} {extra.purpose}")
    if any(problems.values()):
        raise MissingLibraryError("some stages cannot start here; see the lines above")
