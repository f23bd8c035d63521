"""What we write as YAML, read by both dialects: PyYAML reads YAML 1.1, ruamel.yaml reads 1.2."""

import datetime
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from refine_af.contracts.yaml_text import yaml_text

MISTAKEN = (
    # numbers to one dialect or both
    "1e-05", "1e5", "12e3", "12e03", "1E+2", ".5", "5.", "-.5", "+.5e1", "1_000", "1_000.5", "-1",
    "+1",
    "0o14", "014", "0x1F", "0b101", "0xdeadbeef", "1:30", "190:20:30.15", "0.1.0", "1.0", "-0",
    "0",
    ".inf", "-.inf", "+.INF", ".nan", ".NaN", "inf", "nan", "Infinity", "-Inf",
    # truth values, null, merge and value keys
    "y", "Y", "n", "N", "yes", "Yes", "no", "on", "ON", "off", "true", "True", "FALSE", "null",
    "Null",
    "~", "", "=", "<<", "-", "--", "---", "...", "?", ":", "-_", "_1", "+_",
    # dates
    "2026-11-29", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.10 -5", "2026-1-1",
    # what YAML itself means something by
    "# no", "a # b", "a: b", "a:", "- a", "? a", "& a", "&a", "*a", "!a", "!!str 1", "|", ">",
    "%YAML", "@a",
    "`a`", "{a: 1}", "[a]", "a, b", "'", '"', "'1'", "\\n", "{{inputs.parameters.image}}",
    # white space and line ends
    " a", "a ", "\t", "a\tb", "a\n", "\na", "a\n\nb\n", "a\r\nb", "\r", "a\x85b", "a\u2028b",
    "a\u2029", "\xa0a",
    "\ufeffa", "a\ufeff", "\x00", "\x1b[0m", "\x7f", "\U0001f600", "é", "日本", "\ufffe",
    "a\n---\nb", "\n...\n",
)  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NEARLY_NUMBERS = st.from_regex(r"\A[-+.0-9eExobXyYnN:_~<=TtZ ]*\Z")
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | NEARLY_NUMBERS
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT | NEARLY_NUMBERS, inner)
)


def read_by_both(text: str) -> tuple[list[Any], list[Any]]:
    """Return the documents of a text by YAML 1.1 and by YAML 1.2."""
    newer = YAML(typ="safe", pure=True)
    newer.version = (1, 2)
    return list(yaml.safe_load_all(text)), list(newer.load_all(text))


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("word", MISTAKEN, ids=ascii)
def test_a_string_stays_a_string(word: str, compact: bool) -> None:
    value = {"value": word, word: "key", "list": [word, {word: word}]}
    for found in read_by_both(yaml_text(value, compact=compact)):
        assert found == [value]


@given(
    documents=st.lists(VALUES, min_size=1, max_size=3),
    compact=st.booleans(),
    sort=st.booleans(),
)
@example(
    documents=[1e-05, 1e16, 1.0, 1e300, -0.0, 10**30, True, None, float("inf")],
    compact=True,
    sort=False,
)
@settings(deadline=None)
def test_both_dialects_read_what_was_written(
    documents: list[Any], compact: bool, sort: bool
) -> None:
    older, newer = read_by_both(yaml_text(*documents, compact=compact, sort=sort))
    assert older == newer == documents
    assert repr(older) == repr(newer)  # 1 and 1.0 and True are equal in Python


def test_a_value_that_stands_twice_is_written_twice() -> None:
    shared = {"limit": "2"}
    assert yaml_text([shared, shared]) == "- limit: '2'\n- limit: '2'\n"


@pytest.mark.parametrize("value", [datetime.date(2026, 1, 1), b"x", {1, 2}])
def test_what_json_does_not_have_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="which JSON does not have"):
        yaml_text({"a": value})


def test_ordinary_words_stay_plain() -> None:
    text = yaml_text({"image": "refine-af", "args": ["--inputs-dir=/in", "/tmp"]})  # noqa: S108
    assert text == "image: refine-af\nargs:\n- --inputs-dir=/in\n- /tmp\n"
