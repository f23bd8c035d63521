"""Looking for bytes finds what parsing every row would find, whatever the texts say."""

import hashlib
import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.records import Instruction
from refine_af.lineage.row_file import RowFile, ids_in, spelled, text_in

TRICKY = st.sampled_from(
    [
        '"id": "ins-1"',
        '{"id": "x", "parents": ["ins-1"]}',
        '\\", "instruction": "other',
        '"instruction": "no"',
        "\u2028\n\t\\",
        '"parents": ["',
    ]
)
PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
TEXTS = st.one_of(TRICKY, PLAIN, st.lists(TRICKY).map("".join)).filter(str.strip)


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=8), shown=st.integers(0, 3))
def test_against_parsing(texts: list[str], shown: int) -> None:
    rows: list[Instruction] = []
    for number, text in enumerate(texts):
        parents = tuple(row.id for row in rows[-shown:]) if shown else ()
        rows.append(Instruction.make(text, parents, number, 0, 0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        write_rows(path, rows)
        found = RowFile(path)
        plain = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        heads = [(row["id"], tuple(row["parents"])) for row in plain]
        assert list(found.parents()) == heads
        backwards = [(head.decode(), ids_in(listed)) for head, listed in found.heads_backwards()]
        assert backwards == heads[::-1]
        texts = [text_in(line, "instruction") or "" for line in found.every_line()]
        assert texts == [row["instruction"] for row in plain]
        assert [json.loads(line) for _, line in found.lines()] == plain
        for number, row in enumerate(plain):
            assert found.row(row["id"]) == row
            alone = [one for one in plain if one["parents"] == [row["id"]]]
            assert found.children(row["id"]) == alone
            at = found.position(row["id"])
            assert at is not None
            assert [json.loads(line) for line in found.lines_before(at)] == plain[:number]
            digest = hashlib.blake2b(path.read_bytes()[:at]).digest()
            assert found.digest_before(at) == digest
        assert found.row("ins-none") is None
        assert found.position("ins-none") is None


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"")
    found = RowFile(tmp_path / "rows")
    assert list(found.parents()) == []
    assert list(found.lines()) == []
    assert list(found.lines_with(spelled("x"))) == []
