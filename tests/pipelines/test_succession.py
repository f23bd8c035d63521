"""A folder belongs to its configuration; a finished run stays until its successor is whole."""

import json
from pathlib import Path

import pytest

from refine_af.cli import main
from refine_af.contracts.errors import ParameterError
from refine_af.pipelines.config import load_config
from refine_af.pipelines.succession import default_folder, take_place, working_folder

SMOKE = load_config("smoke", "")
CONFIG = SMOKE.model_dump(mode="json")
OTHER = SMOKE.with_values(("train_ppo.updates=3",)).model_dump(mode="json")


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "artifacts" / "report").mkdir(parents=True)
    (folder / "artifacts" / "report" / "report").write_text("old", encoding="utf-8")
    (folder / "work").mkdir()
    (folder / "run.json").write_text(json.dumps({"config": CONFIG}), encoding="utf-8")
    (folder / "SHA256SUMS").write_text("old list", encoding="utf-8")
    return folder


def test_the_default_name_follows_the_configuration() -> None:
    name = default_folder("smoke", SMOKE)
    assert name == default_folder("smoke", load_config("smoke", ""))
    assert name.parent == Path("runs")
    assert name.name.startswith("smoke-seed1-")
    for change in ("train_ppo.updates=3", "arms=rl", "model=builtin:tiny"):
        assert default_folder("smoke", SMOKE.with_values((change,))) != name
    assert default_folder("smoke", SMOKE.with_values(("work_dir=elsewhere",))) == name


def test_another_configuration_is_refused_with_what_differs(finished: Path) -> None:
    with pytest.raises(ParameterError, match=r"stages\.train_ppo\.updates was 2, now 3"):
        working_folder(finished, OTHER, None, replace=False)
    assert not (finished / "next").exists()
    assert working_folder(finished, OTHER, None, replace=True) == finished / "next"


def test_a_part_may_change_its_own_parameters_alone(finished: Path) -> None:
    work = working_folder(finished, OTHER, {"train_ppo", "report"}, replace=False)
    assert work == finished / "next"
    assert (work / "artifacts" / "report" / "report").read_text(encoding="utf-8") == "old"
    with pytest.raises(ParameterError, match="another configuration"):
        working_folder(finished, OTHER, {"report"}, replace=False)


def test_an_unfinished_run_of_the_same_configuration_goes_on_in_its_folder(finished: Path) -> None:
    assert working_folder(finished, CONFIG, None, replace=False) == finished / "next"
    (finished / "SHA256SUMS").unlink()
    assert working_folder(finished, CONFIG, None, replace=False) == finished


def test_a_successor_takes_the_place_of_everything_but_the_journals(finished: Path) -> None:
    work = working_folder(finished, OTHER, None, replace=True)
    (work / "artifacts" / "evaluate-rl").mkdir(parents=True)
    (work / "run.json").write_text(json.dumps({"config": OTHER}), encoding="utf-8")
    (work / "SHA256SUMS").write_text("new list", encoding="utf-8")
    take_place(work, finished)
    assert sorted(path.name for path in finished.iterdir()) == [
        "SHA256SUMS",
        "artifacts",
        "run.json",
        "work",
    ]
    assert [path.name for path in (finished / "artifacts").iterdir()] == ["evaluate-rl"]
    assert (finished / "SHA256SUMS").read_text(encoding="utf-8") == "new list"


def test_the_command_refuses_before_anything_is_computed(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--preset", "smoke", "--output-dir", str(finished), "--set"]
    assert main([*words, "train_ppo.updates=3"]) == 64
    assert "holds a run of another configuration" in capsys.readouterr().err
    assert (finished / "SHA256SUMS").exists()
