"""Filtering again from kept answers: same settings same bytes, same rows same ids, no model."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_folder import shared_folder
from reading import rows

from refine_af.cli import main
from refine_af.contracts.errors import ParameterError
from refine_af.dedup.rouge_l import rouge_l
from refine_af.lineage.refilter import Refilter, refilter
from refine_af.lineage.run import open_run
from refine_af.lineage.verify import verify_run


@pytest.fixture
def made() -> Path:
    return shared_folder()


SAME = (
    *(f"generate_instructions/{name}" for name in ("instructions", "rejected", "rounds", "calls")),
    "dedup_filter/kept",
    "dedup_filter/rejected",
    "score_rewards-rl/scored",
    "generate_instances-rl/instances",
)


def test_the_run_s_own_settings_give_the_run_s_own_bytes(made: Path, tmp_path: Path) -> None:
    refilter(Refilter(open_run(made), tmp_path / "again", {}))
    for name in SAME:
        again = (tmp_path / "again" / "artifacts" / name).read_bytes()
        assert again == (made / "artifacts" / name).read_bytes(), name
    assert verify_run(tmp_path / "again").problems == ()


@pytest.mark.parametrize("bound", [0.15, 0.9])
def test_another_bound_decides_as_a_full_comparison_would(
    made: Path, tmp_path: Path, bound: float
) -> None:
    output = tmp_path / "again"
    assert (
        main(["refilter", "--run", str(made), "--output", str(output), "--max-rouge-l", str(bound)])
        == 0
    )
    pool = [row["instruction"] for row in rows(made / "artifacts/seed_ingest/seeds")]
    kept = rows(output / "artifacts/generate_instructions/instructions")
    dropped = rows(output / "artifacts/generate_instructions/rejected")
    for row in kept:
        assert all(rouge_l(row["instruction"], other) <= bound for other in pool)
        pool.append(row["instruction"])
    similar = [row for row in dropped if row["reason"] == "similar"]
    assert all(row["score"] > bound for row in similar)
    before = {
        row["instruction"]: row["id"]
        for row in rows(made / "artifacts/generate_instructions/instructions")
    }
    common = [row for row in kept if row["instruction"] in before]
    assert common
    assert all(before[row["instruction"]] == row["id"] for row in common)
    assert (len(kept) > len(before)) == (bound > 0.7)
    assert verify_run(output).problems == ()
    texts = {row["id"] for row in rows(output / "artifacts/dedup_filter/kept")}
    scored = rows(output / "artifacts/score_rewards-rl/scored")
    assert {row["parents"][0] for row in scored} <= texts


def test_a_threshold_on_the_reward(made: Path, tmp_path: Path) -> None:
    refilter(Refilter(open_run(made), tmp_path / "again", {}, min_total=0.5))
    whole = rows(made / "artifacts/score_rewards-rl/scored")
    kept = rows(tmp_path / "again/artifacts/score_rewards-rl/scored")
    assert kept == [row for row in whole if row["total"] >= 0.5]
    dropped = rows(tmp_path / "again/artifacts/score_rewards-rl/rejected")
    assert len(kept) + len(dropped) == len(whole)
    assert {row["reason"] for row in dropped} == {"below_threshold"}


def test_it_loads_no_model_library(made: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from refine_af.cli import main;"
        f" code = main(['refilter', '--run', {str(made)!r}, '--output', {str(tmp_path / 'o')!r}]);"
        " sys.exit(code or any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_what_cannot_be_decided_again_is_refused(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ["refilter", "--run", str(made), "--output", str(tmp_path / "o")]
    assert main([*ask, "--set", "generate_instructions.max_tokens=9"]) == 64
    assert "does not decide about answers" in capsys.readouterr().err
    assert main([*ask, "--set", "dedup_filter.max_row=9"]) == 64
    assert "Did you mean 'max_rows'" in capsys.readouterr().err
    assert main(["refilter", "--run", str(made), "--output", str(made)]) == 64
    old = shutil.copytree(made, tmp_path / "old")
    (Path(old) / "artifacts/generate_instructions/calls").unlink()
    assert main(["refilter", "--run", str(old), "--output", str(tmp_path / "o")]) == 65


def test_a_run_that_chose_by_the_model_is_not_decided_again(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(made, copy)
    provenance = copy / "artifacts" / "generate_instructions" / "provenance"
    told = provenance.read_text(encoding="utf-8")
    provenance.write_text(told.replace('"task_rating":"none"', '"task_rating":"pmi"'), "utf-8")
    assert told != provenance.read_text(encoding="utf-8")
    with pytest.raises(ParameterError, match="needs the model; run that task again"):
        refilter(Refilter(open_run(copy), tmp_path / "again", {}))
