"""``refine-af rating-sheet``, ``read-ratings`` and ``judge``."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.jsonl import read_rows
from refine_af.contracts.records import Prediction
from refine_af.evaluation.task_sets import load_tasks
from refine_af.rating.sheet import Item, make_sheet
from refine_af.stages.engine_params import EngineParams, open_engine
from refine_af.storage.sources import fetch_source

Decorator = Callable[[Any], Any]


def _with_answers(command: Any) -> Any:  # noqa: ANN401  click's decorators are untyped here
    options: Sequence[Decorator] = (
        click.option("--tasks", required=True, metavar="URI", help="The evaluated tasks."),
        click.option(
            "--predictions",
            "named",
            multiple=True,
            required=True,
            metavar="ARM=FILE",
            help="Predictions of `evaluate`, by arm; repeat for each arm.",
        ),
        click.option("--first", default=100, show_default=True, help="Instances of each task."),
        click.option("--questions", default=0, help="So many, at random; 0: all."),
        click.option("--seed", default=1, show_default=True, help="Of choice and order."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("rating-sheet")
@_with_answers
@click.option("--output", required=True, metavar="DIR", help="Folder for the sheet and its key.")
def rating_sheet(
    tasks: str, named: tuple[str, ...], first: int, questions: int, seed: int, output: str
) -> None:
    """Write a shuffled, anonymous sheet of answers for people to rate from A to D.

    Give raters sheet.csv or sheet.html; keep key.json, which says whose answer is whose.
    """
    from refine_af.rating.pages import key_json, sheet_csv, sheet_html

    items = _items(tasks, named, first, questions, seed)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (
        # Spreadsheet programs take a file without the mark for another encoding.
        ("sheet.csv", "\ufeff" + sheet_csv(items)),
        ("sheet.html", sheet_html(items)),
        ("key.json", key_json(items, seed)),
    ):
        (folder / name).write_text(text, encoding="utf-8", newline="")
    click.echo(f"{folder}: {len(items)} answers; raters get sheet.csv or sheet.html, not key.json")


@click.command("read-ratings")
@click.option("--key", "key_file", required=True, metavar="FILE", help="key.json of the sheet.")
@click.argument("sheets", nargs=-1, required=True, metavar="RATED.csv...")
def read_ratings(key_file: str, sheets: tuple[str, ...]) -> None:
    """Read filled-in sheets, one per rater: levels per arm, pairs of arms, agreement."""
    from refine_af.rating import ratings

    paths = [_existing(name) for name in sheets]
    key = ratings.read_key(_existing(key_file))
    raters = {
        name: ratings.read_ratings(path, key)
        for name, path in zip(ratings.rater_names(paths), paths, strict=True)
    }
    click.echo(json.dumps(ratings.result(raters, key), indent=1, ensure_ascii=False))


@click.command("judge")
@_with_answers
@click.option(
    "--engine",
    type=click.Choice(["transformers", "vllm", "openai", "scripted"]),
    default="openai",
    show_default=True,
    help="Text engine of the judge.",
)
@click.option("--model", required=True, help="The judge model.")
@click.option("--base-url", default="", help="Address of an OpenAI-compatible endpoint.")
@click.option("--chat", is_flag=True, help="Put prompts into the model's chat template.")
def judge(
    tasks: str,
    named: tuple[str, ...],
    first: int,
    questions: int,
    seed: int,
    engine: str,
    model: str,
    base_url: str,
    chat: bool,
) -> None:
    """Let a judge model compare the first two arms, each pair in both orders. No human rating."""
    from refine_af.rating.judge import judge as judged

    if len(named) != 2:
        raise ParameterError(f"judge compares two arms; {len(named)} --predictions were given")
    items = _items(tasks, named, first, questions, seed)
    values = {"engine": engine, "model": model, "base_url": base_url, "chat": chat}
    opened = open_engine(EngineParams.parse(values, where="judge"), None)
    arms = [one.partition("=")[0] for one in named]
    click.echo(json.dumps(judged(items, arms[0], arms[1], opened), indent=1, ensure_ascii=False))
    opened.close()


def _items(uri: str, named: tuple[str, ...], first: int, questions: int, seed: int) -> list[Item]:
    arms: dict[str, list[Prediction]] = {}
    for one in named:
        arm, equals, path = one.partition("=")
        if not equals or not arm or arm in arms:
            raise ParameterError(f"--predictions {one!r}: write it as ARM=FILE, each arm once")
        arms[arm] = read_rows(_existing(path), Prediction)
    with tempfile.TemporaryDirectory() as scratch:
        found = load_tasks([fetch_source(uri, Path(scratch))], first=first).tasks
    return make_sheet(found, arms, seed=seed, count=questions)


def _existing(name: str) -> Path:
    if not Path(name).is_file():
        raise ParameterError(f"{name}: no such file")
    return Path(name)
