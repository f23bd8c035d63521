"""A model is written to a bucket and registered, by the registry's own OpenAPI."""

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from jsonschema import Draft202012Validator
from registry import small

from refine_af.contracts.errors import DataError, DependencyError, ParameterError
from refine_af.runner import run_stage
from refine_af.storage.schemes import open_store

Object = dict[str, Any]
API = "/api/model_registry/"
POSTS = {
    r"registered_models": "RegisteredModelCreate",
    r"registered_models/(\d+)/versions": "ModelVersion",
    r"model_versions/(\d+)/artifacts": "ModelArtifact",
}


class Registry(ThreadingHTTPServer):
    """A registry in memory: unique names, ids, and bodies that its OpenAPI allows."""

    def __init__(self, spec: Object) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spec = spec
        self.speaks = ["v1", "v1alpha3"]
        self.kept: dict[str, list[Object]] = {}
        self.answers: list[int] = []
        self.tokens: set[str | None] = set()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def problems(self, schema: str, body: Object) -> list[str]:
        """Return what the OpenAPI does not allow, a field that it does not name included."""
        if not self.spec:
            return []
        schemas = self.spec["components"]
        validator = Draft202012Validator(
            {"$ref": f"#/components/schemas/{schema}", "components": schemas}
        )
        found = [error.message for error in validator.iter_errors(body)]
        known = self._fields({"$ref": f"#/components/schemas/{schema}"})
        return found + [f"unknown field {name}" for name in body if name not in known]

    def _fields(self, schema: Object) -> set[str]:
        if "$ref" in schema:
            return self._fields(self.spec["components"]["schemas"][schema["$ref"].split("/")[-1]])
        names = set(schema.get("properties", {}))
        return names.union(*(self._fields(part) for part in schema.get("allOf", [])))

    def post(self, path: str, body: Object) -> tuple[int, Object]:
        """Make a resource and answer with it."""
        (schema,) = (name for form, name in POSTS.items() if re.fullmatch(form, path))
        if problems := self.problems(schema, body):
            return 400, {"code": "Bad Request", "message": "; ".join(problems)}
        rows = self.kept.setdefault(path, [])
        if any(row["name"] == body["name"] for row in rows):
            return 409, {"code": "Conflict", "message": "the name is taken"}
        rows.append({**body, "id": str(10 * len(self.kept) + len(rows))})
        return 201, rows[-1]

    def get(self, path: str, query: dict[str, str]) -> tuple[int, Object]:
        """Answer with the resource of a name."""
        if path.endswith("/artifacts"):
            rows = [row for row in self.kept.get(path, []) if row["name"] == query["name"]]
            return 200, {"items": rows, "size": len(rows), "pageSize": 10, "nextPageToken": ""}
        if path == "registered_models":
            rows = self.kept.get(path, [])
            return 200, {"items": rows, "size": len(rows), "pageSize": 1, "nextPageToken": ""}
        lists = {
            "registered_model": "registered_models",
            "model_version": f"registered_models/{query.get('parentResourceId')}/versions",
            "model_artifact": f"model_versions/{query.get('parentResourceId')}/artifacts",
        }
        found = [row for row in self.kept.get(lists[path], []) if row["name"] == query["name"]]
        return (200, found[0]) if found else (404, {"code": "Not Found", "message": "none"})


