"""A real sweep of a few cells on the embedded model, and its table by hand."""

import json
from pathlib import Path

import pytest

from refine_af.cli import main
from refine_af.contracts.errors import ParameterError
from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.records import Instruction
from refine_af.feedback.presets import find_preset
from refine_af.sweep import Cell, Grid, Sweep, mean_with_interval, table

SMALL = {
    "train_ppo": "updates=1 episodes_per_update=4 episodes_per_prompt=2 minibatch=4 epochs=1"
    " max_new_tokens=24 lora_rank=4",
    "generate_instances": "style=plain split=none temperature=1.0 max_tokens=32",
}


def test_a_grid_names_each_cell_once_and_starts_with_what_it_is_measured_by() -> None:
    grid = Grid((1, 2), ("balanced", "reward_model"), ("ppo", "best_of_n"), ablate=True)
    cells = list(grid.cells())
    terms = list(find_preset("balanced").weights)
    # balanced: 2 starts, then whole and without each term; reward_model has one term to keep
    assert len(cells) == len(set(cells)) == 2 + (1 + len(terms)) * 4 + 2 + 4
    assert cells[:2] == [Cell(1, "balanced", "", "start"), Cell(2, "balanced", "", "start")]
    assert {cell.dropped for cell in cells if cell.reward == "balanced"} == {"", *terms}
    assert {cell.dropped for cell in cells if cell.reward == "reward_model"} == {""}
    assert Cell(3, "balanced", "coherence", "ppo").name == "balanced-coherence/ppo/seed3"


def test_intervals_by_hand() -> None:
    # mean 2, deviation 1, t(2) = 4.303: half width 4.303 / sqrt(3) = 2.484
    assert mean_with_interval([1.0, 2.0, 3.0]) == "2.000 (-0.484 to 4.484)"
    assert mean_with_interval([0.5]) == "0.500"
    assert mean_with_interval([-1e-17, 1e-17]) == "0.000 (0.000 to 0.000)"
    rows = [
        {"seed": 1, "reward": "r", "dropped": "", "algorithm": "ppo", "total": 1.0, "gold": 0.5},
        {"seed": 2, "reward": "r", "dropped": "", "algorithm": "ppo", "total": 1.0},
    ]
    assert table(rows).splitlines()[2:] == ["| r |  | ppo | 2 | 1.000 (1.000 to 1.000) | 0.500 |"]


def test_what_is_wrong_is_named_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="unknown algorithm 'pp'; Did you mean 'ppo'"):
        Grid((1,), ("balanced",), ("pp",))  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"seeds are \[\]; give at least one"):
        Grid((), ("balanced",), ("ppo",))
    with pytest.raises(ParameterError, match=r"train_ppo\.update is not a parameter"):
        Sweep(tmp_path, tmp_path, tmp_path, {"train_ppo": {"update": 3}})
    with pytest.raises(ParameterError, match="a sweep runs train_ppo"):
        Sweep(tmp_path, tmp_path, tmp_path, {"evaluate": {}})
    with pytest.raises(ParameterError, match="a different model: a, b; both work with the same"):
        Sweep(
            tmp_path,
            tmp_path,
            tmp_path,
            {"train_ppo": {"model": "a"}, "generate_instances": {"model": "b"}},
        )


def test_a_sweep_runs_its_cells_and_a_second_time_costs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["Reverse the order of the words.", "Write the words in alphabetical order."]
    rows = [Instruction.make(text, (), at, 0, 0) for at, text in enumerate(texts)]
    write_rows(tmp_path / "in.jsonl", rows)
    sets = [f"--set={stage}.{one}" for stage, values in SMALL.items() for one in values.split()]
    command = ["sweep", "--instructions", str(tmp_path / "in.jsonl"), "--rewards", "embedded"]
    command += ["--output-dir", str(tmp_path / "out"), "--seeds", "1", "--samples", "2", *sets]
    assert main(command) == 0
    shown = capsys.readouterr()
    lines = [line for line in shown.out.splitlines() if line.startswith("| embedded")]
    assert [line.split("|")[3].strip() for line in lines] == ["start", "ppo", "best_of_n"]
    cells = [json.loads(line) for line in (tmp_path / "out" / "cells.jsonl").open()]
    start, trained, best = cells
    assert start["total"] == pytest.approx(0.0, abs=1e-9)  # totals count from the start model
    assert abs(trained["kl"]) < 1e-6  # one update: its actions are still the start model's
    assert best["total"] >= start["total"]
    assert main(command) == 0
    again = capsys.readouterr()
    assert again.out == shown.out
    assert again.err.count("finished before with the same inputs") >= 7
    assert "sweep: cell 2 of 3: embedded/ppo/seed1" in shown.err
    assert "sweep: 3/3 cells" in shown.err
    assert (tmp_path / "out" / "table.md").read_text("utf-8") in shown.out


def test_a_cell_whose_policy_writes_nothing_usable_is_a_result_and_no_error(tmp_path: Path) -> None:
    texts = ["Write the plural of the noun.", "Is the figure odd or even?"]  # gold knows both
    rows = [Instruction.make(text, (), at, 0, 0) for at, text in enumerate(texts)]
    write_rows(tmp_path / "in.jsonl", rows)
    broken = {one: dict(item.split("=") for item in SMALL[one].split()) for one in SMALL}
    # rate 1 on every weight: after one update nothing that it writes can be read
    broken["train_ppo"] |= {"lora_rank": "0", "learning_rate": "1", "warmup_updates": "0"}
    place = tmp_path / "in.jsonl"
    start, ppo = Sweep(place, place, tmp_path / "out", broken).run(
        Grid((1,), ("embedded",), ("ppo",))
    )
    assert start["parseable"] > 0
    assert ppo["parseable"] == 0
    assert ppo["gold"] == 0
    assert ppo["gold_gain"] == -start["gold"]
    assert "total" not in ppo
