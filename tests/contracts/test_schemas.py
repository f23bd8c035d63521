import pytest

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.schemas import (
    mapped,
    mended,
    nearest_map,
    parse_field_map,
    recognise,
)

ASKED = {"instruction": "Name a metal.", "input": "", "output": "Tin."}


@pytest.mark.parametrize(
    ("row", "schema"),
    [
        ({"instruction": "Name a metal.", "input": "", "output": "Tin."}, "Alpaca"),
        (
            {"instruction": "Name a metal.", "context": "", "response": "Tin.", "category": "qa"},
            "Dolly",
        ),
        (
            {
                "conversations": [
                    {"from": "human", "value": "Name a metal."},
                    {"from": "gpt", "value": "Tin."},
                    {"from": "human", "value": "More"},
                ]
            },
            "ShareGPT",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Name a metal."}]},
                    {"role": "assistant", "content": "Tin."},
                ]
            },
            "messages",
        ),
        (
            {
                "prompt": [{"role": "user", "content": "Name a metal."}],
                "completion": [{"role": "assistant", "content": "Tin."}],
            },
            "messages",
        ),
        ({"prompt": "Name a metal.", "completion": " Tin."}, "prompt and completion"),
    ],
)
def test_known_schemas_are_recognised(row: dict[str, object], schema: str) -> None:
    found = recognise({"id": 3, **row})
    assert found is not None
    assert found.schema == schema
    ours = {name: found.row.get(name, "") for name in ASKED}
    assert ours == ASKED
    assert found.row["id"] == 3


def test_more_of_the_schemas() -> None:
    seed = recognise({"instruction": "a", "instances": [{"output": "b"}], "x": 1})
    assert seed is not None
    assert (seed.schema, seed.row) == (
        "Self-Instruct",
        {"instruction": "a", "instances": [{"output": "b"}]},
    )
    dolly = recognise({"instruction": "a", "response": "b", "category": "classification"})
    assert dolly is not None
    assert dolly.row["is_classification"] is True
    system = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ho"},
    ]
    spoken = recognise({"messages": system})
    assert spoken is not None
    assert spoken.row["instruction"] == "Be brief.\n\nHi"
    plain = recognise({"text": "Name a metal."})
    assert plain is not None
    assert plain.schema == "plain instructions"
    assert recognise({"question": "a", "answer": "b"}) is None
    assert recognise({"messages": [{"role": "user", "content": "Hi"}]}) is None
    assert recognise({"conversations": "x"}) is None


def test_a_field_map_leads_to_fields_and_into_objects() -> None:
    fields = parse_field_map("instruction = question, output=answers.text")
    row = {"id": 1, "question": "a", "answers": {"text": ["b", "c"]}, "licence": "MIT"}
    assert mapped(row, fields) == {"id": 1, "licence": "MIT", "instruction": "a", "output": "b"}
    assert mapped({"answers": {}}, fields) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("instruction", "write OURS=THEIRS"),
        ("instruction=", "write OURS=THEIRS"),
        ("instructions=question", "Did you mean 'instruction'"),
        ("output=a,output=b", "names 'output' twice"),
    ],
)
def test_a_field_map_that_cannot_be_read_is_named(text: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        parse_field_map(text)


def test_the_nearest_map_is_offered() -> None:
    assert nearest_map({"Question": "a", "answer": "b"}) == "instruction=Question,output=answer"
    assert nearest_map({"a": 1}) == ""


@pytest.mark.parametrize(
    ("given", "text"), [(42, "42"), (0.5, "0.5"), (True, "true"), (7.0, "7.0"), ("x", "x")]
)
def test_numbers_are_written_where_a_text_stands(given: object, text: str) -> None:
    row = {"id": given, "instruction": "Add.", "input": given, "output": given}
    pairs = {"instances": [{"input": given, "output": given}]}
    known = mended(row | pairs)
    assert known == row | {"id": text, "input": text, "output": text} | {
        "instances": [{"input": text, "output": text}]
    }
    assert pairs == {"instances": [{"input": given, "output": given}]}


def test_an_empty_id_is_none() -> None:
    assert mended({"id": "", "instruction": "Add."}) == {"instruction": "Add."}
