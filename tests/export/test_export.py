"""Exports of a small made run: every form loads, the card says what was worked out, uploads."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import load_dataset
from hub_stand_in import running_hub

from refine_af import cli
from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.records import Instance, Pair, Seed
from refine_af.export.formats import FORMATS
from refine_af.export.licence import UNKNOWN, find_terms, licence_of_model
from refine_af.export.source import source_of_run
from refine_af.lineage.run import open_run

ROWS = [
    ("Sort the numbers.", "3 1 2", "1 2 3"),
    ("Write a line with \u2028 and | and ```.", "", "a\u2028b\n```\n</script>"),
    ("Nenne eine Stadt.", "im Süden", "München"),
]


def seed(number: int, licence: str) -> Seed:
    return Seed.make(
        f"s{number}", "n", f"Do {number}.", (Pair(input="", output="o"),), False, licence
    )


def instances() -> list[Instance]:
    rows = []
    for number, (instruction, text, output) in enumerate(ROWS):
        row = Instance.make(
            f"ins-{number}", instruction, text, output, is_classification=False, sample=0
        )
        parts = {"natural": 0.5} if number else {}
        rows.append(row.model_copy(update={"total": 0.25 * number, "parts": parts}))
    return rows


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a folder in the shape that a run leaves, with one arm."""
    folder = tmp_path / "made-run"
    places: dict[str, dict[str, Any]] = {
        "check_inputs": {"manifest": {"seeds_uri": "seeds.jsonl", "model": "builtin:tiny"}},
        "seed_ingest": {},
        "generate_instances-rl": {"provenance": {"params": {"model": "builtin:tiny"}, "code": "1"}},
        "score_rewards-rl": {"metrics": {"rows": 3}},
    }
    for task, files in places.items():
        place = folder / "artifacts" / task
        place.mkdir(parents=True)
        for name, value in files.items():
            (place / name).write_text(json.dumps(value), encoding="utf-8")
    write_rows(folder / "artifacts" / "seed_ingest" / "seeds", [seed(1, "MIT"), seed(2, "MIT")])
    write_rows(folder / "artifacts" / "score_rewards-rl" / "scored", instances())
    config = {
        "pipeline": "refine-af",
        "arms": ["rl", "baseline"],
        "parameters": {"seeds_uri": "/home/me/seeds.jsonl", "work_dir": "/tmp/w", "seed": 7},  # noqa: S108
        "stages": {"train_sft": {"lora_rank": 3}},
    }
    (folder / "run.json").write_text(json.dumps({"config": config}), encoding="utf-8")
    return folder


def test_an_arm_of_the_second_pipeline_names_its_own_tasks_and_models(run: Path) -> None:
    artifacts = run / "artifacts"
    for name in ("generate_instances-rl", "score_rewards-rl"):
        (artifacts / name).rename(artifacts / name.replace("-rl", "-learned"))
    (artifacts / "generate_instances-learned").rename(artifacts / "generate_responses-learned")
    for name in ("dedup_filter-learned", "dedup_filter-uniform", "evolve_instructions-learned"):
        (artifacts / name).mkdir()
        (artifacts / name / "provenance").write_text("{}", encoding="utf-8")
    rewriter = artifacts / "evolve_instructions-learned" / "provenance"
    rewriter.write_text(json.dumps({"params": {"model": "builtin:tiny"}}), encoding="utf-8")
    found = source_of_run(open_run(run), "learned")
    assert list(found.provenance) == [
        "seed_ingest", "evolve_instructions-learned", "dedup_filter-learned",
        "generate_responses-learned", "score_rewards-learned",
    ]  # fmt: skip
    assert found.model == "builtin:tiny"
    rewriter.write_text(json.dumps({"params": {"model": "org/other"}}), encoding="utf-8")
    assert source_of_run(open_run(run), "learned").model == ""


def exported(run: Path, form: str, output: Path, *more: str) -> int:
    words = ["export", "--run", str(run), "--format", form, "--output", str(output), *more]
    return cli.main(words)


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_loads_with_datasets_and_holds_every_text(
    run: Path, tmp_path: Path, form: str
) -> None:
    assert exported(run, form, tmp_path / "out") == 0
    rows = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert len(rows) == len(ROWS)
    for row, (instruction, text, output) in zip(rows, ROWS, strict=True):
        asked = f"{instruction}\n\n{text}".strip()
        if form == "sharegpt":
            found = [(turn["from"], turn["value"]) for turn in row["conversations"]]
            assert found == [("human", asked), ("gpt", output)]
        elif form == "messages":
            found = [(turn["role"], turn["content"]) for turn in row["messages"]]
            assert found == [("user", asked), ("assistant", output)]
        elif form == "prompt-completion":
            assert row["prompt"].startswith(f"Instruction: {instruction}\n")
            assert row["completion"] == f" {output}"
        else:
            assert (row["instruction"], row["input"], row["output"]) == (instruction, text, output)
    if form in ("parquet", "hf"):
        assert list(rows["reward"]) == [0.0, 0.25, 0.5]
        assert list(rows["reward_natural"]) == [None, 0.5, 0.5]


