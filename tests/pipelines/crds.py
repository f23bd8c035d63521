"""Kubernetes' custom resource definitions as strict JSON Schemas, and a reader of YAML 1.2."""

import gzip
import os
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ruamel.yaml import YAML

Object = dict[str, Any]


def read_as_kubernetes_does(text: str) -> list[Object]:
    """Return the documents of a text by a reader of YAML 1.2, as Go's and JavaScript's are."""
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 2)
    return list(reader.load_all(text))


def _schemas() -> Path:
    folder = os.environ.get("REFINE_AF_TEST_DATA")
    if not folder:
        pytest.skip("REFINE_AF_TEST_DATA is not set: the definitions are not at hand")
    return Path(folder) / "schemas"


@cache
def definitions(name: str) -> dict[tuple[str, str], Object]:
    """Return the schema of each (group and version, kind) of ``schemas/<name>*``."""
    found: dict[tuple[str, str], Object] = {}
    for path in sorted(_schemas().glob(f"{name}*")):
        for text in _texts(path):
            for document in yaml.load_all(text, Loader=yaml.CSafeLoader):
                spec = document["spec"]
                for version in spec["versions"]:
                    key = f"{spec['group']}/{version['name']}", spec["names"]["kind"]
                    found[key] = _strict(version["schema"]["openAPIV3Schema"])
    assert found, f"no definitions of {name}"
    return found


def _texts(path: Path) -> list[bytes]:
    if not path.name.endswith(".tar.gz"):
        return [gzip.decompress(path.read_bytes())]
    with tarfile.open(path) as archive:
        files = [archive.extractfile(item) for item in archive if item.isfile()]
        return [item.read() for item in files if item is not None]


def _strict(schema: Any) -> Any:  # noqa: ANN401  any part of a schema
    """Return OpenAPI's schema as the API server reads it: a field it does not know is an error."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    others = (item for item in schema.items() if item[0] not in ("format", "properties"))
    strict = {key: _strict(value) for key, value in others}
    if isinstance(schema.get("properties"), dict):
        strict["properties"] = {k: _strict(v) for k, v in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            strict.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        strict["type"] = ["integer", "string"]
    if schema.get("nullable"):
        strict["type"] = [schema["type"], "null"]
    return strict


def problems(document: Object, name: str) -> list[str]:
    """Return what the API server would refuse in a document, by the definitions of ``name``."""
    schema = definitions(name)[document["apiVersion"], document["kind"]]
    whole = {key: schema["properties"][key] for key in schema["properties"] if key != "metadata"}
    schema = schema | {"properties": whole | {"metadata": {"type": "object"}}}
    errors = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return [f"{list(error.path)}: {error.message[:300]}" for error in errors]
