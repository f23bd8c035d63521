"""The Python API: stages on rows, runs of every layout as rows, scores, frames and data sets."""

import json
import shutil
from pathlib import Path

import pytest
from layouts import as_kfp
from made_folder import shared_folder

from refine_af import api
from refine_af.contracts.errors import DataError, ParameterError


def test_dedup_keeps_the_first_of_texts_that_repeat() -> None:
    texts = ["Sort a list of numbers.", "Sort a list of numbers!", "Name three rivers in Asia."]
    result = api.dedup(texts, max_rouge_l=0.7)
    assert [row["instruction"] for row in result.kept] == [texts[0], texts[2]]
    (rejected,) = result.rejected
    assert (rejected["reason"], rejected["text"]) == ("similar", texts[1])
    assert result.metrics["kept"] == 2


def test_rows_paths_and_a_pool_give_the_same(tmp_path: Path) -> None:
    rows = [{"id": "a", "instruction": "Sort a list of numbers.", "note": "mine"}]
    path = tmp_path / "rows"
    path.write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
    assert api.dedup(rows).kept == api.dedup(path).kept == rows
    assert api.dedup(rows, pool=["Sort the list of numbers."]).kept == []


def test_parameters_are_checked_as_on_the_command_line() -> None:
    with pytest.raises(ParameterError, match="max_rouge_l"):
        api.dedup(["Sort."], max_rouge_l=7.0)
    with pytest.raises(ParameterError, match="no output 'keep'; Did you mean 'kept'"):
        api.dedup(["Sort a list."]).rows("keep")


@pytest.mark.parametrize("kind", ["local", "kfp"])
def test_a_run_is_read_as_rows_frames_and_data_sets(kind: str, tmp_path: Path) -> None:
    local = Path(shutil.copytree(shared_folder(), tmp_path / "local"))
    report = local / "artifacts" / "report"
    report.mkdir()
    result = {"answer": "rl wins", "arms": {"rl": {"rouge_l": 50.0}}}
    (report / "result").write_text(json.dumps(result), encoding="utf-8")
    run = api.Run(local if kind == "local" else as_kfp(local, tmp_path / "kfp"))
    kept = run.rows("kept")
    assert kept[0]["instruction"]
    assert run.rows("scored") == [
        *run.rows("scored", "score_rewards-baseline"),
        *run.rows("scored", "score_rewards-rl"),
    ]
    assert len(run.to_pandas("kept")) == len(run.to_datasets("kept")) == len(kept)
    assert run.scores() == {"rl": {"rouge_l": 50.0}}
    assert run.answer() == "rl wins"
    with pytest.raises(ParameterError, match="no rows 'keptt'; Did you mean 'kept'"):
        run.rows("keptt")


def test_a_run_that_is_refused_says_why(tmp_path: Path) -> None:
    running = api.start_run(tmp_path / "run", "smoke", {"train_ppo.updatess": 3})
    with pytest.raises(DataError, match="updatess"):
        running.wait()
