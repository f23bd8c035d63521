import base64
import gzip
import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from slow_filter import decide

from refine_af.cli import main
from refine_af.contracts.errors import DataError
from refine_af.contracts.records import Instruction, Rejected
from refine_af.dedup import index, join
from refine_af.dedup.filter import filter_rows
from refine_af.dedup.index import RougeLIndex
from refine_af.dedup.memory import FIXED, available_memory, require_memory
from refine_af.dedup.params import FilterParams
from refine_af.storage.journal import MemoryJournal

DATA = os.environ.get("REFINE_AF_TEST_DATA")


class Sentences:
    """Progress that keeps what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.steps: list[tuple[int, int, str]] = []

    def step(self, done: int, total: int, unit: str, **numbers: float) -> None:
        """Keep how far it is."""
        self.steps.append((done, total, unit))

    def resumed(self, done: int, unit: str) -> None:
        """Keep nothing."""

    def say(self, message: str) -> None:
        """Keep the sentence."""
        self.said.append(message)


def write(path: Path, rows: Sequence[object]) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


class Folder:
    """One run of the filter in a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept, self.rejected = path / "kept.jsonl", path / "rejected.jsonl"
        self.progress = Sentences()

    def run(
        self,
        *files: Sequence[object],
        pool: Sequence[object] | None = None,
        settings: FilterParams | None = None,
        avoid: Sequence[tuple[str, str]] = (),
    ) -> dict[str, float]:
        """Write the rows to files and filter these."""
        paths = [write(self.path / f"{place}.jsonl", rows) for place, rows in enumerate(files)]
        return filter_rows(
            paths,
            write(self.path / "pool.jsonl", pool) if pool is not None else None,
            self.kept,
            self.rejected,
            settings or FilterParams(),
            avoid=avoid,
            progress=self.progress,
        )


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_first_arrival_wins_across_files_and_other_columns_pass_through(folder: Folder) -> None:
    one = {
        "id": 7,
        "instruction": "Name the rivers of Spain.",
        "more": {"b": [1.50, None, "é\u2028"]},
    }
    two = {"instruction": "Describe a quiet harbour at night."}
    again = {"id": "x", "instruction": "Name the rivers of Spain!", "score": 3}
    counts = folder.run([one, two], [again])
    assert read(folder.kept) == [one, two]
    [dropped] = read(folder.rejected)
    assert dropped.pop("row") == again
    record = Rejected.model_validate(dropped)
    assert (record.reason, record.neighbour, record.score) == ("similar", "7", 1.0)
    assert (record.stage, record.text, record.parents) == (
        "dedup_filter",
        again["instruction"],
        ("x",),
    )
    assert (counts["rows"], counts["kept"], counts["similar"]) == (3, 2, 1)
    assert folder.progress.steps == [
        (3, 3, "rows read"),
        (3, 3, "rows compared"),
        (3, 3, "rows written"),
    ]
    assert record.detail == "file 1, line 1: Name the rivers of Spain."


def test_our_own_rows_come_out_as_the_same_rows(folder: Folder) -> None:
    row = Instruction.make("Name the rivers of Spain.", ("seed-1",), 3, 2, 1)
    folder.run([row.model_dump(mode="json")])
    assert Instruction.model_validate(read(folder.kept)[0]) == row


def test_pool_rows_drop_candidates_and_are_written_nowhere(folder: Folder) -> None:
    pool = [{"id": "seed", "instruction": "Name the rivers of Spain."}] * 2
    counts = folder.run([{"id": "c", "instruction": "Name the rivers of France."}], pool=pool)
    # 4 of 5 tokens: 0.8.
    assert read(folder.kept) == []
    [rejection] = read(folder.rejected)
    assert (rejection["neighbour"], rejection["detail"].split(":")[0]) == ("seed", "pool, line 1")
    assert read(folder.rejected)[0]["score"] == pytest.approx(0.8)
    assert counts["pool_rows"] == 2


