"""The command line: one subcommand per stage, and the commands that run whole pipelines."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from refine_af import __version__
from refine_af.contracts.errors import EXIT_BUG, ParameterError, RefineAfError, nearest
from refine_af.contracts.params import choices, scalar_type
from refine_af.contracts.progress import printable
from refine_af.contracts.stage import EVERY_STAGE_WRITES, RECORDS, Artifact, Stage
from refine_af.contracts.termination import report_termination
from refine_af.stages import STAGES

RESUME = ("if_possible", "always", "never")


def stage_command(stage: Stage) -> click.Command:
    """Return the subcommand of a stage: an option per input, output and parameter."""
    options: list[click.Parameter] = [
        *[_artifact(item, "in") for item in stage.taken],
        *[_artifact(item, "out") for item in (*stage.outputs, *EVERY_STAGE_WRITES, RECORDS)],
        click.Option(
            ["--inputs-dir"], default="", metavar="DIR", help="Takes DIR/NAME as each input there."
        ),
        click.Option(
            ["--outputs-dir"], default="", metavar="DIR", help="Writes every output to DIR/NAME."
        ),
        *[_parameter(stage, name) for name in stage.params.model_fields],
        click.Option(["--work-dir"], default="", help="Folder or URI of the journals."),
        click.Option(["--label"], default="", help="Name of this task in progress reports."),
        click.Option(["--resume"], type=click.Choice(RESUME), default=RESUME[0], show_default=True),
    ]
    return click.Command(
        stage.command,
        params=options,
        callback=_runner(stage),
        help=f"{stage.summary}\n\nSource: {stage.source}",
        short_help=stage.summary,
    )


def _artifact(item: Artifact, group: str) -> click.Option:
    flag = f"--{item.name.replace('_', '-')}"
    needed = "" if item.optional or item in (*EVERY_STAGE_WRITES, RECORDS) else " [required]"
    return click.Option([flag, f"{group}__{item.name}"], metavar="PATH", help=item.summary + needed)


def _parameter(stage: Stage, name: str) -> click.Option:
    field = stage.params.model_fields[name]
    words = choices(field.annotation)
    kind = "|".join(words) if words else scalar_type(field.annotation).__name__.upper()
    shown = "required" if field.is_required() else f"default: {field.default!r}"
    return click.Option(
        [f"--{name.replace('_', '-')}", f"param__{name}"],
        required=field.is_required(),
        metavar=kind,
        help=f"{field.description} [{shown}]",
    )


def _runner(stage: Stage) -> Callable[..., None]:
    def run(
        inputs_dir: str,
        outputs_dir: str,
        work_dir: str,
        label: str,
        resume: Any,  # noqa: ANN401  one of RESUME
        **values: str | None,
    ) -> None:
        from refine_af.lineage.records import as_records
        from refine_af.runner import end_as_ctrl_c_does, run_stage

        end_as_ctrl_c_does()
        given = _present(stage, inputs_dir) | _group(values, "in__")
        with as_records(stage, given) as inputs:
            metrics = run_stage(
                stage.name,
                inputs=inputs,
                outputs=_places(stage, outputs_dir) | _group(values, "out__"),
                params=_group(values, "param__"),
                work_dir=work_dir,
                label=label,
                resume=resume,
            )
        for name, value in metrics.items():
            click.echo(f"{name}\t{value:g}")

    return run


def _present(stage: Stage, folder: str) -> dict[str, str]:
    """Return the inputs that lie in ``folder`` under their names."""
    names = [item.name for item in stage.taken] if folder else []
    return {name: f"{folder}/{name}" for name in names if Path(folder, name).exists()}


def _places(stage: Stage, folder: str) -> dict[str, str]:
    """Return a path in ``folder``, which may be a URI, for every output."""
    items = (*stage.outputs, *EVERY_STAGE_WRITES) if folder else ()
    return {item.name: f"{folder.rstrip('/')}/{item.name}" for item in items}


def _group(values: dict[str, str | None], prefix: str) -> dict[str, str]:
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix) and value is not None
    }


class LazyGroup(click.Group):
    """A group whose pipeline commands load kfp only when one of them is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the pipeline commands, then the stages in the order of the DAG."""
        return [*PIPELINE_COMMANDS, *(stage.command for stage in STAGES)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, or None."""
        if cmd_name in PIPELINE_COMMANDS:
            module, name = PIPELINE_COMMANDS[cmd_name].rsplit(".", 1)
            command = getattr(import_module(f"refine_af.{module}"), name)
            assert isinstance(command, click.Command)  # noqa: S101  a wrong table is a bug
            return command
        return next((stage_command(stage) for stage in STAGES if stage.command == cmd_name), None)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command, or an error that names the nearest one."""
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            ctx.fail(
                f"{args[0]!r} is not a command.{nearest(args[0], known)} `refine-af --help` lists"
                " them"
            )
        return super().resolve_command(ctx, args)


PIPELINE_COMMANDS = {
    "run": "commands.run",
    "preview": "commands.preview",
    "compile": "cluster_commands.compile_pipeline",
    "submit": "cluster_commands.submit",
    "presets": "commands.presets",
    "config": "pipelines.configuration.config_commands",
    "score-predictions": "commands.score_predictions",
    "sweep": "commands.sweep",
    "export": "commands.export",
    "runs": "commands.runs",
    "compare": "commands.compare",
    "status": "commands.status",
    "explain": "commands.explain",
    "trace": "commands.trace",
    "verify": "commands.verify",
    "refilter": "commands.refilter",
    "timing": "commands.timing",
    "rating-sheet": "commands.rating_sheet",
    "read-ratings": "commands.read_ratings",
    "judge": "commands.judge",
    "preflight": "commands.preflight",
    "convert-model": "commands.convert_model",
    "doctor": "commands.doctor",
}

root = LazyGroup(
    "refine-af",
    help="Instruction data and fine-tuned small LLMs from automated feedback.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
root.params.append(
    click.Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=lambda ctx, _param, value: _version(ctx) if value else None,
        help="Print the version.",
    )
)


def _version(context: click.Context) -> None:
    click.echo(__version__)
    context.exit()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return (and exit with) its exit code."""
    try:
        code = root.main(args=arguments, prog_name="refine-af", standalone_mode=False)
        exit_code = code if isinstance(code, int) else 0
    except click.exceptions.Abort:
        click.echo(
            "refine-af: interrupted; the same command continues what has a journal", err=True
        )
        exit_code = 130
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()  # the help itself
        exit_code = ParameterError.exit_code
    except click.ClickException as error:
        exit_code = _told(ParameterError(_misuse(error)))
    except RefineAfError as error:
        exit_code = _told(error)
    except Exception as error:
        from refine_af.storage.atomic import disk_trouble

        trouble = disk_trouble(error)
        exit_code = _told(trouble) if trouble else _bug(error)
    if arguments is None:
        sys.exit(exit_code)
    return exit_code


def _misuse(error: click.ClickException) -> str:
    """Return what is wrong with the words of a command, in one line, and where they are listed."""
    message = " ".join(error.format_message().split())
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None or context.parent is None:  # of the whole: it says so itself
        return message
    command = context.command_path
    name = command.removeprefix("refine-af ")
    return f"{name}: {message} `{command} --help` lists what there is"


def _told(error: RefineAfError) -> int:
    lines = [printable(line) for line in str(error).split("\n")]
    click.echo("refine-af: " + "\n".join(lines), err=True)
    report_termination(str(error))
    return error.exit_code


def _bug(error: Exception) -> int:
    import traceback

    traceback.print_exc()
    report_termination(f"{type(error).__name__}: {error} (a bug; see the log)")
    click.echo("refine-af: this is a bug; please report it with the lines above", err=True)
    return EXIT_BUG
