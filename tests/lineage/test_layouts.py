"""One run in three layouts and several stores: every command gives the same results."""

import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from layouts import as_argo, as_kfp, upload
from made_folder import shared_folder
from reading import rows

from refine_af.cli import main
from refine_af.contracts.errors import DataError
from refine_af.lineage.configuration import configuration
from refine_af.lineage.passport import passport
from refine_af.lineage.refilter import Refilter, refilter
from refine_af.lineage.run import Run, open_run
from refine_af.lineage.status import status_of
from refine_af.lineage.telemetry import telemetry_of
from refine_af.lineage.trace import trace
from refine_af.lineage.verify import verify_run

DATA = os.environ.get("REFINE_AF_TEST_DATA")
LAYOUTS = {"argo": as_argo, "kfp": as_kfp}


@pytest.fixture(params=["argo", "kfp"])
def laid_out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return LAYOUTS[request.param](shared_folder(), tmp_path / "refine-af" / "run-1")


@pytest.fixture(params=["argo", "kfp"])
def in_bucket(request: pytest.FixtureRequest, tmp_path: Path, s3_root: str) -> str:
    folder = LAYOUTS[request.param](shared_folder(), tmp_path / "laid-out")
    return upload(folder, f"{s3_root}/refine-af/{request.param}")


def shape(run: Run) -> list[tuple[str, str, list[str]]]:
    """Tasks, stages and outputs, the records that layouts differ in left out."""
    records = {"metrics", "telemetry"}
    return [(task.name, task.stage.name, sorted(set(task.outputs) - records)) for task in run.tasks]


def without_place(value: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps({key: item for key, item in value.items() if key != "run"})
    found: dict[str, Any] = json.loads(text)
    for chapter in found["history"]:
        for writing in chapter["writing"]:
            writing.pop("libraries")
    return found


def test_tasks_and_arms_are_those_of_the_local_run(laid_out: Path) -> None:
    assert shape(open_run(laid_out)) == shape(open_run(shared_folder()))
    assert open_run(laid_out).arms("train_sft") == ["baseline", "rl"]


def test_tasks_in_a_bucket(in_bucket: str) -> None:
    assert shape(open_run(in_bucket)) == shape(open_run(shared_folder()))


def test_tasks_in_cloud_storage(tmp_path: Path, gs_root: str) -> None:
    folder = as_argo(shared_folder(), tmp_path / "laid-out")
    assert shape(open_run(upload(folder, f"{gs_root}/run"))) == shape(open_run(shared_folder()))


def test_a_local_run_copied_to_a_bucket(s3_root: str) -> None:
    run = open_run(upload(shared_folder(), f"{s3_root}/copied"))
    assert run.spec["config"] == open_run(shared_folder()).spec["config"]
    assert shape(run) == shape(open_run(shared_folder()))


def test_a_pipeline_below_further_folders(tmp_path: Path) -> None:
    as_kfp(shared_folder(), tmp_path / "refine-af" / "run-1")
    assert shape(open_run(tmp_path)) == shape(open_run(shared_folder()))
    as_kfp(shared_folder(), tmp_path / "refine-af" / "run-2")
    for number in (1, 2):
        check = tmp_path / "refine-af" / f"run-{number}" / "check-inputs" / "id"
        check.mkdir(parents=True)
        (check / "manifest").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="it holds 2 runs; name one of them: refine-af/run-1"):
        _ = open_run(tmp_path).tasks


def test_explain_and_trace_say_the_same(in_bucket: str) -> None:
    local, run = open_run(shared_folder()), open_run(in_bucket)
    row = rows(shared_folder() / "artifacts" / "score_rewards-rl" / "scored")[4]
    assert without_place(passport(run, row["id"])) == without_place(passport(local, row["id"]))
    assert passport(run, row["id"])["run"] == in_bucket
    assert trace(run, "seed_017") == trace(local, "seed_017")


def test_verify_finds_no_problem_and_names_what_it_could_not_check(
    in_bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    local, remote = verify_run(shared_folder()), verify_run(in_bucket)
    assert remote.problems == ()
    assert (remote.links, remote.rows) == (local.links, local.rows)
    assert any("SHA256SUMS" in text for text in remote.not_covered)
    assert main(["verify", in_bucket]) == 0
    assert "no run.json" in capsys.readouterr().out


def test_verify_finds_an_altered_row_in_either_layout(laid_out: Path) -> None:
    path = sorted(laid_out.rglob("scored"))[0]
    first, *others = rows(path)
    first["output"] = "Something else altogether."
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in (first, *others)]
    path.write_text("".join(lines), encoding="utf-8")
    problems = verify_run(laid_out).problems
    assert any("it read the input instances" in text for text in problems), problems
    assert any(first["id"] in text for text in problems), problems


def test_refilter_decides_the_same(in_bucket: str, tmp_path: Path) -> None:
    changes = {"dedup_filter": {"max_rouge_l": 0.3}, "generate_instructions": {"max_rouge_l": 0.3}}
    for name, uri in (("local", str(shared_folder())), ("remote", in_bucket)):
        refilter(Refilter(open_run(uri), tmp_path / name, changes, min_total=0.0))
    for name in ("dedup_filter/kept", "score_rewards-rl/rejected", "score_rewards-rl/scored"):
        files = [tmp_path / folder / "artifacts" / name for folder in ("local", "remote")]
        assert files[0].read_bytes() == files[1].read_bytes()
        assert rows(files[0])