def test_rows_without_text_are_rejected_and_kept_whole(folder: Folder) -> None:
    rows = [{"id": "a", "instruction": "One good row here."}, {"id": "b"}]
    rows += [{"id": "c", "instruction": 5}, {"id": "d", "instruction": " \t"}]  # type: ignore[dict-item]
    counts = folder.run(rows)
    assert [row["row"] for row in read(folder.rejected)] == rows[1:]
    assert counts["no_text"] == 3
    assert counts["rows"] == counts["kept"] + counts["no_text"]


def test_a_misspelt_field_is_an_error_with_the_nearest_name(folder: Folder) -> None:
    with pytest.raises(DataError, match=r"no row has the field 'instructon'; Did you mean 'instr"):
        folder.run([{"instruction": "a b"}], settings=FilterParams(text_field="instructon"))


def test_a_pool_row_without_the_field_is_an_error_with_its_line(folder: Folder) -> None:
    with pytest.raises(DataError, match=r"pool\.jsonl:2: a pool row needs text in the field 'inst"):
        folder.run([], pool=[{"instruction": "a b"}, {"text": "c"}])


def test_a_number_that_json_cannot_hold_is_an_error_with_its_line(folder: Folder) -> None:
    with pytest.raises(DataError, match=r"0\.jsonl:1: 1e999 is too large"):
        folder.run(['{"instruction": "a b", "x": 1e999}'])


def test_rows_over_the_limit_are_rejected_in_order(folder: Folder) -> None:
    rows = [{"id": str(n), "instruction": f"alpha{n} beta{n} gamma{n}"} for n in range(5)]
    counts = folder.run(rows, settings=FilterParams(max_rows=2))
    assert read(folder.kept) == rows[:2]
    assert [row["reason"] for row in read(folder.rejected)] == ["over_limit"] * 3
    assert counts["over_limit"] == 3


def test_contaminated_rows_are_refused_and_seeds_only_reported(folder: Folder) -> None:
    leak = "Decide whether the writer of this review would come back to the hotel."
    seed = {"id": "s", "instruction": leak}
    rows: list[dict[str, Any]] = [
        {"id": "a", "instruction": leak, "n": 1},
        {"id": "b", "instruction": "Sum the numbers up.", "input": leak},
        {"id": "c", "instruction": "Count birds.", "instances": [{"input": leak, "output": "no"}]},
        {"id": "d", "instruction": "Write about the weather in May."},
    ]
    counts = folder.run(rows, pool=[seed], avoid=[("hotels/definition", leak)])
    rejected = read(folder.rejected)
    assert [(row["parents"], row["reason"]) for row in rejected] == [
        (["a"], "contaminated"),
        (["b"], "contaminated"),
        (["c"], "contaminated"),
    ]
    assert all(leak in row["detail"] for row in rejected)
    assert {row["neighbour"] for row in rejected} == {"hotels/definition"}
    assert read(folder.kept) == rows[3:]
    assert (counts["contaminated"], counts["pool_contaminated"]) == (3, 1)
    assert any(
        "pool row s is like hotels/definition" in message for message in folder.progress.said
    )


def test_text_without_tokens_is_counted_and_said(folder: Folder) -> None:
    rows = [{"instruction": "Привет, мир"}, {"instruction": "Привет, мир"}]
    assert folder.run(rows)["tokenless"] == 2
    assert any("2 rows were not compared" in message for message in folder.progress.said)
    counts = folder.run(rows, settings=FilterParams(tokens="unicode_words"))
    assert (counts["tokenless"], counts["similar"]) == (0, 1)


def test_two_runs_give_the_same_bytes(folder: Folder) -> None:
    rows = [{"instruction": f"Say {n % 3} words about rivers"} for n in range(9)]
    folder.run(rows)
    first = folder.kept.read_bytes(), folder.rejected.read_bytes()
    folder.run(rows)
    assert (folder.kept.read_bytes(), folder.rejected.read_bytes()) == first


