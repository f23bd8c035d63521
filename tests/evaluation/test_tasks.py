"""Loading tasks of both shapes, and what each kind of broken file is told."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from refine_af.cli import main
from refine_af.contracts.errors import DataError
from refine_af.evaluation.task_sets import evaluation_texts, load_tasks

DATA = os.environ.get("REFINE_AF_TEST_DATA")
needs_data = pytest.mark.skipif(
    DATA is None, reason="REFINE_AF_TEST_DATA names no folder with Super-NaturalInstructions"
)


def official(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  JSON values
    value: dict[str, Any] = {
        "Categories": ["Word Analogy"],
        "Definition": ["Complete the pair."],
        "Input_language": ["English"],
        "Instances": [
            {"id": "w-1", "input": "hot : cold", "output": ["up : down", "up:down"]},
            {"id": "w-2", "input": "day : night", "output": ["sun : moon"]},
        ],
    }
    return value | changes


def put(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def flat(task: str, key: str, **changes: object) -> str:
    row: dict[str, object] = {
        "id": key,
        "task": task,
        "category": "Word Analogy",
        "definition": "Complete the pair.",
        "input": "hot : cold",
        "references": ["up : down"],
    }
    return json.dumps(row | changes) + "\n"


def test_official_file(tmp_path: Path) -> None:
    tasks = load_tasks([put(tmp_path / "task1_words.json", official())])
    (task,) = tasks.tasks
    assert (task.name, task.category, task.track) == ("task1_words", "Word Analogy", "default")
    assert task.definition == "Complete the pair."
    assert task.instances[0].references == ("up : down", "up:down")
    assert tasks.count == 2
    assert set(tasks.files) == {"task1_words.json"}


def test_first_instances_only(tmp_path: Path) -> None:
    path = put(tmp_path / "task1.json", official())
    assert [item.id for item in load_tasks([path], first=1).tasks[0].instances] == ["w-1"]


def test_a_foreign_language_is_the_cross_lingual_track(tmp_path: Path) -> None:
    path = put(tmp_path / "task1.json", official(Output_language=["Spanish"]))
    assert load_tasks([path]).tasks[0].track == "xlingual"


def test_old_files_with_one_definition_text_and_no_ids(tmp_path: Path) -> None:
    value = official(Definition="Old.", Instances=[{"input": "a", "output": "b"}])
    (task,) = load_tasks([put(tmp_path / "task7.json", value)]).tasks
    assert (task.definition, task.instances[0].id, task.instances[0].references) == (
        "Old.",
        "task7-0",
        ("b",),
    )


@pytest.mark.parametrize(
    "change",
    [
        {"Input_language": "English"},
        {"Input_language": None, "Output_language": ["english", "English"]},
        {"Categories": "Word Analogy"},
        {"Instances": [{"id": None, "input": None, "output": 5}]},
        {"Instances": [{"id": True, "input": 2.5, "output": [5, "five"]}]},
        {"Instances": [{"id": "", "output": "five", "input": "", "more": 1}]},
    ],
    ids=str,
)
@pytest.mark.parametrize("packed", ["task1.json", "task1.json.gz"])
def test_an_official_file_as_people_have_it(
    packed: str, change: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / packed
    data = json.dumps(official() | change).encode()
    path.write_bytes(gzip.compress(data) if packed.endswith("gz") else data)
    for source in (path, tmp_path):
        [task] = load_tasks([source]).tasks
        assert (task.name, task.track) == ("task1", "default")
        assert task.category == "Word Analogy"
        if "Instances" in change:
            [instance] = task.instances
            given = change["Instances"][0]["id"]
            assert instance.id == ("true" if given else "task1-0")
            assert instance.references[-1] in ("5", "five")
            assert instance.input in ("", "2.5")


def test_rows_of_tasks_without_ids_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [json.loads(flat("t", name)) for name in ("1", "2", "3")]
    del rows[1]["id"]
    rows[2]["id"] = None
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    [task] = load_tasks([path]).tasks
    assert [instance.id for instance in task.instances] == ["1", "t-1", "t-2"]


def test_same_content_in_both_shapes_has_one_digest(tmp_path: Path) -> None:
    one = [{"id": "w-1", "input": "hot : cold", "output": ["up : down"]}]
    first = load_tasks([put(tmp_path / "t.json", official(Instances=one))])
    rows = tmp_path / "rows.jsonl.gz"
    rows.write_bytes(gzip.compress(flat("t", "w-1").encode()))
    second = load_tasks([rows])
    assert first.digest == second.digest
    assert first.files != second.files


@pytest.mark.parametrize("place", [".", "tasks"])
def test_a_list_of_tasks_beside_them_or_as_in_the_official_repository(
    tmp_path: Path, place: str
) -> None:
    folder = tmp_path / place
    folder.mkdir(exist_ok=True)
    for name in ("b", "a", "c"):
        put(
            folder / f"{name}.json",
            official(Instances=[{"id": name, "input": "", "output": ["x"]}]),
        )
    chosen = folder / "tasks.txt" if place == "." else tmp_path / "splits/default/test_tasks.txt"
    chosen.parent.mkdir(parents=True, exist_ok=True)
    chosen.write_text("c\n\na.json\n", encoding="utf-8")
    assert [task.name for task in load_tasks([folder]).tasks] == ["a", "b", "c"]
    picked = load_tasks([chosen])
    assert [task.name for task in picked.tasks] == ["a", "c"]
    assert set(picked.files) == {"a.json", "c.json"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Instances": []}, "field 'Instances' is empty"),
        ({"Instances": "no"}, "field 'Instances' is str; it must be a list"),
        ({"Instances": [7]}, "Instances[0]: found int; it must be an object"),
        ({"Instances": [{"input": "a"}]}, "Instances[0]: field 'output' is missing"),
        ({"Instances": [{"input": "a", "output": []}]}, "field 'output' is an empty list"),
        ({"Instances": [{"input": [1], "output": ["b"]}]}, "field 'input' is list"),
        ({"Instances": [{"input": "a", "output": [[1]]}]}, "field 'output' holds list"),
        ({"Definition": []}, "field 'Definition' must be a list that opens with a string"),
        ({"Categories": {}}, "field 'Categories' is dict; it must be a list"),
    ],
)
def test_another_shape_names_file_and_field(
    tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    path = put(tmp_path / "broken.json", official(**changes))
    with pytest.raises(DataError) as caught:
        load_tasks([path])
    assert str(caught.value).startswith(str(path))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("value", "found"), [([official()], "found a list"), ({"question": "x"}, "fields ['question']")]
)
def test_another_shape_is_told_what_a_task_file_holds(
    tmp_path: Path, value: object, found: str
) -> None:
    (tmp_path / "t.json").write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(DataError, match="with Definition, Categories and Instances") as caught:
        load_tasks([tmp_path / "t.json"])
    assert found in str(caught.value)


def test_misspelt_field_is_suggested(tmp_path: Path) -> None:
    value = official()
    value["Instance"] = value.pop("Instances")
    with pytest.raises(DataError, match="Did you mean 'Instance'"):
        load_tasks([put(tmp_path / "t.json", value)])


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (flat("t", "1") + flat("t", "1"), "instance id '1'"),
        (flat("t", "1") + flat("t", "2", definition="Other."), "field 'definition' differs"),
        (flat("t", "1", references=[]), "field 'references' is an empty list"),
        ("[1]\n", "must be a JSON object"),
        ("[]\n", "no task found"),
        ("", "no task found"),
    ],
)
def test_broken_rows(tmp_path: Path, lines: str, expected: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(DataError, match=r"rows\.jsonl|task 't'") as caught:
        load_tasks([path])
    assert expected in str(caught.value)


def test_other_mistakes(tmp_path: Path) -> None:
    path = put(tmp_path / "a.json", official())
    with pytest.raises(DataError, match="already read"):
        load_tasks([path, path])
    chosen = tmp_path / "tasks.txt"
    chosen.write_text("aa\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"no aa.json beside it nor in .*Did you mean 'a'"):
        load_tasks([chosen])
    chosen.write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="no task name; write one per line"):
        load_tasks([chosen])
    (tmp_path / "x.xml").write_text("a", encoding="utf-8")
    with pytest.raises(DataError, match=r"ends with \.json"):
        load_tasks([tmp_path / "x.xml"])
    (tmp_path / "x.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match="incomplete or damaged gzip file"):
        load_tasks([tmp_path / "x.jsonl.gz"])


def test_texts_that_training_must_not_repeat(tmp_path: Path) -> None:
    put(tmp_path / "a.json", official())
    assert evaluation_texts(tmp_path) == [
        ("a/definition", "Complete the pair."),
        ("a/w-1", "hot : cold"),
        ("a/w-2", "day : night"),
    ]


@needs_data
def test_real_files() -> None:
    folder = Path(str(DATA)) / "super_ni"
    rows = load_tasks([folder / "test_tasks_60x25.jsonl.gz"])
    assert (len(rows.tasks), rows.count) == (60, 1500)
    whole = load_tasks([folder / "task957_official_file_first100.json"])
    assert (whole.count, whole.tasks[0].category) == (100, "Data to Text")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (None, "list.txt does not exist; check the path"),
        (b"\xff\xfet\x00", "not UTF-8"),
        (b"\xef\xbb\xbf\r\n", "no task name"),
    ],
)
@pytest.mark.parametrize("stage", ["evaluate", "dedup-filter"])
def test_a_list_that_cannot_be_read_is_one_line(
    stage: str,
    raw: bytes | None,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "list.txt"
    if raw is not None:
        path.write_bytes(raw)
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "instruction": "Name a river of Asia."}\n')
    rows = ["--candidates", str(tmp_path / "rows.jsonl")] if stage == "dedup-filter" else []
    model = ["--model", "builtin:fixture"] if stage == "evaluate" else []
    outputs = ["--outputs-dir", str(tmp_path / "out"), "--tasks-uri", str(path)]
    assert main([stage, *rows, *model, *outputs]) == 65
    assert said in capsys.readouterr().err


def test_a_list_may_have_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "task1.json").write_text(json.dumps(official()))
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbftask1\r\n")
    assert len(load_tasks([tmp_path / "list.txt"]).tasks) == 1
