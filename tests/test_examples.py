"""The examples run, stay short, and do what they say."""

import json
import shutil
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

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
    for path in (*ROOT.glob("*.py"), *ROOT.glob("*.ipynb")):
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


def run_notebook(path: Path) -> dict[str, Any]:
    """Run the cells of a notebook in order, as its kernel would, and return its variables."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    variables: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells:
        if cell["cell_type"] == "code":
            code = compile("".join(cell["source"]), f"{path.name}, {cell['id']}", "exec")
            exec(code, variables)  # noqa: S102  our own page
    return variables


def test_the_notebook_on_own_rows_drops_the_repeat_and_the_worst() -> None:
    after = run_notebook(ROOT / "own_rows.ipynb")
    assert [row.reason for row in after["rejected"]] == ["similar"]
    assert after["data"].num_rows == len(after["scored"]) < len(after["kept"]) == 4


def test_the_notebook_on_a_run_reads_what_it_started() -> None:
    after = run_notebook(ROOT / "a_run.ipynb")
    assert len(after["seen"]) == 15
    assert {row.arm for row in after["run"].scores()} == {"rl", "baseline", "start"}
    assert after["instances"]
    shutil.rmtree(after["folder"].parent)


@pytest.mark.parametrize("path", ROOT.glob("*.ipynb"), ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    book = json.loads(path.read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    for cell in book["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
