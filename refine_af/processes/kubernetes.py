"""A client of the cluster's API for TrainJobs, with the service account of this pod."""

import contextlib
import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refine_af.contracts.errors import DependencyError, ParameterError
from refine_af.storage.retry import STATUS_CODES, is_permanent, repeated

Object = dict[str, Any]

GROUP = "trainer.kubeflow.org/v1alpha1"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts the token, the certificate and the namespace of a pod."""

TIMEOUT_SECONDS = 30.0
NOT_FOUND, CONFLICT = 404, 409
NOT_ALLOWED = (401, 403)


class TrainJobs:
    """The TrainJobs of this pod's namespace."""

    def __init__(self) -> None:
        """Read the pod's service account.

        Raises:
            ParameterError: Outside a cluster, or in a pod without a token.
        """
        host, port = (os.environ.get(f"KUBERNETES_SERVICE_{name}") for name in ("HOST", "PORT"))
        if not host or not (SERVICE_ACCOUNT / "token").is_file():
            raise ParameterError(
                "nodes is above 1, and this process has no token of a Kubernetes cluster: run the"
                " pipeline on a cluster, from a file that was compiled with nodes set; or set"
                " nodes to 1"
            )
        address = f"[{host}]" if ":" in host else host
        self._url = f"https://{address}:{port or 443}/apis/{GROUP}"
        self._context = ssl.create_default_context(cafile=str(SERVICE_ACCOUNT / "ca.crt"))
        self.namespace = (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()

    def check_installed(self) -> None:
        """Refuse a cluster that does not know TrainJobs.

        Raises:
            ParameterError: Saying what to install.
        """
        served = self._ask("GET", "", NOT_FOUND)
        kinds = [item.get("kind") for item in (served or {}).get("resources", [])]
        if "TrainJob" not in kinds:
            raise ParameterError(
                f"nodes is above 1, and this cluster has no TrainJob ({GROUP}): install Kubeflow"
                " Trainer 2, or set nodes to 1"
            )

    def read(self, name: str) -> Object | None:
        """Return a job, or None when there is none of that name."""
        return self._ask("GET", f"/namespaces/{self.namespace}/trainjobs/{name}", NOT_FOUND)

    def create(self, job: Object) -> None:
        """Make a job; one that is already there under its name is left as it is."""
        self._ask("POST", f"/namespaces/{self.namespace}/trainjobs", CONFLICT, job)

    def delete(self, name: str) -> None:
        """Remove a job with its pods; does nothing when there is none of that name."""
        path = f"/namespaces/{self.namespace}/trainjobs/{name}"
        self._ask("DELETE", path, NOT_FOUND, {"propagationPolicy": "Foreground"})

    def _ask(
        self, method: str, path: str, expected: int, body: Mapping[str, Any] | None = None
    ) -> Object | None:
        """Return the answer; None where it is the status code that is ``expected`` too.

        Raises:
            ParameterError: The cluster refuses; with its own words.
            DependencyError: It does not answer.
        """
        # read each time: the kubelet renews it
        token = (SERVICE_ACCOUNT / "token").read_text(encoding="utf-8").strip()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(  # noqa: S310  the address is that of the cluster
            self._url + path, data, headers, method=method
        )

        def send() -> bytes:
            with urllib.request.urlopen(  # noqa: S310
                request, timeout=TIMEOUT_SECONDS, context=self._context
            ) as answer:
                return bytes(answer.read())

        try:
            answer: Object = json.loads(repeated(send, _is_transient))
        except urllib.error.HTTPError as error:
            if error.code == expected:
                return None
            raise self._refusal(error) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise DependencyError(f"the cluster's API does not answer ({reason})") from None
        return answer

    def _refusal(self, error: urllib.error.HTTPError) -> ParameterError | DependencyError:
        said = error.read(4000).decode("utf-8", "replace").strip()
        with contextlib.suppress(ValueError, KeyError, TypeError):  # else shown as it came
            said = str(json.loads(said)["message"])
        if error.code in STATUS_CODES:
            return DependencyError(f"the cluster's API answers {error.code}: {said}")
        hint = (
            f". Give the pod's service account the role refine-af-trainer in the namespace"
            f" {self.namespace} (manifests/trainer)"
            if error.code in NOT_ALLOWED
            else ""
        )
        return ParameterError(f"the cluster refuses the TrainJob ({error.code}): {said}{hint}")


def _is_transient(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in STATUS_CODES
    return isinstance(error, OSError) and not is_permanent(error)
