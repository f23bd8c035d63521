"""Instances to score: rows of this project, or anyone's with the columns of an instance."""

from dataclasses import dataclass, field
from pathlib import Path

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import JsonObject, as_row, iter_objects
from refine_af.contracts.records import Instance, Rejected
from refine_af.contracts.schemas import SCHEMAS, as_instance, mended

COLUMNS = ("instruction", "input", "output")
_KNOWN = frozenset(Instance.model_fields)


@dataclass(slots=True)
class Given:
    """Rows to score.

    Attributes:
        rows: Those that can be scored, in order.
        empty: Those whose output is empty.
        others: Columns that an instance does not have, by the id of their row.
    """

    rows: list[Instance] = field(default_factory=list)
    empty: list[Rejected] = field(default_factory=list)
    others: dict[str, JsonObject] = field(default_factory=dict)

    def whole(self, row: Instance) -> Instance | JsonObject:
        """Return a row of :attr:`rows` with its other columns."""
        others = self.others.get(row.id)
        return row.model_dump(mode="json") | others if others else row


def read_given(path: Path) -> Given:
    """Return the rows of a file.

    A row without ``parents`` is someone else's. Its ``id`` is kept, so that scores can be joined
    to it; without one it gets one from its content and, for repeats, their number. ``input`` may
    be absent or null. Rows of another known schema are read too.

    Raises:
        DataError: With the line, for a row of another shape or an id that comes twice.
    """
    given = Given()
    lines: dict[str, int] = {}
    repeats: dict[tuple[str, ...], int] = {}
    for number, value in iter_objects(path):
        location = f"{path}:{number}"
        if "parents" in value:
            row = as_row(value, Instance, location)
        else:
            texts = _texts(value, location)
            if not texts[-1].strip():
                detail = f"line {number}; instruction: {texts[0][:2000]}"
                given.empty.append(
                    Rejected.make(
                        "score_rewards", "empty_output", texts[-1], key=location
                    ).model_copy(update={"detail": detail})
                )
                continue
            repeats[texts] = repeats.get(texts, -1) + 1
            row = _instance(value, texts, repeats[texts])
        if row.id in lines:
            raise DataError(f"{location} repeats the id {row.id!r} of line {lines[row.id]}")
        lines[row.id] = number
        given.rows.append(row)
        others = {name: item for name, item in value.items() if name not in _KNOWN}
        if others:
            given.others[row.id] = others
    return given


def _texts(value: JsonObject, location: str) -> tuple[str, str, str]:
    if "instruction" not in value or "output" not in value:
        value = as_instance(value) or value
    texts = mended(value)
    instruction, given, output = (texts.get(name, "") for name in COLUMNS)
    given = "" if given is None else given
    for name, text in zip(COLUMNS, (instruction, given, output), strict=True):
        if name not in value and name != "input":
            raise DataError(
                f"{location}: no column {name!r}; a row needs instruction and output, and may have"
                f" input, or be of a known schema ({', '.join(SCHEMAS)}). It has:"
                f" {', '.join(sorted(value)[:10])}"
            )
        if not isinstance(text, str):
            raise DataError(f"{location}: {name} is {str(text)[:40]!r}; it must be a string")
    if not instruction.strip():
        raise DataError(f"{location}: the instruction is empty; drop the row")
    return instruction, given, output


def _instance(value: JsonObject, texts: tuple[str, str, str], repeat: int) -> Instance:
    made = Instance.make("", *texts, is_classification=False, sample=repeat)
    own = {"id": str(value["id"])} if value.get("id") not in (None, "") else {}
    return made.model_copy(update={"parents": (), "sample": 0, **own})