def test_alpaca_is_one_array_as_its_trainer_reads_it(run: Path, tmp_path: Path) -> None:
    assert exported(run, "alpaca", tmp_path / "out") == 0
    rows = json.loads((tmp_path / "out" / "data" / "train.json").read_text(encoding="utf-8"))
    assert rows[0] == {"instruction": ROWS[0][0], "input": "3 1 2", "output": "1 2 3"}


def test_the_same_rows_give_the_same_bytes(run: Path, tmp_path: Path) -> None:
    for form in FORMATS:
        for name in ("a", "b"):
            assert exported(run, form, tmp_path / form / name) == 0
        first, second = (sorted((tmp_path / form / name).rglob("*")) for name in ("a", "b"))
        pairs = [(a, b) for a, b in zip(first, second, strict=True) if a.is_file()]
        assert all(a.read_bytes() == b.read_bytes() for a, b in pairs)


def test_card_holds_licence_digest_counts_and_a_command_that_carries_every_parameter(
    run: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert exported(run, "alpaca", output) == 0
    page = (output / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(page.split("---\n")[1])
    assert front["license"] == ["apache-2.0", "mit"]
    data = subprocess.run(["sha256sum", output / "data" / "train.json"], capture_output=True)
    assert data.stdout.decode().split()[0] in page
    assert "refine-af run --config run.yaml --output-dir run" in page
    assert "refine-af export --run run --arm rl --format alpaca --output data-set" in page
    assert "/home/me" not in page
    config = yaml.safe_load((output / "run.yaml").read_text(encoding="utf-8"))
    assert config["parameters"] == {"seeds_uri": "seeds.jsonl", "seed": 7}
    assert config["stages"]["train_sft"]["lora_rank"] == 3
    assert config["stages"]["train_sft"]["epochs"] == 2.0
    assert "seed" not in config["stages"]["train_sft"]


def test_run_yaml_resolves_to_the_parameters_of_the_run(run: Path, tmp_path: Path) -> None:
    from refine_af.pipelines.bounds import resolved
    from refine_af.pipelines.config import RunConfig, load_config
    from refine_af.stages import STAGES

    assert exported(run, "alpaca", tmp_path / "out") == 0
    found = load_config("quickstart", str(tmp_path / "out" / "run.yaml"))
    asked = RunConfig.model_validate(json.loads((run / "run.json").read_text())["config"])
    places = {"seeds_uri", "work_dir"}
    for stage in STAGES:
        one, other = resolved(found, stage), resolved(asked, stage)
        assert {k: v for k, v in one.items() if k not in places} == {
            k: v for k, v in other.items() if k not in places
        }


def test_unknown_licences_refuse_until_a_person_decides(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "artifacts" / "seed_ingest" / "seeds"
    write_rows(path, [seed(1, "MIT"), seed(2, "unknown")])
    assert exported(run, "alpaca", tmp_path / "out") == 65
    message = capsys.readouterr().err
    assert "unknown: 1 seed tasks" in message
    assert "--licence" in message
    assert not (tmp_path / "out").exists()
    assert exported(run, "alpaca", tmp_path / "out", "--licence", "CC-BY-4.0") == 0
    page = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert yaml.safe_load(page.split("---\n")[1])["license"] == "cc-by-4.0"
    assert "stated by whoever exported" in page
    assert "--licence CC-BY-4.0" in page


def test_licence_of_a_model_folder_is_read_from_its_page(tmp_path: Path) -> None:
    assert licence_of_model(str(tmp_path)) == UNKNOWN
    page = tmp_path / "README.md"
    for front, wanted in (
        ("license: Llama2", "llama2"),
        ("license: other\nlicense_name: my-terms", "my-terms"),
        ("license: other", UNKNOWN),
        ("license: [mit", UNKNOWN),
        ("tags: [a]", UNKNOWN),
    ):
        page.write_text(f"---\n{front}\n---\n# A model\n", encoding="utf-8")
        assert licence_of_model(str(tmp_path)) == wanted
    assert licence_of_model("s3://bucket/model") == UNKNOWN


def test_one_licence_for_all_sources_is_one_licence() -> None:
    terms = find_terms([seed(1, "Apache-2.0")], "builtin:tiny")
    assert terms.published == ("apache-2.0",)


def test_a_foreign_folder_is_not_replaced(run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work", encoding="utf-8")
    assert exported(run, "alpaca", tmp_path / "out") == 64
    assert (tmp_path / "out" / "thesis.txt").exists()


def test_wrong_arm_names_the_arms_there_are(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exported(run, "alpaca", tmp_path / "out", "--arm", "rll") == 64
    assert "Did you mean 'rl'?" in capsys.readouterr().err


def test_push_uploads_the_whole_folder_as_one_commit(run: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "refine_af", "export", "--run", str(run), "--format", "hf"]
    words += ["--output", str(tmp_path / "out"), "--push-to-hub", "owner/name"]
    with running_hub() as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token}
        environment["HF_HUB_DISABLE_XET"] = "1"
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        refused = {**environment, "HF_TOKEN": "hf_wrong"}
        denied = subprocess.run(words, env=refused, capture_output=True, text=True, check=False)
    assert hub.url in done.stdout
    assert [(one["name"], one["visibility"]) for one in hub.created] == [("name", "private")]
    folder = tmp_path / "out"
    local = {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }
    assert hub.files == local
    assert "data/train-00000-of-00001.parquet" in local
    assert denied.returncode == 69
    assert "HF_TOKEN" in denied.stderr
