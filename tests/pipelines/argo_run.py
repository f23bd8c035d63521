"""A dry-run interpreter of Argo: the DAG of a submitted Workflow, one pod after another.

It reads the YAML that a cluster would get, and nothing else: it resolves references and
``{{...}}`` as Argo does, fetches each input artifact from the artifact repository (init container),
runs the container's command (main), and stores each output (wait container). What it does not
know it refuses, so that a template cannot mean less here than on a cluster.
"""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml
from argo_repository import Repository

Object = dict[str, Any]

_KNOWN = {
    "name", "inputs", "outputs", "retryStrategy", "securityContext", "volumes", "container",
    "nodeSelector", "tolerations", "affinity", "metadata", "activeDeadlineSeconds", "podSpecPatch",
    "priorityClassName",
}  # fmt: skip
_SPEC = {
    "entrypoint", "serviceAccountName", "automountServiceAccountToken", "executor", "arguments",
    "templates", "hooks", "ttlStrategy", "podGC", "artifactGC", "parallelism", "imagePullSecrets",
    "activeDeadlineSeconds",
}  # fmt: skip
Keys = dict[str, dict[str, str]]
"""Keys of the artifacts that are known on one level of the DAG, by task."""

INPUTS = ""
TERMINATION_LOG = "termination-log"
_CODES = re.compile(r"asInt\(lastRetry\.exitCode\) != (\d+)")


class Machine(Protocol):
    """Runs the main container of a pod."""

    def run(self, template: Object, pod: Path) -> int:
        """Run the container with its volumes under ``pod`` and return the exit code."""


@dataclass
class Execution:
    """What happened: attempts by task, in the order in which the tasks ran."""

    attempts: dict[str, list[int]] = field(default_factory=dict)
    parameters: dict[str, dict[str, str]] = field(default_factory=dict)
    keys: dict[str, dict[str, str]] = field(default_factory=dict)
    failures: list[Object] = field(default_factory=list)
    failed: str = ""


