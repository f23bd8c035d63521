"""The commands that bring a pipeline to a cluster: ``compile`` and ``submit``."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from refine_af import __version__
from refine_af.commands import CONFIG, PRESET, SET, need_kfp
from refine_af.contracts.errors import ParameterError

CACHING_IS_OFF = (
    "images are named by tag, so caching is off: KFP's cache key holds the image's name, not its"
    " content. Give --images digests.json to pin images and switch it on."
)
NO_REGISTRY = (
    "images are named without a registry, so a cluster will ask the public one for them; give"
    " --registry{argo}"
)

_WHAT = (
    click.option("--pipeline", default="", help="Refuse a preset of another pipeline than this."),
    PRESET,
    CONFIG,
    SET,
    click.option(
        "--profile", default="cpu", show_default=True, help="Hardware profile or YAML file."
    ),
    click.option("--registry", default="", help="Put before every image's name."),
    click.option("--tag", default="", help="Image tag; default: this version."),
    click.option("--images", default="", metavar="FILE", help="JSON: sha256 digest by stage."),
    click.option(
        "--artifacts",
        default="",
        metavar="URI",
        help="Artifacts of an earlier run, one folder per task; for --only and --from.",
    ),
    click.option("--only", default="", metavar="TASK", help="Run one task on --artifacts."),
    click.option(
        "--notify",
        is_flag=True,
        help="Add an exit task: it tells the address in the secret's NOTIFY_URL how the run ended.",
    ),
    click.option(
        "--ui-host",
        default="",
        metavar="URL",
        help="Address of KFP's or Argo's pages, for links; submit takes --host where it is empty.",
    ),
    click.option("--from", "since", default="", metavar="TASK", help="This task and all after it."),
)


def _what(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say what is compiled."""
    for option in reversed(_WHAT):
        command = option(command)
    return command


def _compiled(
    *,
    pipeline: str,
    preset: str,
    config: str,
    assignments: tuple[str, ...],
    profile: str,
    registry: str,
    tag: str,
    images: str,
    artifacts: str,
    only: str,
    since: str,
    notify: bool,
    ui_host: str,
) -> Any:  # noqa: ANN401  refine_af.pipelines.compiling.Compiled, which loads kfp
    need_kfp()
    from refine_af.pipelines.compiling import compile_request, read_digests
    from refine_af.pipelines.config import load_config
    from refine_af.pipelines.flow import Images
    from refine_af.pipelines.tasks import planned

    if bool(artifacts) != bool(only or since) or (only and since):
        raise ParameterError("give --artifacts together with one of --only and --from")
    chosen = load_config(preset, config).with_values(assignments)
    if pipeline not in ("", chosen.pipeline):
        raise ParameterError(
            f"--pipeline {pipeline!r}: the preset {preset!r} is of the pipeline {chosen.pipeline!r}"
        )
    planned(chosen)  # refuses wrong values
    digests = read_digests(images) if images else {}
    pinned = Images(registry, tag or __version__, digests)
    part = (artifacts, only, since)
    named = {"preset": preset, "ui_host": ui_host}
    return compile_request(chosen, profile, pinned, *part, notify=notify, **named)


@click.command("compile")
@_what
@click.option(
    "--to",
    "target",
    type=click.Choice(["kfp", "kfp-manifest", "argo", "serving"]),
    default="kfp",
    show_default=True,
    help="kfp: IR for the KFP UI and API. kfp-manifest: Pipeline and PipelineVersion objects for"
    " GitOps with KFP. argo: templates and a Workflow that need Argo alone. serving: a"
    " KServe InferenceService of the model that the run at --artifacts tuned.",
)
@click.option("--arm", default="rl", show_default=True, help="Whose model is served.")
@click.option("-o", "--output", required=True, metavar="PATH", help="File, or folder for argo.")
def compile_pipeline(target: str, output: str, arm: str, **what: Any) -> None:  # noqa: ANN401
    """Compile a pipeline for KFP or Argo, or the service of a run's model."""
    _check_output(Path(output), target)
    if target == "serving":
        _serve(arm, output, **what)
        return
    made = _compiled(**what)
    name = f"{made.spec['pipelineInfo']['name']}-{what['preset']}"
    if target == "argo":
        from refine_af.pipelines.argo import write_argo

        write_argo(made, Path(output), name)
    elif target == "kfp":
        made.write_ir(Path(output))
    else:
        made.write_manifest(Path(output), name)
    for line in _notes(made, target):
        click.echo(f"refine-af: {line}", err=True)


