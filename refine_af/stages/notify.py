"""Tells another system how a run ended: one JSON object by HTTP POST."""

import json
import os
import time
from typing import Any

from refine_af.contracts.errors import DependencyError, ParameterError
from refine_af.contracts.params import Params, param
from refine_af.contracts.stage import Metrics, Resources, Stage, Task

URL_VARIABLE = "NOTIFY_URL"
WAITS_SECONDS = (0.0, 2.0, 8.0)
PATIENCE_SECONDS = 10.0
GOOD = ("SUCCEEDED", "Succeeded")


class NotifyParams(Params):
    """Whom to tell what; none of it decides a row."""

    url: str = param(
        "",
        f"http(s) address; empty: the environment variable {URL_VARIABLE}, which a secret fills,"
        " because such addresses often hold a token.",
        method=False,
    )
    run: str = param("", "Name of the run.", method=False)
    final_status: str = param(
        "", "How the run ended: Argo's word, or KFP's final status as JSON.", method=False
    )


def run(params: NotifyParams, task: Task) -> Metrics:
    """Send the message; without an address say so and end well."""
    url = params.url or os.environ.get(URL_VARIABLE, "")
    if not url:
        task.progress.say(f"no address in url or {URL_VARIABLE}: nobody was told")
        return {"sent": 0}
    if not url.startswith(("https://", "http://")):
        raise ParameterError(f"notify.url must begin with https:// or http://; set {URL_VARIABLE}")
    _send(url, json.dumps(message(params.run, params.final_status)).encode())
    return {"sent": 1}


def message(name: str, final_status: str) -> dict[str, Any]:
    """Return what is sent: ``run``, ``state``, ``error`` and ``text``, which chat systems show."""
    found: dict[str, Any] = {"state": final_status}
    if final_status.startswith("{"):
        found = json.loads(final_status)
    state = str(found.get("state") or "UNKNOWN")
    name = name or str(found.get("pipeline_job_resource_name") or "run").rpartition("/")[2]
    error = str(found.get("error_message") or "")
    text = f"refine-af {name}: {state}" + (f" ({error})" if error else "")
    return {"run": name, "state": state, "succeeded": state in GOOD, "error": error, "text": text}


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
            found = f"it answered {error.code}"
        except OSError as error:
            found = f"it cannot be reached ({getattr(error, 'reason', error)})"
    raise DependencyError(f"the address of {URL_VARIABLE} was not told how the run ended: {found}")


STAGE = Stage(
    name="notify",
    summary="Tell an address how the run ended.",
    params=NotifyParams,
    run=run,
    inputs=(),
    outputs=(),
    image="core",
    resources=Resources(cpu="100m", memory="256Mi"),
    source="project choice: the exit task of a pipeline",
    cache=False,
)