@pytest.mark.skipif(not DATA, reason="REFINE_AF_TEST_DATA is not set")
def test_naughty_strings_come_through_unharmed_or_with_a_reason(folder: Folder) -> None:
    texts = json.loads((Path(str(DATA)) / "robustness" / "blns.json").read_text(encoding="utf-8"))
    rows = [{"id": str(n), "instruction": text} for n, text in enumerate(texts)]
    folder.run(rows)
    kept = read(folder.kept)
    rejected = [row["row"] for row in read(folder.rejected)]
    assert sorted(kept + rejected, key=lambda row: int(row["id"])) == rows
    usable = [(row["id"], row["instruction"]) for row in rows if row["instruction"].strip()]
    expected = decide(usable, [], 0.7)
    assert [row["id"] for row in kept] == [
        row_id for (row_id, _), drop in zip(usable, expected, strict=True) if drop is None
    ]


@pytest.mark.skipif(not DATA, reason="REFINE_AF_TEST_DATA is not set")
def test_json_test_suite_comes_through_unharmed_or_is_refused(folder: Folder) -> None:
    path = Path(str(DATA)) / "robustness" / "jsontestsuite.jsonl.gz"
    cases = [json.loads(line) for line in gzip.decompress(path.read_bytes()).split(b"\n") if line]
    for case in cases:
        body = next(value for key, value in case.items() if "64" in key)
        source = folder.path / "case.jsonl"
        source.write_bytes(b'{"instruction": "a b c", "value": ' + base64.b64decode(body) + b"}\n")
        refused = None
        try:
            filter_rows([source], None, folder.kept, folder.rejected, FilterParams())
        except DataError as error:
            refused = error
        if refused is None:
            assert len(read(folder.kept)) >= 1
        else:
            assert "case.jsonl:" in str(refused)


def test_a_neighbour_without_an_id_is_named_by_line_and_text(folder: Folder) -> None:
    rows = [{"instruction": "Count the birds."}, {"instruction": "Name the rivers of Spain."}]
    again = {"instruction": "Name the rivers of Spain now."}
    folder.run(rows, [again], settings=FilterParams(max_cosine=0.99))
    [semantic] = read(folder.rejected)
    folder.run(rows, [again])
    [wording] = read(folder.rejected)
    assert semantic["detail"] == wording["detail"] == "file 1, line 2: Name the rivers of Spain."


GIB = 1 << 30


def test_memory_is_counted_by_rows_tokens_and_long_rows() -> None:
    held_rows = RougeLIndex(0.7)
    held_rows.add_all([("short", "name a river"), ("long", "word " * 200)])
    held = 2 * 240 + 203 * 9
    now = FIXED + 2 * 300 + 203 * 30 + 700
    assert held_rows.bytes_to_compare(2) == now - held
    thousand = FIXED + 1000 * (2 * 300 + 203 * 30 + 700)
    assert held_rows.bytes_to_compare(2000) == pytest.approx(thousand - held)


def test_rows_that_do_not_fit_into_memory_are_refused_with_the_numbers() -> None:
    require_memory(1_000, GIB, GIB)
    message = (
        r"10,000,000 rows need about 14\.00 GiB more memory .*30 a token.*"
        r"4\.00 GiB are available: .* at least 10\.00 GiB more"
    )
    with pytest.raises(DataError, match=message):
        require_memory(10_000_000, 14 * GIB, 4 * GIB)


def grown(rows: int, words: int) -> list[dict[str, str]]:
    return [{"instruction": f"{row} " + "word " * words} for row in range(rows)]


