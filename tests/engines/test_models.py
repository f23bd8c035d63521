import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_engine import random_llama, save

from refine_af.contracts.errors import DataError, DependencyError, ParameterError
from refine_af.engines.models import load_model, model_revision, resolve_model
from refine_af.storage.manifest import digest_directory


def test_a_folder_is_itself_and_its_digest_follows_its_content(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", random_llama())
    assert resolve_model(folder) == tmp_path / "model"
    first = model_revision(folder)
    config = tmp_path / "model" / "config.json"
    config.write_text(config.read_text() + "\n")
    assert model_revision(folder) != first


def test_the_embedded_fixture_loads() -> None:
    model, tokenizer = load_model("builtin:fixture")
    assert model.dtype == torch.float32
    assert tokenizer.eos_token_id is not None
    assert model.device.type in ("cpu", "cuda")


@pytest.mark.parametrize(
    "name", ["builtin:tny", "no/such/folder/here", "./missing", "ftp://host/x", "", "a b", "../x"]
)
def test_a_name_of_no_allowed_form_is_a_parameter_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match=r"builtin|scheme"):
        resolve_model(name)


def test_a_folder_without_weights_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no config\.json"):
        resolve_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(DataError, match="pickled weights are never read"):
        resolve_model(str(tmp_path))


def test_a_damaged_model_is_a_data_error(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", random_llama())
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(DataError, match="cannot read it"):
        load_model(folder)


def test_a_stored_model_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "HOME": str(tmp_path),
        }.items():
            monkeypatch.setenv(name, value)
        import boto3

        boto3.client("s3").create_bucket(Bucket="models")
        folder = save(tmp_path / "model", random_llama())
        from refine_af.storage.schemes import open_store

        uri = "s3://models/llama/v1"
        open_store(uri).publish_directory(uri, Path(folder))
        assert model_revision(uri) == model_revision(folder)
        assert resolve_model(uri) == resolve_model(uri)
        assert tmp_path in resolve_model(uri).parents
    finally:
        server.stop()


def test_a_hub_id_out_of_reach_says_what_was_tried() -> None:
    # A process of its own: the Hub library reads this variable when it is imported.
    code = (
        "from refine_af.engines.models import resolve_model\n"
        "from refine_af.contracts.errors import DependencyError\n"
        "try:\n    resolve_model('some-org/some-model@main')\n"
        "except DependencyError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "some-org/some-model" in done.stdout
    assert "the Hub did not give it" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_missing_embedded_model_is_a_dependency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refine_af import builtin

    monkeypatch.setitem(builtin.PATHS, "tiny", tmp_path / "absent")
    with pytest.raises(DependencyError, match="make builtin-model"):
        resolve_model("builtin:tiny")


def test_settings_out_of_range_are_named(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", random_llama())
    with pytest.raises(ParameterError, match="dtype is 'int3'"):
        load_model(folder, dtype="int3")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="device is 'tpu9x'"):
        load_model(folder, device="tpu9x")


def test_naming_a_model_loads_no_heavy_library() -> None:
    code = (
        "import sys; from refine_af.engines import models, scripted, text; models.resolve_model;"
        "print([name for name in ('torch', 'transformers', 'vllm', 'aiohttp', 'peft')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def filled_cache(tmp_path: Path) -> Path:
    """A Hub cache that holds one model, as huggingface_hub lays it out."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / "hub" / "models--org--small"
    snapshot = folder / "snapshots" / commit
    shutil.copytree(resolve_model("builtin:fixture"), snapshot)
    (folder / "blobs").mkdir()
    for number, path in enumerate(sorted(snapshot.iterdir())):
        path.rename(folder / "blobs" / str(number))
        path.symlink_to(f"../../blobs/{number}")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    return tmp_path


def offline(cache: Path, code: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HF_HOME": str(cache), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )


def test_a_model_of_the_hubs_cache_is_asked(filled_cache: Path, tmp_path: Path) -> None:
    """The cache's files are links out of the snapshot's folder, to those of its repository."""
    [snapshot] = (filled_cache / "hub" / "models--org--small" / "snapshots").iterdir()
    tasks = tmp_path / "tasks.jsonl"
    row = {"task": "t", "category": "QA", "definition": "Name a river.", "id": "1", "input": ""}
    tasks.write_text(json.dumps(row | {"references": ["Po"]}))
    for model in ("org/small", str(snapshot)):
        command = ["evaluate", f"--model={model}", f"--tasks-uri={tasks}", "--max-tokens=4"]
        command += [f"--outputs-dir={tmp_path / 'out'}"]
        done = offline(filled_cache, f"from refine_af.cli import main; print(main({command!r}))")
        assert done.stdout.split()[-1] == "0", done.stderr
    (snapshot / "tokenizer.json").unlink()
    (snapshot / "tokenizer.json").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match="leads outside"):
        digest_directory(snapshot)


def test_offline_a_filled_cache_is_enough(filled_cache: Path, tmp_path: Path) -> None:
    code = (
        "from refine_af.engines.models import model_revision, resolve_model\n"
        "print(model_revision('org/small'), (resolve_model('org/small') / 'config.json').is_file())"
    )
    done = offline(filled_cache, code)
    assert done.stdout == "hub:0123456789abcdef0123456789abcdef01234567 True\n", done.stderr
    out = tmp_path / "out"
    arguments = ["check-inputs", "--model", "org/small", "--outputs-dir", str(out)]
    arguments.append("--reward=embedded")
    done = offline(filled_cache, f"from refine_af.cli import main; exit(main({arguments!r}))")
    assert done.returncode == 0, done.stderr
    assert (out / "model_digest").read_text().startswith("hub:0123")


def test_offline_a_model_that_is_not_there_is_no_bug(filled_cache: Path, tmp_path: Path) -> None:
    arguments = ["check-inputs", "--model", "org/none", "--outputs-dir", str(tmp_path)]
    done = offline(filled_cache, f"from refine_af.cli import main; exit(main({arguments!r}))")
    assert done.returncode == 69
    assert "org/none" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_copy_of_the_weights_is_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mistral 7B brings 14.5 GB more in a file of another format, Llama a folder of them."""
    import huggingface_hub
    from huggingface_hub.utils._paths import filter_repo_objects

    files = [
        "config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json",
        "tokenizer.model", "consolidated.safetensors", "original/consolidated.00.pth",
        "original/params.json", "pytorch_model.bin",
    ]  # fmt: skip
    fetched: list[str] = []

    def snapshot(_name: str, *, allow_patterns: list[str], **options: object) -> str:
        ignored = options["ignore_patterns"]
        fetched.extend(
            filter_repo_objects(files, allow_patterns=allow_patterns, ignore_patterns=ignored)  # type: ignore[arg-type]
        )
        (tmp_path / "config.json").write_text("{}")
        (tmp_path / "a.safetensors").touch()
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    resolve_model("org/name-7b")
    assert fetched == files[:4]