def load(*paths: Path) -> list[Object]:
    """Return the documents of YAML files."""
    return [doc for path in paths for doc in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


class Cluster:
    """A namespace with templates, an artifact repository and a machine for pods."""

    def __init__(
        self, templates: list[Object], repository: Repository, machine: Machine, folder: Path
    ) -> None:
        self._templates = {item["metadata"]["name"]: item["spec"] for item in templates}
        self._repository = repository
        self._machine = machine
        self._folder = folder

    def submit(self, workflow: Object, name: str, given: Mapping[str, str]) -> Execution:
        """Run a Workflow to its end and return what happened.

        Args:
            workflow: Refers to a WorkflowTemplate of the namespace.
            name: What Argo makes of ``generateName``.
            given: Parameters, as ``argo submit -p`` gives them.
        """
        spec = self._templates[workflow["spec"]["workflowTemplateRef"]["name"]]
        assert set(spec) <= _SPEC, set(spec) - _SPEC
        scope = {"workflow.name": name, "workflow.uid": f"uid-of-{name}"}
        scope["workflow.namespace"] = "refine-af"
        for parameter in spec["arguments"]["parameters"]:
            value = given.get(parameter["name"], parameter.get("value"))
            assert value is not None, f"argument {parameter['name']} was not supplied"
            scope[f"workflow.parameters.{parameter['name']}"] = value
        (entry,) = [item for item in spec["templates"] if item["name"] == spec["entrypoint"]]
        done = Execution()
        self._dag(entry, spec["templates"], scope, {}, done)
        if "hooks" in spec:
            assert set(spec["hooks"]) == {"exit"}
            scope["workflow.status"] = "Failed" if done.failed else "Succeeded"
            # quoted once more, as the controller does
            scope["workflow.failures"] = json.dumps(json.dumps(done.failures))
            self._task({"name": "exit", **spec["hooks"]["exit"]}, scope, {}, done)
        return done

    def _dag(
        self,
        template: Object,
        templates: list[Object],
        scope: dict[str, str],
        taken: Mapping[str, str],
        done: Execution,
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Run a template of type dag; return its output parameters and its artifacts' keys."""
        assert set(template) <= {"name", "dag", "inputs", "outputs"}, set(template)
        keys: Keys = {INPUTS: dict(taken)}
        waiting = {task["name"]: task for task in template["dag"]["tasks"]}
        assert len(waiting) == len(template["dag"]["tasks"]), "two tasks have one name"
        while waiting and not done.failed:
            ready = [task for task in waiting.values() if _ready(task, waiting)]
            assert ready, f"a cycle among {sorted(waiting)}"
            task = waiting.pop(ready[0]["name"])
            if "template" in task:
                self._group(task, templates, scope, keys, done)
            else:
                self._task(task, scope, keys, done)
        outputs = template.get("outputs", {})
        if done.failed:
            return {}, {}
        values = {
            item["name"]: substitute(item["valueFrom"]["parameter"], scope)
            for item in outputs.get("parameters", [])
        }
        left = {item["name"]: _key(item["from"], keys) for item in outputs.get("artifacts", [])}
        return values, left

    def _group(
        self,
        task: Object,
        templates: list[Object],
        scope: dict[str, str],
        keys: Keys,
        done: Execution,
    ) -> None:
        """Run a task whose template is a DAG of the same object."""
        (template,) = [item for item in templates if item["name"] == task["template"]]
        arguments = task["arguments"]
        values = {
            item["name"]: substitute(item["value"], scope) for item in arguments["parameters"]
        }
        sources = {
            item["name"]: self._source(item, scope, keys) for item in arguments.get("artifacts", [])
        }
        for kind, given in (("parameters", values), ("artifacts", sources)):
            assert {item["name"] for item in template["inputs"][kind]} == set(given), task["name"]
        inner = {name: value for name, value in scope.items() if name.startswith("workflow.")}
        inner |= {f"inputs.parameters.{name}": value for name, value in values.items()}
        taken = {name: key for name, key in sources.items() if key is not None}
        outputs, left = self._dag(template, templates, inner, taken, done)
        for name, value in outputs.items():
            scope[f"tasks.{task['name']}.outputs.parameters.{name}"] = value
        keys[task["name"]] = left

    def _task(self, task: Object, scope: dict[str, str], keys: Keys, done: Execution) -> None:
        reference = task["templateRef"]
        (template,) = [
            item
            for item in self._templates[reference["name"]]["templates"]
            if item["name"] == reference["template"]
        ]
        assert set(template) <= _KNOWN, set(template) - _KNOWN
        inner, sources = self._inputs(task, template, scope, keys)
        resolved = substitute(template, inner)
        attempts = done.attempts.setdefault(task["name"], [])
        retry = resolved.get("retryStrategy", {"limit": "0"})
        for attempt in range(int(retry["limit"]) + 1):
            pod = self._folder / task["name"] / str(attempt)
            attempts.append(self._pod(resolved, sources, pod, task["name"], done))
            if attempts[-1] != 0:
                done.failures.append(_failure(task["name"], attempt, attempts[-1], pod))
            if attempts[-1] == 0 or not try_again(retry, attempts[-1]):
                break
        if attempts[-1] != 0 and not done.failed:
            done.failed = task["name"]
        keys[task["name"]] = done.keys.get(task["name"], {})
        for name, value in done.parameters.get(task["name"], {}).items():
            scope[f"tasks.{task['name']}.outputs.parameters.{name}"] = value

    def _inputs(
        self, task: Object, template: Object, scope: dict[str, str], keys: Keys
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Return the template's scope and the key of each artifact that it is given."""
        given = {
            item["name"]: substitute(item["value"], scope)
            for item in task["arguments"]["parameters"]
        }
        assert all(isinstance(value, str) for value in given.values()), given
        inner = {"workflow.name": scope["workflow.name"]}
        for parameter in template["inputs"]["parameters"]:
            assert isinstance(parameter.get("default", ""), str), parameter
            value = given.pop(parameter["name"], parameter.get("default"))
            assert value is not None, f"{task['name']}: {parameter['name']} was not supplied"
            inner[f"inputs.parameters.{parameter['name']}"] = value
        assert not given, f"{task['name']}: {sorted(given)} are no inputs of the template"
        sources: dict[str, str] = {}
        for item in task["arguments"].get("artifacts", []):
            source = self._source(item, scope, keys)
            if source is not None:
                sources[item["name"]] = source
        known = {item["name"]: item for item in template["inputs"]["artifacts"]}
        assert set(sources) <= set(known)
        missing = [
            name for name, item in known.items() if name not in sources and not item.get("optional")
        ]
        assert not missing, f"{task['name']}: artifacts {missing} were not supplied"
        return inner, sources

    def _source(self, item: Object, scope: dict[str, str], keys: Keys) -> str | None:
        """Return the key of an argument; None where an optional one is not in the bucket."""
        if "s3" in item:
            assert set(item["s3"]) == {"key"}, "the repository decides all but the key"
            assert item["archive"] == {"none": {}}
            key = str(substitute(item["s3"]["key"], scope))
            return key if self._repository.keys(key) or not item.get("optional") else None
        return _key(item["from"], keys)

    def _pod(
        self, template: Object, sources: dict[str, str], pod: Path, task: str, done: Execution
    ) -> int:
        shutil.rmtree(pod, ignore_errors=True)
        for mount in template["container"]["volumeMounts"]:
            place = volume(pod, mount["name"])
            place.mkdir(parents=True)
            place.chmod(0o777)  # what an emptyDir is
        for item in template["inputs"]["artifacts"]:
            if item["name"] in sources:
                self._repository.get(sources[item["name"]], inside(template, pod, item["path"]))
        code = self._machine.run(template, pod)
        if code != 0:
            return code
        outputs = template["outputs"]
        for item in outputs["artifacts"]:
            assert item["archive"] == {"none": {}}
            assert set(item["s3"]) == {"key"}, "the repository decides all but the key"
            self._repository.put(item["s3"]["key"], inside(template, pod, item["path"]))
            done.keys.setdefault(task, {})[item["name"]] = item["s3"]["key"]
        for item in outputs.get("parameters", []):
            text = inside(template, pod, item["valueFrom"]["path"]).read_text(encoding="utf-8")
            done.parameters.setdefault(task, {})[item["name"]] = text.rstrip("\n")
        return 0


def _key(source: str, keys: Keys) -> str:
    """Return the key that ``{{tasks.a.outputs.artifacts.b}}`` or ``{{inputs.artifacts.b}}`` has."""
    found = re.fullmatch(r"{{(?:tasks\.([\w-]+)\.outputs|inputs)\.artifacts\.(\w+)}}", source)
    assert found is not None, source
    return keys[found.group(1) or INPUTS][found.group(2)]


def _failure(task: str, attempt: int, code: int, pod: Path) -> Object:
    """Return what Argo tells of a failed pod: its termination message behind its exit code."""
    said = (pod / TERMINATION_LOG).read_text(encoding="utf-8")
    message = f"main: Error (exit code {code})" + (f": {said}" if said else "")
    at = f"2026-01-01T00:00:{attempt:02}Z"
    return {"displayName": f"{task}({attempt})", "message": message, "finishedAt": at}


def _ready(task: Object, waiting: Mapping[str, Object]) -> bool:
    before = task.get("depends", "").split(" && ") if task.get("depends") else []
    return not any(name in waiting for name in before)


def try_again(retry: Object, code: int) -> bool:
    """Evaluate a retryStrategy's expression on an exit code."""
    assert retry["retryPolicy"] == "Always"
    assert "maxDuration" not in retry["backoff"], "it would end long tasks, not the waiting alone"
    parts = retry["expression"].split(" && ")
    codes = [_CODES.fullmatch(part) for part in parts]
    assert all(codes), retry["expression"]
    return all(found is not None and code != int(found.group(1)) for found in codes)


def substitute(value: Any, scope: Mapping[str, str]) -> Any:  # noqa: ANN401  any part of an object
    """Return a part of an object with every ``{{name}}`` replaced; an unknown one is an error."""
    if isinstance(value, dict):
        return {key: substitute(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, scope) for item in value]
    if isinstance(value, str):
        return re.sub(r"{{(.*?)}}", lambda found: scope[found.group(1)], value)
    return value


def volume(pod: Path, name: str) -> Path:
    """Return where a volume of a pod lies on this machine."""
    return pod / name


def inside(template: Object, pod: Path, path: str) -> Path:
    """Return where a path of the container lies on this machine."""
    for mount in template["container"]["volumeMounts"]:
        if path == mount["mountPath"] or path.startswith(mount["mountPath"] + "/"):
            return volume(pod, mount["name"]) / path[len(mount["mountPath"]) :].lstrip("/")
    raise AssertionError(f"{path} lies in no volume, and the root is read-only")
