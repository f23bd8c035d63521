"""``refine-af preflight``: the table for a reward of the user's own."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.rating.preflight import preflight

REWARD = '''
def paid(rows):
    """Pay for words."""
    return [float(len(row.output.split())) for row in rows]
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "paid_by_word.py").write_text(REWARD)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("paid_by_word", None)


def measured(*options: str) -> Any:  # noqa: ANN401  JSON
    """Return what the command prints; its errors are raised."""
    result = CliRunner().invoke(
        preflight, ["--reward", "paid_by_word:paid", *options], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def lines(path: Path, rows: list[dict[str, Any]]) -> str:
    """Write JSON Lines and return the path."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_a_reward_for_words_is_found_out_and_its_agreement_with_people_told(folder: Path) -> None:
    rows = [
        {"instruction": f"Say {n}.", "input": "", "output": "a line of words " * (n % 3 + 2)}
        for n in range(20)
    ]
    given = ["--rows", lines(folder / "rows.jsonl", rows), "--set", "guards=false"]
    table = measured(*given)
    assert table["rows"] == 20
    assert table["faults"]["truncated"]["paired"] == 1.0
    assert table["faults"]["repeated"]["paired"] == 0.0
    assert any("repeated" in line and "pays for this" in line for line in table["warnings"])

    pairs = [
        {"input": "Say it.", "output_1": "long and longer", "output_2": "short", "label": 1 + n % 2}
        for n in range(10)
    ]
    found = measured(*given, "--preference", lines(folder / "pairs.jsonl", pairs))
    assert found["preference"]["pairs"] == 10
    assert found["preference"]["agreement"] == 0.5
    rated = [{"instruction": "Say.", "output": "x " * n, "rating": -n} for n in range(1, 9)]
    found = measured(*given, "--preference", lines(folder / "rated.jsonl", rated))
    assert found["preference"] == {"rows": 8, "spearman": -1.0}


def test_the_seeds_are_right_answers_where_no_rows_are_given(folder: Path) -> None:
    assert measured("--limit", "30")["rows"] == 30


def test_what_cannot_be_read_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match="needs the strings instruction and output"):
        measured("--rows", lines(folder / "rows.jsonl", [{"question": "x"}] * 3))
    good = [{"instruction": f"Say {n}.", "output": "a b c d"} for n in range(3)]
    given = ["--rows", lines(folder / "good.jsonl", good)]
    with pytest.raises(DataError, match="no column rating, and none of the pairs"):
        measured(*given, "--preference", lines(folder / "p.jsonl", [{"instruction": "x"}]))
    with pytest.raises(ParameterError, match="write it as name=value"):
        measured(*given, "--set", "guards")
