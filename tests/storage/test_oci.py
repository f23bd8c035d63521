"""A folder as an image in an OCI registry: read back as an engine reads it."""

import io
import json
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from registry import BINARY, PASSWORD, USER, real, small

from refine_af.contracts.errors import DependencyError, ParameterError
from refine_af.storage import oci
from refine_af.storage.oci import Reference, push_folder


@pytest.fixture(params=["real", "small"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "small":
        with small() as server:
            yield server.host
        return
    if BINARY is None:
        pytest.skip("docker-registry is not installed (Debian has it): only the small one is tried")
    (tmp_path / "registry").mkdir()
    with real(tmp_path / "registry") as address:
        yield address


def folder(path: Path) -> Path:
    (path / "deep").mkdir(parents=True)
    (path / "adapter_model.safetensors").write_bytes(b"weights" * 1000)
    (path / "deep" / "README.md").write_text("# The card\n")
    (path / "empty").write_bytes(b"")
    return path


def push(host: str, tmp_path: Path, tag: str = "v1") -> str:
    (tmp_path / "scratch").mkdir(exist_ok=True)
    labels = {"org.opencontainers.image.title": "mine"}
    source = tmp_path / "model"
    return push_folder(f"oci://{host}/team/mine:{tag}", source, tmp_path / "scratch", labels)


def read(host: str, path: str) -> Any:  # noqa: ANN401
    request = urllib.request.Request(f"http://{host}/v2/team/mine/{path}")
    request.add_header("Accept", oci.MANIFEST)
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return answer.read(), answer.headers


@pytest.mark.parametrize("host", ["real"], indirect=True)
def test_the_registry_gives_back_the_files(host: str, tmp_path: Path) -> None:
    folder(tmp_path / "model")
    digest = push(host, tmp_path)
    data, headers = read(host, "manifests/v1")
    assert headers["Docker-Content-Digest"] == digest
    assert headers["Content-Type"] == oci.MANIFEST
    manifest = json.loads(data)
    found = {}
    for layer in manifest["layers"]:
        blob, _ = read(host, f"blobs/{layer['digest']}")
        assert len(blob) == layer["size"]
        with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
            (entry,) = archive.getmembers()
            file = archive.extractfile(entry)
            assert file is not None
            found[entry.name] = file.read()
    assert found == {
        "models/adapter_model.safetensors": b"weights" * 1000,
        "models/deep/README.md": b"# The card\n",
        "models/empty": b"",
    }
    config = json.loads(read(host, f"blobs/{manifest['config']['digest']}")[0])
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]


def test_pushed_again_it_is_the_same_image(host: str, tmp_path: Path) -> None:
    folder(tmp_path / "model")
    first = push(host, tmp_path)
    (tmp_path / "model" / "empty").touch()
    assert push(host, tmp_path, "v2") == first
    assert not list((tmp_path / "scratch").glob("layer"))


def test_what_is_there_is_not_sent_again(tmp_path: Path) -> None:
    folder(tmp_path / "model")
    with small() as server:
        push(server.host, tmp_path)
        sent = [line for line in server.requests if line.startswith("PUT")]
        server.requests.clear()
        push(server.host, tmp_path)
        again = [line for line in server.requests if line.startswith("PUT")]
    assert len(sent) == 5  # three files, configuration, manifest
    assert len(again) == 1


def test_a_token_is_fetched_where_the_registry_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path / "model")
    with small("t") as server:
        with pytest.raises(ParameterError, match="set OCI_USERNAME and OCI_PASSWORD"):
            push(server.host, tmp_path)
        monkeypatch.setenv("OCI_USERNAME", USER)
        monkeypatch.setenv("OCI_PASSWORD", PASSWORD)
        push(server.host, tmp_path)
        assert "team/mine:v1" in server.manifests
        assert server.requests.count("GET ") == 2  # one refused, one for all that followed


def test_what_may_pass_is_tried_again_and_a_refusal_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path / "model")
    monkeypatch.setenv("REFINE_AF_RETRY_SECONDS", "5")
    with small() as server:
        server.fail_with = [503, 502]
        push(server.host, tmp_path)
        server.fail_with = [400]
        with pytest.raises(ParameterError, match="refuses with 400"):
            push(server.host, tmp_path)
    monkeypatch.setenv("REFINE_AF_RETRY_SECONDS", "0.2")
    with pytest.raises(DependencyError, match="no answer"):
        push(server.host, tmp_path)


@pytest.mark.parametrize(
    "uri",
    [
        "oci://host/name",
        "oci://name:v1",
        "oci://host/Name:v1",
        "https://host/name:v1",
        "oci://h/n:v/1",
    ],
)
def test_other_addresses_are_refused(uri: str) -> None:
    with pytest.raises(ParameterError, match="oci://HOST/REPOSITORY:TAG"):
        Reference.parse(uri)


def test_parts_of_an_address() -> None:
    assert Reference.parse("oci://h.example:5000/a/b-c/d:v1.0") == Reference(
        "h.example:5000", "a/b-c/d", "v1.0"
    )
