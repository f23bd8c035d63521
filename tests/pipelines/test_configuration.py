"""refine-af config, the schema of a configuration file, and what a misplaced key is told."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from refine_af.cli import main
from refine_af.pipelines.config import PRESET_FOLDER
from refine_af.pipelines.configuration import json_schema

PRESETS = sorted(PRESET_FOLDER.glob("*.yaml"), key=lambda path: path.name)


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    found = json_schema()
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_the_schema_takes_every_preset(schema: jsonschema.Draft202012Validator, path: Path) -> None:
    schema.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "wrong",
    [
        {"train_ppo": {"clip": 0.1}},
        {"stages": {"train_ppo": {"clip": 1.5}}},
        {"stages": {"train_ppo": {"clp": 0.5}}},
        {"stages": {"train_sft": {"method": "lorra"}}},
        {"base": "quikstart"},
        {"parameters": {"modle": "x"}},
    ],
)
def test_the_schema_refuses_what_a_run_refuses(
    schema: jsonschema.Draft202012Validator, wrong: dict[str, object], tmp_path: Path
) -> None:
    assert not schema.is_valid(wrong)
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(wrong))
    assert main(["run", "-c", str(tmp_path / "own.yaml"), "--dry-run"]) == 64


@pytest.mark.parametrize(
    ("text", "nesting"),
    [
        ("train_ppo: {clip: 0.1}", "stages:\n  train_ppo:\n    NAME: VALUE"),
        ("model: builtin:tiny", "parameters:\n  model: VALUE"),
        ("max_rouge_l: 0.5", "stages:\n  generate_instructions:\n    max_rouge_l: VALUE"),
        ("armz: [rl]", "Did you mean 'arms'?"),
    ],
)
def test_a_misplaced_key_is_told_its_place(
    text: str, nesting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.yaml").write_text(text)
    assert main(["run", "-c", str(tmp_path / "own.yaml"), "--dry-run"]) == 64
    assert nesting in capsys.readouterr().err


def test_a_file_names_its_base(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("base: smoke\nstages:\n  train_ppo: {clip: 0.3}\n")
    assert main(["config", "diff", "smoke", str(own)]) == 0
    assert capsys.readouterr().out == "train_ppo.clip: 0.2 -> 0.3\n"
    assert main(["run", "--preset", "default", "-c", str(own), "--dry-run"]) == 64
    assert "base is 'smoke', --preset 'default'; give one of them" in capsys.readouterr().err


def test_each_value_is_shown_with_its_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("base: smoke\nstages:\n  train_ppo: {clip: 0.3}\n")
    assert main(["config", "show", "-c", str(own), "--set", "train_sft.rows=5", "--all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line in (
        "train_ppo.clip = 0.3  (file)",
        "train_ppo.updates = 2  (preset)",
        "train_ppo.gamma = 1.0  (default)",
        "train_sft (rl).rows = 5  (--set)",
        "generate_instructions.shard = 0  (derived)",
        "evaluate (rl).model = 'builtin:fixture'  (preset)",
    ):
        assert line in lines


def test_the_schema_is_written_with_the_line_that_editors_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "schema", "-o", str(tmp_path / "run.json")]) == 0
    assert "# yaml-language-server: $schema=run.json" in capsys.readouterr().out
    assert json.loads((tmp_path / "run.json").read_text()) == json_schema()


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_stage_of_a_preset_has_the_tasks_of_the_run(path: Path) -> None:
    """A stage with tasks of its own would keep rows that repeat the tasks that are evaluated."""
    stages = yaml.safe_load(path.read_text(encoding="utf-8")).get("stages", {})
    assert not [stage for stage, values in stages.items() if "tasks_uri" in values]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", "--run", "r"], "export: Missing option '--format'. Choose from: alpaca, share"),
        (["run", "--limit", "many"], "run: Invalid value for '--limit': 'many' is not a valid"),
        (["config", "shwo"], "config: No such command 'shwo'. Did you mean 'show'?"),
        (["dedup-fitler"], "'dedup-fitler' is not a command. Did you mean 'dedup-filter'?"),
        (["verify"], "verify: Missing argument 'RUN'."),
        (["seed-ingest", "--seads", "x"], "seed-ingest: No such option '--seads'"),
        (["judge", "--firstt", "2"], "judge: No such option '--firstt'. Did you mean '--first'?"),
    ],
)
def test_misused_words_are_answered_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 64
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"refine-af: {message}")
    assert "--help` lists " in line
