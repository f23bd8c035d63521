"""Files made to hurt: bombs, links, pickles, code to import, credentials in addresses."""

import gzip
import json
import pickle
from pathlib import Path

import pytest
import yaml

from refine_af.contracts import row_files
from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.jsonl import iter_objects
from refine_af.evaluation import task_files
from refine_af.evaluation.task_sets import load_tasks
from refine_af.lineage.run import open_run
from refine_af.pipelines.config import load_config
from refine_af.runner import run_stage
from refine_af.storage import sources
from refine_af.storage.location import join, locate
from refine_af.storage.manifest import Manifest


class Harm:
    """Unpickling this writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.write_text, (self.target, "harmed"))


def model_folder(folder: Path, **adapter: object) -> Path:
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"]} | adapter
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(b"")
    return folder


def test_a_gzip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_files, "MOST_UNPACKED_BYTES", 10_000_000)
    path = tmp_path / "tasks.jsonl.gz"
    path.write_bytes(gzip.compress(b" " * 50_000_000))
    assert path.stat().st_size < 60_000
    with pytest.raises(DataError, match="unpack to more than 10000000"):
        load_tasks([path])


def test_a_parquet_file_that_claims_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(row_files, "MOST_ROWS", 100_000)
    path = tmp_path / "seeds.parquet"
    parquet.write_table(pyarrow.table({"instruction": pyarrow.repeat("x", 200_000)}), path)
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match="200000 rows"):
        list(iter_objects(path))


@pytest.mark.parametrize("depth", [900, 100_000])
def test_json_nested_to_any_depth_is_read_or_refused(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": ' + "[" * depth + "]" * depth + "}\n")
    try:
        assert len(list(iter_objects(path))) == 1
    except DataError as error:
        assert "nested too deeply" in str(error)  # noqa: PT017  either is right


def test_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 12):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    path = tmp_path / "config.yaml"
    path.write_text("\n".join(lines))
    assert path.stat().st_size < 2_000
    assert yaml.safe_load(path.read_text())
    with pytest.raises(ParameterError, match="with its aliases written out"):
        load_config("smoke", str(path))
    path.write_text("a: &a [*a]")
    with pytest.raises(ParameterError):
        load_config("smoke", str(path))


def test_yaml_makes_no_objects(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"summary: !!python/object/apply:os.system ['touch {tmp_path}/harm']")
    with pytest.raises(ParameterError, match="not YAML"):
        load_config("smoke", str(path))
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/passwd", "a//b", "a\\..\\b", "a\nb", ".", "a/./b"]
)
def test_names_that_leave_their_folder(name: str) -> None:
    with pytest.raises(DataError):
        join("s3://bucket/work", name)
    raw = json.dumps({"complete": True, "files": {name: {"size": 1, "sha256": "0" * 64}}})
    with pytest.raises(DataError):
        Manifest.load(raw.encode(), "adapter")


def test_a_link_out_of_an_adapter_is_refused(tmp_path: Path) -> None:
    adapter = model_folder(tmp_path / "adapter")
    (adapter / "tokenizer.json").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match="the link leads outside"):
        run_stage(
            "evaluate",
            inputs={"adapter": str(adapter)},
            outputs={"predictions": str(tmp_path / "p"), "scores": str(tmp_path / "s")},
            params={"model": "builtin:fixture", "instances": 1},
        )


def test_a_pickle_in_an_adapter_is_never_read(tmp_path: Path) -> None:
    from refine_af.engines.adapters import check_adapter_folder

    adapter = model_folder(tmp_path / "adapter")
    (adapter / "adapter_model.safetensors").unlink()
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps(Harm(tmp_path / "harm")))
    with pytest.raises(DataError, match=r"no adapter_model\.safetensors"):
        check_adapter_folder(adapter)
    assert not (tmp_path / "harm").exists()


def test_a_pickled_model_is_never_read(tmp_path: Path) -> None:
    from refine_af.engines.models import load_model, resolve_model

    folder = tmp_path / "model"
    folder.mkdir()
    builtin = resolve_model("builtin:fixture")
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_bytes((builtin / name).read_bytes())
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Harm(tmp_path / "harm")))
    with pytest.raises(DataError, match="pickled weights"):
        load_model(str(folder))
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "entry",
    [
        {"auto_mapping": {"base_model_class": "X", "parent_library": "os"}},
        {"auto_mapping": {"base_model_class": "X", "parent_library": "transformersx.models"}},
        {"auto_mapping": ["transformers"]},
        {"megatron_config": {"parent_library": "transformers"}},
        {"megatron_config": {"a": 1}, "megatron_core": "harmful_module"},
        {"peft_type": "PREFIX_TUNING"},
    ],
)
def test_an_adapter_may_not_name_code(tmp_path: Path, entry: dict[str, object]) -> None:
    from refine_af.engines.adapters import check_adapter_folder

    with pytest.raises(DataError, match=r"peft_type|names code"):
        check_adapter_folder(model_folder(tmp_path / "adapter", **entry))


def test_code_that_travels_with_a_model_does_not_run(tmp_path: Path) -> None:
    from refine_af.engines.models import load_model, resolve_model

    folder = tmp_path / "model"
    folder.mkdir()
    for path in resolve_model("builtin:fixture").iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config |= {"auto_map": {"AutoModelForCausalLM": "own.Model", "AutoConfig": "own.Config"}}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "own"}))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'harm')!r}, 'w')\n")
    with pytest.raises((DataError, ParameterError)):
        load_model(str(folder))
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "ftp://host/x",
        "gopher://host/x",
        "FILE:///etc/passwd",
        "jar:file:///x",
    ],
)
def test_other_schemes_are_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises((ParameterError, DataError)):
        sources.fetch_rows_file(uri, tmp_path)


@pytest.mark.parametrize(
    "uri",
    [
        "https://user:hunter2@host/rows.jsonl",
        "https://host/rows.jsonl?X-Amz-Signature=hunter2&a=1",
        "https://host/rows.jsonl?access_token=hunter2",
        "https://host/rows.jsonl?sig=hunter2",
    ],
)
def test_a_credential_in_an_address_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(ParameterError) as caught:
        locate(uri)
    assert "hunter2" not in str(caught.value)
    assert locate("https://host/rows.jsonl?author=me&version=2").bucket == "host"


def test_a_run_folder_of_nonsense_is_refused(tmp_path: Path) -> None:
    (tmp_path / "artifacts" / "seed_ingest").mkdir(parents=True)
    (tmp_path / "artifacts" / "seed_ingest" / "provenance").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"the file was altered|nested too deeply"):
        open_run(tmp_path)
