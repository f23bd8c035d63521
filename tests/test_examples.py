"""The examples run, stay short, and do what they say."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent / "examples"
LONGEST = 80
METHOD = ("bootstrap", "ppo_loop", "sft_and_compare", "operator_policy")


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    sys.modules.pop(name, None)
    return import_module(name)


@pytest.mark.parametrize("name", METHOD)
def test_an_example_of_the_method_is_short(name: str) -> None:
    assert len((ROOT / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_the_page_names_every_example() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in ROOT.glob("*.py"):
        assert f"`{path.name}`" in page


def test_bootstrap_accepts_new_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = load("bootstrap", monkeypatch).main(3)
    assert loop.accepted >= 3
    assert loop.end == "target"


def test_the_ppo_loop_trains_and_reports_each_update(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = load("ppo_loop", monkeypatch).main(2)
    assert len(rows) == 2
    assert rows[0]["ratio_first"] == pytest.approx(0.0, abs=1e-5)
    assert all(row["gradient_norm"] > 0 for row in rows)


def test_fine_tuning_is_compared_on_every_task(monkeypatch: pytest.MonkeyPatch) -> None:
    result = load("sft_and_compare", monkeypatch).main(2, 1)
    assert result.wins + result.ties + result.losses == len(result.tasks) == 40


def test_an_operator_policy_learns_from_its_own_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, ledger = load("operator_policy", monkeypatch).main(1)
    assert ledger.calls("evolver", "judge") > 0
    assert learner.operators == 6
