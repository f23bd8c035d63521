"""Registers models at a Kubeflow Model Registry, by its REST API (v1, or v1alpha3 before 0.3.9)."""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from refine_af.contracts.errors import DependencyError, ParameterError
from refine_af.storage import limits
from refine_af.storage.retry import STATUS_CODES, repeated

API = "/api/model_registry"
VERSIONS = ("v1", "v1alpha3")
"""Of the API, the newest first; what is asked and answered here is the same in both."""

TOKEN_VARIABLE = "MODEL_REGISTRY_TOKEN"  # noqa: S105  a variable's name
TIMEOUT_SECONDS = 30.0
NOT_FOUND, CONFLICT = 404, 409


@dataclass(frozen=True, slots=True)
class Registration:
    """A model's version as the registry knows it, by the registry's ids."""

    model_id: str
    version_id: str
    artifact_id: str


@dataclass(frozen=True, slots=True)
class Version:
    """What is registered.

    Attributes:
        model: Name of the registered model; its versions share it.
        name: Name of this version.
        uri: Where its files are.
        form: ``peft`` or ``transformers``.
        description: One sentence for people.
        author: Who made it; may be empty.
        source: Name of the run.
        properties: Scores and lineage.
    """

    model: str
    name: str
    uri: str
    form: str
    description: str
    author: str
    source: str
    properties: Mapping[str, str | float]


class ModelRegistry:
    """A client; what is there already under the same names is taken over, so it can be repeated."""

    def __init__(self, url: str) -> None:
        """Talk to the registry at ``url``; the token, if any, is in ``MODEL_REGISTRY_TOKEN``."""
        self._root = url.rstrip("/") + API
        self._url = f"{self._root}/{VERSIONS[-1]}"

    def register(self, version: Version) -> Registration:
        """Register a version with its one artifact.

        Raises:
            ParameterError: The registry refuses; with its own words.
            DependencyError: It does not answer.
        """
        self._url = f"{self._root}/{self._version()}"
        model = self._made(
            "registered_models",
            {"name": version.model, "description": "Tuned by refine-af."},
            ("registered_model", {"name": version.model}),
        )
        properties = {name: _property(value) for name, value in version.properties.items()}
        made = self._made(
            f"registered_models/{model}/versions",
            {
                "name": version.name,
                "registeredModelId": model,
                "description": version.description,
                **({"author": version.author} if version.author else {}),
                "customProperties": properties,
            },
            ("model_version", {"name": version.name, "parentResourceId": model}),
        )
        return Registration(model, made, self._artifact(version, made))

    def _version(self) -> str:
        """Return the version of the API that the registry speaks."""
        for version in VERSIONS:
            self._url = f"{self._root}/{version}"
            try:
                self._ask("GET", "registered_models?pageSize=1")
            except _AbsentError:
                continue
            return version
        raise ParameterError(
            f"{self._root}: no model registry answers there (404); it speaks one of"
            f" {', '.join(VERSIONS)}"
        )

    def _artifact(self, version: Version, version_id: str) -> str:
        path = f"model_versions/{version_id}/artifacts"
        there = self._ask("GET", f"{path}?{urllib.parse.urlencode({'name': version.model})}")
        for item in there.get("items") or []:
            if item.get("uri") == version.uri:
                return str(item["id"])
        artifact = {
            "artifactType": "model-artifact",
            "name": version.model,  # by which the registry's own client looks for it
            "uri": version.uri,
            "modelFormatName": version.form,
            "modelSourceKind": "pipelines",
            "modelSourceName": version.source,
            "state": "LIVE",
        }
        return str(self._ask("POST", path, artifact)["id"])

    def _made(
        self, path: str, body: Mapping[str, Any], search: tuple[str, Mapping[str, str]]
    ) -> str:
        """Make a resource, or find the one that has its name, and return its id."""
        try:
            return str(self._ask("POST", path, body)["id"])
        except _ConflictError:
            where, query = search
            return str(self._ask("GET", f"{where}?{urllib.parse.urlencode(query)}")["id"])

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token := os.environ.get(TOKEN_VARIABLE):
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(  # noqa: S310  the parameter admits http and https alone
            f"{self._url}/{path}", data, headers, method=method
        )

        def send() -> bytes:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                return bytes(answer.read(limits.ANSWER_BYTES))

        try:
            sent = limits.within(self._url, lambda: repeated(send, _is_transient), writes=True)
            answer = json.loads(sent)
        except urllib.error.HTTPError as error:
            raise _refusal(error) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise DependencyError(f"model registry {self._url}: no answer ({reason})") from None
        if not isinstance(answer, dict):
            raise DependencyError(f"model registry {self._url}: its answer is not a JSON object")
        return answer


class _ConflictError(ParameterError):
    """The name is taken."""


class _AbsentError(ParameterError):
    """The address is not known."""


def _is_transient(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in STATUS_CODES
    return isinstance(error, OSError)


def _refusal(error: urllib.error.HTTPError) -> ParameterError | DependencyError:
    said = error.read(2000).decode("utf-8", "replace").strip()
    if error.code == CONFLICT:
        return _ConflictError(said)
    if error.code in STATUS_CODES:
        return DependencyError(f"model registry: it answers {error.code}: {said}")
    if error.code == NOT_FOUND:
        return _AbsentError(f"model registry: it does not know {error.url}: {said}")
    hint = f"; set {TOKEN_VARIABLE}" if error.code in (401, 403) else ""
    return ParameterError(f"model registry: it refuses with {error.code}: {said}{hint}")


def _property(value: str | float) -> dict[str, Any]:
    if isinstance(value, str):
        return {"metadataType": "MetadataStringValue", "string_value": value}
    return {"metadataType": "MetadataDoubleValue", "double_value": float(value)}
