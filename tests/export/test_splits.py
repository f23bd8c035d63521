"""Test splits: whole families, no near-duplicate on both sides, loaded by the lines of the card."""

import json
import random
import re
from pathlib import Path

import pandas
import pytest
from datasets import load_dataset

from refine_af import cli
from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.records import Instance
from refine_af.dedup.rouge_l import rouge_l
from refine_af.export.formats import FORMATS, question
from refine_af.export.splits import split_rows

WORDS = [f"{first}{second}{third}" for first in "bdfg" for second in "aeio" for third in "lmnr"]


def rows_of(draw: random.Random, count: int) -> list[Instance]:
    rows = []
    for number in range(count):
        instruction = " ".join(draw.choices(WORDS, k=8))
        for sample in range(2):
            text, output = (" ".join(draw.choices(WORDS, k=5)) for _ in range(2))
            parent = f"ins-{number}"
            rows.append(
                Instance.make(
                    parent, instruction, text, output, is_classification=False, sample=sample
                )
            )
    return rows


def test_no_family_and_no_near_duplicate_is_on_both_sides() -> None:
    rows = rows_of(random.Random(3), 60)
    twin = rows[0].instruction
    copies = [
        Instance.make(f"ins-x{n}", f"{twin} now", "a b", "c", is_classification=False, sample=0)
        for n in range(3)
    ]
    roots = {"ins-5": "ins-4", "ins-6": "ins-4"}
    splits = split_rows([*rows, *copies], 0.25, roots)
    assert len(splits.train) + len(splits.test) == len(rows) + 3
    assert 0.2 * len(rows) < len(splits.test) < 0.4 * len(rows)

    def family(row: Instance) -> str:
        return roots.get(row.parents[0], row.parents[0])

    assert not {family(row) for row in splits.train} & {family(row) for row in splits.test}
    for test in splits.test:
        for train in splits.train:
            assert rouge_l(test.instruction, train.instruction) <= 0.7
            assert rouge_l(question(test), question(train)) <= 0.7


def test_the_same_rows_give_the_same_split_in_their_order() -> None:
    rows = rows_of(random.Random(4), 20)
    first, second = split_rows(rows, 0.3, {}), split_rows(list(rows), 0.3, {})
    assert [*first.train, None, *first.test] == [*second.train, None, *second.test]
    places = [rows.index(row) for row in first.train]
    assert places == sorted(places)


def test_rows_that_are_all_alike_cannot_be_split() -> None:
    rows = [
        Instance.make(
            f"ins-{n}", "Sort the list now", f"{n}", "x", is_classification=False, sample=0
        )
        for n in range(20)
    ]
    with pytest.raises(DataError, match="20 of 20 rows are near-duplicates"):
        split_rows(rows, 0.1, {})


@pytest.mark.parametrize("share", [-0.1, 1.0, 7.0])
def test_a_share_outside_its_range(share: float) -> None:
    with pytest.raises(ParameterError, match="at least 0 and below 1"):
        split_rows([], share, {})


@pytest.mark.parametrize("form", FORMATS)
def test_both_splits_load_by_the_lines_of_the_card(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path / "rows", rows_of(random.Random(5), 30))
    words = ["export", "--instances", str(tmp_path / "rows"), "--format", form]
    words += ["--licence", "mit", "--test-share", "0.2", "--output", str(tmp_path / "data-set")]
    assert cli.main(words) == 0
    page = (tmp_path / "data-set" / "README.md").read_text(encoding="utf-8")
    loaded = load_dataset(str(tmp_path / "data-set"), cache_dir=str(tmp_path / "cache"))
    assert len(loaded["train"]) + len(loaded["test"]) == 60
    assert len(loaded["test"]) >= 12
    assert "--test-share 0.2" in page
    line = re.search(r"rows = (pandas\..*?)  # in", page)
    assert line is not None
    monkeypatch.chdir(tmp_path / "data-set")
    frame = eval(line[1], {"pandas": pandas})  # noqa: S307  the card's own line
    assert len(frame) == len(loaded["train"])


def test_without_a_share_nothing_changes(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows", rows_of(random.Random(5), 3))
    words = ["export", "--instances", str(tmp_path / "rows"), "--format", "alpaca"]
    assert cli.main([*words, "--licence", "mit", "--output", str(tmp_path / "out")]) == 0
    assert [path.name for path in (tmp_path / "out" / "data").iterdir()] == ["train.json"]
    assert len(json.loads((tmp_path / "out" / "data" / "train.json").read_text())) == 6


def test_another_data_set_in_a_folder_of_the_same_name_loads_as_itself(tmp_path: Path) -> None:
    for count in (3, 5):
        folder = tmp_path / str(count)
        folder.mkdir()
        write_rows(folder / "rows", rows_of(random.Random(count), count))
        words = ["export", "--instances", str(folder / "rows"), "--format", "alpaca"]
        words += ["--licence", "mit"]
        assert cli.main([*words, "--output", str(folder / "data-set")]) == 0
        loaded = load_dataset(str(folder / "data-set"), cache_dir=str(tmp_path / "cache"))
        assert loaded["train"].num_rows == len(rows_of(random.Random(count), count))
