"""``refine-af rating-sheet``, ``read-ratings`` and ``judge``."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.engines.opening import open_engine
from refine_af.engines.params import EngineParams
from refine_af.rating.answers import (
    Answers,
    answers_of_files,
    answers_of_run,
    existing,
    questions_of,
)
from refine_af.rating.sheet import make_sheet

Decorator = Callable[[Any], Any]


def _with_answers(command: Any) -> Any:  # noqa: ANN401  click's decorators are untyped here
    options: Sequence[Decorator] = (
        click.option(
            "--run", "run", default="", metavar="RUN", help="Folder or URI of a run: its answers."
        ),
        click.option(
            "--arm", "chosen", multiple=True, help="With --run: an arm; repeat; default: all."
        ),
        click.option(
            "--tasks", default="", metavar="URI", help="The evaluated tasks; a run knows its own."
        ),
        click.option(
            "--predictions",
            "named",
            multiple=True,
            metavar="ARM=FILE",
            help="Instead of --run: predictions of `evaluate`, by arm; repeat for each arm.",
        ),
        click.option(
            "--first", default=0, help="Instances of each task; 0: as many as were answered."
        ),
        click.option("--questions", default=0, help="So many, at random; 0: all."),
        click.option("--seed", default=1, show_default=True, help="Of choice and order."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _answers(run: str, chosen: tuple[str, ...], tasks: str, named: tuple[str, ...]) -> Answers:
    if bool(run) == bool(named):
        raise ParameterError("give either --run RUN or --predictions ARM=FILE with --tasks URI")
    if run:
        return answers_of_run(run, chosen, tasks)
    if chosen or not tasks:
        raise ParameterError("--predictions needs --tasks URI, and --arm belongs to --run")
    return answers_of_files(named, tasks)


@click.command("rating-sheet")
@_with_answers
@click.option("--output", required=True, metavar="DIR", help="Folder for the sheet and its key.")
def rating_sheet(
    run: str,
    chosen: tuple[str, ...],
    tasks: str,
    named: tuple[str, ...],
    first: int,
    questions: int,
    seed: int,
    output: str,
) -> None:
    """Write a shuffled, anonymous sheet of answers for people to rate from A to D.

    Give raters sheet.csv or sheet.html; keep key.json, which says whose answer is whose.
    """
    from refine_af.rating.pages import key_json, sheet_csv, sheet_html

    answers = _answers(run, chosen, tasks, named)
    items = make_sheet(questions_of(answers, first), answers.arms, seed=seed, count=questions)
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

    paths = [existing(name) for name in sheets]
    key = ratings.read_key(existing(key_file))
    raters = {
        name: ratings.read_ratings(path, key)
        for name, path in zip(ratings.rater_names(paths), paths, strict=True)
    }
    if not any(raters.values()):
        raise DataError(
            f"{', '.join(sheets)}: no answer has a rating; write A, B, C or D into the column"
            " `rating`"
        )
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
@click.option(
    "--chat/--no-chat",
    default=None,
    help="Put prompts into the model's chat template; by default with an endpoint.",
)
def judge(
    run: str,
    chosen: tuple[str, ...],
    tasks: str,
    named: tuple[str, ...],
    first: int,
    questions: int,
    seed: int,
    engine: str,
    model: str,
    base_url: str,
    chat: bool | None,
) -> None:
    """Let a judge model compare two arms, each pair in both orders. No human rating."""
    from refine_af.rating.judge import judge as judged

    answers = _answers(run, chosen, tasks, named)
    arms = [arm for arm in answers.arms if chosen or named or arm != "start"]
    if len(arms) != 2:
        raise ParameterError(
            f"judge compares two arms; there are {len(arms)}: {', '.join(arms)}; name two with"
            " --arm (or --predictions)"
        )
    compared = {arm: answers.arms[arm] for arm in arms}
    items = make_sheet(questions_of(answers, first), compared, seed=seed, count=questions)
    asked = engine == "openai" if chat is None else chat
    values = {"engine": engine, "model": model, "base_url": base_url, "chat": asked}
    opened = open_engine(EngineParams.parse(values, where="judge"), None)
    click.echo(json.dumps(judged(items, arms[0], arms[1], opened), indent=1, ensure_ascii=False))
    opened.close()
