"""Two machines for pods: a process with the container's paths mapped, and a Docker engine."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from argo_run import TERMINATION_LOG, inside, volume

from refine_af.contracts.termination import LOG_VARIABLE

Object = dict[str, Any]


class Processes:
    """Runs the container's command here, with the mounted paths replaced by real ones."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(environment or {})

    def run(self, template: Object, pod: Path) -> int:
        """Run the command as a process; its output goes to ``log``."""
        box = template["container"]
        mounted = "|".join(re.escape(mount["mountPath"]) for mount in box["volumeMounts"])

        def local(text: str) -> str:
            found = re.fullmatch(rf"((?:--[\w-]+=)?)((?:{mounted})(?:/.*)?)", text)
            return found.group(1) + str(inside(template, pod, found.group(2))) if found else text

        words = [local(word) for word in (*box["command"], *box["args"])]
        # keys of the secret are those of this process's environment
        own = {item["name"]: local(item["value"]) for item in box["env"] if "value" in item}
        bin_folder = str(Path(sys.executable).parent)
        path = {"PATH": f"{bin_folder}:{os.environ['PATH']}"}
        (pod / TERMINATION_LOG).touch()
        own[LOG_VARIABLE] = str(pod / TERMINATION_LOG)
        with (pod / "log").open("wb") as log:
            done = subprocess.run(
                words,
                env=dict(os.environ) | path | own | self._environment,
                cwd=volume(pod, "tmp"),
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        return done.returncode


class Docker:
    """Runs the container in its image, with the root read-only and no capability."""

    def run(self, template: Object, pod: Path) -> int:
        """Run the container as the template's user; its output goes to ``log``."""
        box, identity = template["container"], template["securityContext"]
        assert box["securityContext"]["readOnlyRootFilesystem"]
        assert identity["runAsNonRoot"]
        user = f"{identity['runAsUser']}:{identity['runAsGroup']}"
        words = [
            os.environ.get("DOCKER") or "docker",
            "run",
            "--rm",
            "--pull",
            "never",
            "--read-only",
            "--user",
            user,
            "--cap-drop",
            "ALL",
        ]
        words += ["--security-opt", "no-new-privileges", "--workdir", "/tmp"]  # noqa: S108
        (pod / TERMINATION_LOG).touch()
        (pod / TERMINATION_LOG).chmod(0o666)
        words += ["-v", f"{pod / TERMINATION_LOG}:/dev/termination-log"]
        for mount in box["volumeMounts"]:
            words += ["-v", f"{volume(pod, mount['name'])}:{mount['mountPath']}"]
        for item in (item for item in box["env"] if "value" in item):
            words += ["-e", f"{item['name']}={item['value']}"]
        words += [box["image"], *box["command"], *box["args"]]
        with (pod / "log").open("wb") as log:
            done = subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, check=False)
        return done.returncode