@pytest.mark.parametrize(("max_cosine", "needed"), [(0.0, "0.31"), (0.9, "0.35")])
def test_the_filter_refuses_after_its_first_rows_and_writes_nothing(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, max_cosine: float, needed: str
) -> None:
    monkeypatch.setattr("refine_af.dedup.memory.available_memory", lambda: GIB // 4)
    with pytest.raises(DataError, match=rf"9,000 rows need about {needed} GiB"):
        folder.run(grown(9_000, 1_000), settings=FilterParams(max_cosine=max_cosine))
    assert folder.progress.steps == [(1024, 9_000, "rows read")]
    assert not folder.kept.exists()


def test_later_rows_that_are_longer_are_refused_before_they_are_compared(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refine_af.dedup.memory.available_memory", lambda: GIB // 4)
    with pytest.raises(DataError, match="9,000 rows need about"):
        folder.run([*grown(1_500, 1), *grown(7_500, 2_000)])
    assert {unit for _, _, unit in folder.progress.steps} == {"rows read"}


def test_the_stage_ends_with_65_and_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("refine_af.dedup.memory.available_memory", lambda: 1000)
    rows = write(tmp_path / "rows.jsonl", grown(3, 5))
    names = ("kept", "rejected", "metrics", "provenance", "telemetry")
    outputs = [f"--{name}={tmp_path / name}" for name in names]
    assert main(["dedup-filter", f"--candidates={rows}", *outputs]) == 65
    assert "run this on a machine, or in a container, with at least" in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()


def test_the_index_refuses_before_it_compares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refine_af.dedup.memory.available_memory", lambda: 1000)
    monkeypatch.setattr(index, "_BULK", 1)
    with pytest.raises(DataError, match="2 rows need about"):
        RougeLIndex(0.7).offer_all([("a", "one two"), ("b", "three four")])


def test_available_memory_is_the_smaller_of_machine_and_container(tmp_path: Path) -> None:
    meminfo, none = tmp_path / "meminfo", tmp_path / "none"
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable:    3000 kB\n")
    assert available_memory(meminfo, tmp_path, none) == 3000 * 1024
    limited(tmp_path, VERSION_2, "max")
    assert available_memory(meminfo, tmp_path, none) == 3000 * 1024
    limited(tmp_path, VERSION_2, "2000")
    assert available_memory(meminfo, tmp_path, none) == 2000 - 500 + 200
    assert available_memory(none, none, none) is None


VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
VERSION_2 = ("memory.max", "memory.current", "inactive_file")


def limited(folder: Path, names: tuple[str, str, str], limit: str) -> None:
    """Make a control group of which 500 bytes are used, 200 of them by the file cache."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text("500\n")
    (folder / "memory.stat").write_text(f"anon 300\n{names[2]} 200\n")


@pytest.mark.parametrize(
    ("names", "mount", "membership"),
    [
        (VERSION_1, "memory", "9:pids:/x\n4:memory:/pod/own\n0::/\n"),
        (VERSION_2, "", "0::/pod/own\n"),
    ],
    ids=["version 1", "version 2"],
)
def test_limits_of_this_process_and_of_the_groups_above_count(
    tmp_path: Path, names: tuple[str, str, str], mount: str, membership: str
) -> None:
    member, none, group = tmp_path / "self", tmp_path / "none", tmp_path / "groups"
    member.write_text(membership)
    endless = "9223372036854771712"
    limited(group / mount, names, endless)
    limited(group / mount / "pod", names, "4000")
    limited(group / mount / "pod" / "own", names, endless)
    assert available_memory(none, group, member) == 4000 - 500 + 200
    limited(group / mount / "pod" / "own", names, "3000")
    assert available_memory(none, group, member) == 3000 - 500 + 200
    limited(group / mount, names, "400")
    assert available_memory(none, group, member) == 100


def test_a_killed_filter_continues_and_writes_the_same_bytes(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join, "_KEYS", 20)
    monkeypatch.setattr(index, "_BULK", 1)
    draw = random.Random(4)
    words = [f"w{n}" for n in range(60)]
    texts = [" ".join(draw.choices(words, k=12)) for _ in range(40)]
    rows = [{"instruction": text} for text in [*texts, *(f"{text} x" for text in texts)]]
    folder.run(rows)
    whole = folder.kept.read_bytes(), folder.rejected.read_bytes()

    class Dies(MemoryJournal):
        left = 9

        def publish(self, name: str, data: bytes) -> None:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            super().publish(name, data)

    steps = Dies()
    files = [folder.path / "0.jsonl"], None, folder.kept, folder.rejected, FilterParams()
    with pytest.raises(KeyboardInterrupt):
        filter_rows(*files, steps=steps)
    assert len(steps.names("join-")) == 9
    steps.left = 1 << 30
    filter_rows(*files, steps=steps)
    assert (folder.kept.read_bytes(), folder.rejected.read_bytes()) == whole
    assert whole[1].count(b"\n") > 30
