"""``--limit``: what stages count is lowered, in every preset, and nothing else changes."""

import pytest

from refine_af.cli import main
from refine_af.contracts.params import declared
from refine_af.pipelines.config import load_config, preset_names
from refine_af.pipelines.limit import limited
from refine_af.pipelines.tasks import planned
from refine_af.stages import STAGES


@pytest.mark.parametrize("preset", preset_names())
def test_no_stage_of_a_preset_takes_more_rows(preset: str) -> None:
    config = load_config(preset, "").model_copy(update={"sizes": ()})
    few = limited(config, 5)
    for before, after in zip(planned(config), planned(few), strict=True):
        for name, field in type(after.params).model_fields.items():
            value, was = getattr(after.params, name), getattr(before.params, name)
            if declared(field)["counts_rows"]:
                assert value == (min(was, 5) or 5), name
            elif before.stage.name != "check_inputs":
                assert value == was, name


def test_training_sizes_above_the_limit_are_left_out() -> None:
    config = load_config("quickstart", "").model_copy(update={"sizes": (2, 20)})
    assert limited(config, 5).sizes == (2,)


def test_every_stage_that_takes_rows_from_a_model_or_trains_on_them_counts_them() -> None:
    counting = {
        stage.name
        for stage in STAGES
        if any(declared(field)["counts_rows"] for field in stage.params.model_fields.values())
    }
    assert counting == {
        "check_inputs",
        "generate_instructions",
        "train_operator_policy",
        "evolve_instructions",
        "train_ppo",
        "generate_instances",
        "generate_responses",
        "train_sft",
        "evaluate",
    }


def test_the_plan_shows_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--limit", "3", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "* target = 3 (preset: 72)" in shown
    assert "* limit = 3 (preset: 0)" in shown
    assert main(["run", "--limit", "0", "--dry-run"]) == 64
