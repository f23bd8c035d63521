"""Tells another system how a run ended: one JSON object by HTTP POST."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from refine_af.contracts.errors import DependencyError, ParameterError, RefineAfError
from refine_af.contracts.jsonl import parse_object
from refine_af.contracts.params import Params, param, rule
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.stages.run_ending import read_ending
from refine_af.storage.endings import Endings

URL_VARIABLE = "NOTIFY_URL"
WAITS_SECONDS = (0.0, 2.0, 8.0)
PATIENCE_SECONDS = 10.0


class NotifyParams(Params):
    """Where to send which message."""

    url: str = param(
        "",
        f"http(s) address; empty: the environment variable {URL_VARIABLE}, which a secret fills,"
        " because such addresses often hold a token.",
        method=False,
        names="endpoint",
    )
    pipeline: str = param("", "Name of the pipeline.", method=False)
    preset: str = param("", "Preset that was compiled.", method=False)
    run: str = param("", "Name of the run.", method=False)
    run_id: str = param("", "Id of the run on its engine.", method=False)
    namespace: str = param("", "Namespace of the run, for Argo's link.", method=False)
    ui_host: str = param("", "Address of the user interface, for the link.", method=False)
    failures: str = param("", "Failed tasks as Argo tells them, JSON.", method=False)
    endings_dir: str = param(
        "",
        "Work folder of the run, where KFP's tasks leave how they ended; empty: nothing is read.",
        method=False,
    )
    final_status: str = param(
        "", "How the run ended: Argo's word, or KFP's final status as JSON.", method=False
    )

    @rule("url")
    def url_is_an_address(self) -> str:
        """Messages go by http or https."""
        if self.url and not self.url.startswith(("https://", "http://")):
            return "it must begin with https:// or http://"
        return ""


def run(params: NotifyParams, task: Task) -> Metrics:
    """Send the message; without an address, log that and succeed."""
    url = params.url or os.environ.get(URL_VARIABLE, "")
    if not url:
        task.progress.say(f"no address in url or {URL_VARIABLE}: no message is sent")
        return {"sent": 0}
    if not url.startswith(("https://", "http://")):
        raise ParameterError(f"notify.url must begin with https:// or http://; set {URL_VARIABLE}")
    kept, result = _kept(params, task)
    given = task.inputs.get("result")
    if given:
        result = parse_object(given.read_bytes(), "result")
    _send(url, json.dumps(message(params, result.get("arms", {}), kept)).encode())
    return {"sent": 1}


def _kept(params: NotifyParams, task: Task) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return what failed first and the report's result, as the tasks left them."""
    endings = Endings(params.endings_dir)
    try:
        return endings.first_failure(), endings.result()
    except RefineAfError as error:
        task.progress.say(f"how the tasks ended cannot be read: {error}")
        return {}, {}


def message(
    params: NotifyParams, scores: Mapping[str, Any], kept: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what is sent; ``text`` says all of it in a line, which chat systems show.

    Args:
        params: What the engine tells of the run.
        scores: Numbers by arm, from the report of a run that succeeded.
        kept: ``task`` and ``error`` of what failed first, as the task left them; may be empty.
    """
    ending = read_ending(params.final_status, params.failures)
    if ending.state == "failed" and kept:
        ending = replace(ending, task=str(kept["task"]), error=str(kept["error"]))
    run_name, run_id = _resolved(params.run), _resolved(params.run_id)
    name = run_name or ending.resource or "run"
    facts = {
        "pipeline": params.pipeline,
        "preset": params.preset,
        "run": name,
        "run_id": run_id,
        "link": _link(params, name, run_id),
        "state": ending.state,
        "succeeded": ending.state == "succeeded",
        "task": ending.task,
        "error": ending.error,
        "scores": dict(scores) if ending.state == "succeeded" else {},
    }
    return facts | {"text": _text(facts)}


def _resolved(value: str) -> str:
    """Return a value that the engine filled in; empty where it left the placeholder."""
    return "" if value.startswith("{{") else value


def _link(params: NotifyParams, name: str, run_id: str) -> str:
    host = params.ui_host.rstrip("/")
    if not host or not run_id:
        return ""
    if params.namespace:
        return f"{host}/workflows/{params.namespace}/{name}"
    return f"{host}/#/runs/details/{run_id}"


def _text(facts: Mapping[str, Any]) -> str:
    name = " ".join(str(facts[key]) for key in ("preset", "run") if facts[key])
    parts = [f"refine-af {name}: {facts['state']}"]
    if facts["task"] or facts["error"]:
        parts.append(": ".join(str(facts[key]) for key in ("task", "error") if facts[key]))
    for arm, numbers in facts["scores"].items():
        shown = ", ".join(f"{key} {value:.2f}" for key, value in numbers.items())
        parts.append(f"{arm} {shown}")
    if facts["link"]:
        parts.append(str(facts["link"]))
    return "; ".join(parts)


def _send(url: str, body: bytes) -> None:
    """POST ``body``; the address is never shown, because it may hold a token."""
    import urllib.error
    import urllib.request

    for wait in WAITS_SECONDS:
        time.sleep(wait)
        request = urllib.request.Request(  # noqa: S310  http and https alone, checked above
            url, body, {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS):  # noqa: S310  as above
                return
        except urllib.error.HTTPError as error:
            reason = f"it answered {error.code}"
        except OSError as error:
            reason = f"it cannot be reached ({getattr(error, 'reason', error)})"
    raise DependencyError(f"the message to {URL_VARIABLE} was not delivered: {reason}")


STAGE = Stage(
    name="notify",
    summary="Tell an address how the run ended.",
    params=NotifyParams,
    run=run,
    inputs=(
        Artifact("result", "json", "The report's result, whose scores are told.", optional=True),
    ),
    outputs=(),
    image="core",
    resources=Resources(cpu="100m", memory="256Mi"),
    source="project choice: the exit task of a pipeline",
    cache=False,
    records=False,
)
