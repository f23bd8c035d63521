"""The Python API: runs of every layout as rows, objects, scores, frames and data sets."""

import json
import shutil
from pathlib import Path

import pytest
from layouts import as_kfp
from made_folder import shared_folder

from refine_af import api
from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.records import Instruction


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
    assert len(kept.to_pandas()) == kept.to_dataset().num_rows == len(kept)
    objects = run.rows("kept", record=Instruction)
    assert [row.instruction for row in objects] == [row["instruction"] for row in kept]
    (scores,) = run.scores()
    assert (scores.arm, scores.rouge_l, scores.kept) == ("rl", 50.0, None)
    assert list(run.scores().to_pandas()["rouge_l"]) == [50.0]
    assert run.answer() == "rl wins"
    with pytest.raises(ParameterError, match="no rows 'keptt'; Did you mean 'kept'"):
        run.rows("keptt")


def test_a_run_that_is_refused_says_why(tmp_path: Path) -> None:
    running = api.start_run(tmp_path / "run", "smoke", {"train_ppo.updatess": 3})
    with pytest.raises(DataError, match="updatess"):
        running.wait()