class _Handler(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = self._spoken(parts.path)
        self._answer(*(self.server.get(path, query) if path else (404, {})))

    def do_POST(self) -> None:
        assert self.path.startswith(API)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.tokens.add(self.headers.get("Authorization"))
        if self.server.answers:
            self._answer(self.server.answers.pop(0), {"message": "no"})
        else:
            self._answer(*self.server.post(self._spoken(self.path), body))

    def _spoken(self, path: str) -> str:
        """Return the path below the API's version; empty for a version that is not spoken."""
        version, _, rest = path.removeprefix(API).partition("/")
        return rest if version in self.server.speaks else ""

    def _answer(self, status: int, value: Object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def registry() -> Iterator[Registry]:
    folder = os.environ.get("REFINE_AF_TEST_DATA")
    spec: Object = {}
    if folder:
        (path,) = Path(folder, "schemas").glob("model-registry-openapi-*.yaml.gz")
        spec = yaml.safe_load(gzip.decompress(path.read_bytes()))
    with Registry(spec) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def register(folder: Path, root: str, **params: str) -> Object:
    """Run the stage on a small adapter and return what it says of it."""
    adapter = folder / "adapter"
    adapter.mkdir(exist_ok=True)
    (adapter / "adapter_config.json").write_text('{"r": 8}')
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    (adapter / "README.md").write_text("# The card\n")
    merged = folder / "merged"
    merged.mkdir(exist_ok=True)
    (merged / "README.md").write_text("No merged model was asked for.\n")
    tuned = folder / "records" / "artifacts" / "train_sft-rl"
    tuned.mkdir(parents=True, exist_ok=True)
    provenance = {"code": "1", "params": {"model": "m"}, "inputs": {"instances": "ab"}}
    (tuned / "provenance").write_text(json.dumps(provenance))
    (folder / "result").write_text('{"arms": {"rl": {"rouge_l": 70.5, "reward": -0.25}}}')
    run_stage(
        "register_model",
        inputs={
            "adapter": str(adapter),
            "merged": str(merged),
            "lineage": str(folder / "records"),
            "result": str(folder / "result"),
        },
        outputs={"registration": str(folder / "registration")},
        params={"model_uri": root, **params},
    )
    entry: Object = json.loads((folder / "registration").read_text())
    return entry


def test_the_model_is_written_with_card_metrics_and_lineage(tmp_path: Path, s3_root: str) -> None:
    entry = register(tmp_path, s3_root, name="mine", version="v1")
    assert entry == {"name": "mine", "version": "v1", "uri": f"{s3_root}/mine/v1"}
    store = open_store(s3_root)
    assert store.read(f"{entry['uri']}/adapter_model.safetensors") == b"weights"
    assert store.read(f"{entry['uri']}/README.md") == b"# The card\n"
    assert json.loads(store.read(f"{entry['uri']}/metrics.json"))["rouge_l"] == 70.5
    lineage = json.loads(store.read(f"{entry['uri']}/lineage.json"))
    assert lineage["train_sft-rl"]["inputs"] == {"instances": "ab"}


def test_the_model_is_pushed_to_an_oci_registry(tmp_path: Path) -> None:
    with small() as server:
        entry = register(tmp_path, f"oci://{server.host}/team", name="mine", version="v1")
        (data,) = server.manifests.values()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    uri = f"oci://{server.host}/team/mine:v1"
    assert entry == {"name": "mine", "version": "v1", "uri": uri, "digest": digest}
    manifest = json.loads(data)
    assert manifest["annotations"]["org.opencontainers.image.version"] == "v1"
    names = set()
    for layer in manifest["layers"]:
        with tarfile.open(fileobj=io.BytesIO(server.blobs[layer["digest"]])) as archive:
            names.update(archive.getnames())
    wanted = ("README.md", "adapter_model.safetensors", "lineage.json", "metrics.json")
    assert names >= {f"models/{name}" for name in wanted}


def test_model_version_and_artifact_are_registered_once(
    registry: Registry, tmp_path: Path, s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_REGISTRY_TOKEN", "t")
    first = register(tmp_path, s3_root, registry=registry.url, author="me")
    again = register(tmp_path, s3_root, registry=registry.url, author="me")
    assert first == again
    assert registry.tokens == {"Bearer t"}
    (model,) = registry.kept["registered_models"]
    (version,) = registry.kept[f"registered_models/{first['model_id']}/versions"]
    (artifact,) = registry.kept[f"model_versions/{first['version_id']}/artifacts"]
    assert model["name"] == "refine-af"
    assert version["name"] == first["version"]
    assert version["author"] == "me"
    properties = version["customProperties"]
    assert properties["rouge_l"] == {"metadataType": "MetadataDoubleValue", "double_value": 70.5}
    assert properties["base_model"]["string_value"] == "m"
    assert artifact["uri"] == first["uri"]
    assert artifact["name"] == "refine-af"
    assert artifact["modelFormatName"] == "peft"


@pytest.mark.parametrize("speaks", [["v1"], ["v1alpha3"]])
def test_older_and_newer_registries_are_spoken_to(
    speaks: list[str], registry: Registry, tmp_path: Path
) -> None:
    registry.speaks = speaks
    assert register(tmp_path, str(tmp_path / "out"), registry=registry.url)["artifact_id"]


def test_another_service_is_told_from_a_registry(registry: Registry, tmp_path: Path) -> None:
    registry.speaks = []
    with pytest.raises(ParameterError, match="no model registry answers there"):
        register(tmp_path, str(tmp_path / "out"), registry=registry.url)


def test_the_registrys_own_client_finds_the_model(registry: Registry, tmp_path: Path) -> None:
    client = pytest.importorskip("model_registry", reason="pip install model-registry to try it")
    entry = register(tmp_path, str(tmp_path / "out"), registry=registry.url, author="me")
    host, _, port = registry.url.removeprefix("http://").partition(":")
    theirs = client.ModelRegistry(f"http://{host}", int(port), author="x", is_secure=False)
    version = theirs.get_model_version("refine-af", entry["version"])
    artifact = theirs.get_model_artifact("refine-af", entry["version"])
    assert version.author == "me"
    assert version.custom_properties["rouge_l"] == 70.5
    assert artifact.uri == entry["uri"]
    assert artifact.model_format_name == "peft"


def test_another_version_is_of_the_same_model(
    registry: Registry, tmp_path: Path, s3_root: str
) -> None:
    first = register(tmp_path, s3_root, registry=registry.url, version="1")
    second = register(tmp_path, s3_root, registry=registry.url, version="2")
    assert first["model_id"] == second["model_id"]
    assert first["version_id"] != second["version_id"]


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (401, ParameterError, "refuses with 401.*MODEL_REGISTRY_TOKEN"),
        (400, ParameterError, "refuses with 400"),
        (503, DependencyError, "answers 503"),
    ],
)
def test_a_refusal_is_told(
    answer: int,
    kind: type[Exception],
    message: str,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REFINE_AF_RETRY_SECONDS", "0.2")
    registry.answers = [answer] * 50
    with pytest.raises(kind, match=message):
        register(tmp_path, str(tmp_path / "models"), registry=registry.url)


def test_a_moments_outage_is_outlived(registry: Registry, tmp_path: Path) -> None:
    registry.answers = [503]
    assert register(tmp_path, str(tmp_path / "models"), registry=registry.url)["artifact_id"]


def test_a_registry_that_is_not_there_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFINE_AF_RETRY_SECONDS", "0.2")
    with pytest.raises(DependencyError, match="no answer"):
        register(tmp_path, str(tmp_path / "models"), registry="http://127.0.0.1:9")


def test_what_cannot_be_registered_is_refused(tmp_path: Path) -> None:
    root = str(tmp_path / "models")
    with pytest.raises(DataError, match="the input merged holds no weights; set"):
        register(tmp_path, root, form="merged")
    with pytest.raises(ParameterError, match="model_uri is ''; give a folder or a URI"):
        register(tmp_path, "")
    with pytest.raises(ParameterError, match="must begin with https"):
        register(tmp_path, root, registry="ftp://x")
    with pytest.raises(ParameterError, match="names of folders"):
        register(tmp_path, root, name="a/b")