def _serve(arm: str, output: str, *, artifacts: str, profile: str, preset: str, **_: Any) -> None:  # noqa: ANN401
    """Write what serves the model of a run that has ended."""
    from refine_af.pipelines.serving import write_serving
    from refine_af.targets.profile import load_profile

    if not artifacts:
        raise ParameterError("--to serving: name the run in --artifacts")
    name = f"refine-af-{preset}".replace(".", "-")
    write_serving(artifacts, arm, load_profile(profile), name, Path(output))


def _check_output(path: Path, target: str) -> None:
    """Refuse a folder where a file is written, and a file where a folder is."""
    if target == "argo" and path.is_file():
        raise ParameterError(f"-o {path}: it is a file; --to argo writes into a folder")
    if target != "argo" and path.is_dir():
        raise ParameterError(f"-o {path}: it is a folder; --to {target} writes a file")


def _notes(made: Any, target: str) -> Iterator[str]:  # noqa: ANN401  compiling.Compiled
    """Yield notes about the compiled files."""
    from refine_af.pipelines.graph import MOST_BOXES, levels
    from refine_af.targets.placement import largest_pod
    from refine_af.targets.profile import argo_only_fields

    if not made.images.registry:
        yield NO_REGISTRY.format(
            argo=", or submit with -p registry=..." if target == "argo" else ""
        )
    if target != "argo":
        if not made.images.digests:
            yield CACHING_IS_OFF
        if ignored := argo_only_fields(made.profile):
            yield f"KFP cannot say these fields of the profile: {', '.join(ignored)}"
    for level in levels(made.spec):
        if len(level.boxes) > MOST_BOXES:
            title = " / ".join(("first level", *level.path))
            yield (
                f"the graph's {title} has {len(level.boxes)} boxes; more than {MOST_BOXES} do not"
                " fit a screen: fewer arms, sizes or shards do"
            )
    for stage, nodes in made.nodes.items():
        yield (
            f"{stage} trains on {nodes} nodes by a Kubeflow TrainJob: the cluster needs Trainer 2"
            " and manifests/trainer, the run a work_dir in a bucket"
        )
    yield from made.unchecked
    yield largest_pod(made.stages(), made.profile)


@click.command("submit")
@click.option(
    "--host", required=True, help="Address of the KFP API; its token, if any, in KFP_TOKEN."
)
@click.option("--namespace", default="", help="Namespace of the user, where there are several.")
@click.option("--experiment", default="refine-af", show_default=True, help="Made if need be.")
@click.option("--run-name", default="", help="Default: refine-af-<preset>.")
@click.option("--service-account", default="", help="Of the run's pods. Default: the server's.")
@click.option("--pipeline-root", default="", metavar="URI", help="Default: the server's.")
@_what
def submit(
    host: str,
    namespace: str,
    experiment: str,
    run_name: str,
    service_account: str,
    pipeline_root: str,
    **what: Any,  # noqa: ANN401  options of _WHAT
) -> None:
    """Compile a pipeline, start a run of it on a KFP server and print the run's link."""
    what["ui_host"] = what["ui_host"] or host
    made = _compiled(**what)
    from refine_af.pipelines.submit import Server
    from refine_af.pipelines.submit import submit as start

    name = run_name or f"{made.spec['pipelineInfo']['name']}-{what['preset']}"
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "pipeline.yaml"
        made.write_ir(package)
        server = Server(host.rstrip("/"), what["ui_host"], namespace, service_account)
        click.echo(start(server, package, name, experiment, pipeline_root))