def test_export_writes_the_same_rows(
    in_bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, uri in (("local", str(shared_folder())), ("remote", in_bucket)):
        words = ["export", "--run", uri, "--format", "alpaca", "--output", str(tmp_path / name)]
        assert main(words) == 0
    data = [tmp_path / name / "data" / "train.json" for name in ("local", "remote")]
    assert data[0].read_bytes() == data[1].read_bytes()
    assert "note: no run.json" in capsys.readouterr().out
    assert "no run.json" in (tmp_path / "remote" / "README.md").read_text(encoding="utf-8")


def test_an_export_that_finds_no_scored_rows_shows_the_uri_as_it_was_given(
    s3_root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", "--run", f"{s3_root}/none", "--format", "alpaca", "--output", str(tmp_path)]
    assert main(words) == 65
    assert f"{s3_root}/none: no artifacts of a run in it" in capsys.readouterr().err


def test_status_names_every_finished_task(in_bucket: str) -> None:
    local, remote = status_of(str(shared_folder())), status_of(in_bucket)
    assert remote["tasks"] == local["tasks"]
    assert {task["state"] for task in remote["tasks"]} == {"finished"}
    assert any("no run.json" in text for text in remote["lacking"])


def test_a_task_that_was_killed_is_not_called_finished(tmp_path: Path) -> None:
    folder = as_kfp(shared_folder(), tmp_path / "run")
    shutil.rmtree(folder / "train-ppo")
    (folder / "train-ppo" / "some-id").mkdir(parents=True)
    (folder / "train-ppo" / "some-id" / "executor-logs-0").write_text("", encoding="utf-8")
    states = {task["task"]: task["state"] for task in status_of(str(folder))["tasks"]}
    assert states["train_ppo"] == "running or killed"
    assert states["dedup_filter"] == "finished"


def test_a_task_that_is_there_twice_is_named(tmp_path: Path) -> None:
    folder = as_kfp(shared_folder(), tmp_path / "run")
    (first,) = (folder / "train-ppo").iterdir()
    second = Path(shutil.copytree(first, folder / "train-ppo" / "another"))
    assert open_run(folder).task("train_ppo")  # an equal try is no second run
    provenance = json.loads((second / "provenance").read_text(encoding="utf-8"))
    provenance["params"]["seed"] = 99
    (second / "provenance").write_text(json.dumps(provenance), encoding="utf-8")
    with pytest.raises(DataError, match=r"train_ppo is there twice.*another"):
        _ = open_run(folder).tasks


def test_timing_lists_tasks_by_their_names_for_people(tmp_path: Path) -> None:
    folder = as_kfp(shared_folder(), tmp_path / "run")
    assert "train_sft (rl)" in telemetry_of(open_run(folder))


@pytest.fixture(params=["argo", "kfp"])
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    archive = Path(DATA or "", "real-runs", f"{request.param}-smoke.tar.gz")
    if DATA is None or not archive.is_file():
        pytest.skip("REFINE_AF_TEST_DATA names no folder with real-runs")
    with tarfile.open(archive) as source:
        source.extractall(tmp_path / "real", filter="data")
    return tmp_path / "real"


def test_real_runs_of_clusters(real: Path, tmp_path: Path, s3_root: str) -> None:
    uri = upload(real, f"{s3_root}/real")
    run = open_run(uri)
    assert [task.name for task in run.of("train_sft", "evaluate")] == [
        "train_sft-baseline",
        "train_sft-rl",
        "evaluate-baseline",
        "evaluate-rl",
        "evaluate-start",
    ]
    assert verify_run(uri).problems == ()
    assert (
        main(["export", "--run", uri, "--format", "alpaca", "--output", str(tmp_path / "o")]) == 0
    )
    assert len(json.loads((tmp_path / "o/data/train.json").read_text(encoding="utf-8"))) == 22
    assert main(["rating-sheet", "--run", uri, "--output", str(tmp_path / "sheet")]) == 0
    assert main(["timing", uri, "--output", str(tmp_path / "timing.html")]) == 0


def test_the_configuration_of_a_real_run_is_that_of_its_preset(real: Path, tmp_path: Path) -> None:
    from refine_af.pipelines.config import load_config

    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(configuration(open_run(real))), encoding="utf-8")
    found, asked = load_config("smoke", str(path)), load_config("smoke", "")
    assert found.arms == asked.arms
    given = {"arms", "shard", "replicate", "rows", "sizes"}
    for task in open_run(real).tasks:
        fields = task.stage.params.model_fields
        values = {**found.parameters, **found.stages.get(task.stage.name, {})}
        known = {name: value for name, value in task.params.items() if name in fields}
        recorded = task.stage.params.parse(known).method_values()  # in today's spelling
        for name, value in recorded.items():
            if name in known and name not in given and not name.endswith("_digest"):
                assert values.get(name, fields[name].default) == value, (task.name, name)
