"""The journal: what it keeps, what it refuses, what it notices."""

import hashlib
import json
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_af.contracts.errors import DataError, JournalMismatchError, LeaseHeldError
from refine_af.contracts.stage import Journal
from refine_af.storage.entry import Identity, journal_name, unwrap, wrap
from refine_af.storage.journal import MemoryJournal, WorkJournal, identities, open_journal
from refine_af.storage.manifest import digest_directory
from refine_af.storage.schemes import open_store

IDENTITY = Identity("train_ppo", {"seed": 1, "lr": 1e-5, "mode": "a"}, {"seeds": "ab"}, "0.1")


def folder(path: Path, **files: str) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def check_steps(journal: Journal, scratch: Path) -> None:
    """What any journal does for a stage."""
    assert journal.read("round/1") is None
    assert journal.names() == []
    journal.publish("round/1", b"one")
    journal.publish("round", b"")
    journal.publish("round/10", b"\x00{\n")
    journal.publish("round/1", b"two")
    assert (journal.read("round/1"), journal.read("round")) == (b"two", b"")
    assert journal.names() == ["round", "round/1", "round/10"]
    assert journal.names("round/") == ["round/1", "round/10"]
    assert not journal.read_directory("checkpoint", scratch / "none")
    assert not (scratch / "none").exists()
    journal.publish_directory("checkpoint", folder(scratch / "old", a="1", b="2"))
    journal.publish_directory("checkpoint", folder(scratch / "new", a="3"))
    (scratch / "restored").mkdir()
    assert journal.read_directory("checkpoint", scratch / "restored")
    assert digest_directory(scratch / "restored") == digest_directory(scratch / "new")
    assert journal.names("c") == ["checkpoint"]
    for name in ("round/1", "checkpoint", "never"):
        journal.discard(name)
    assert journal.names() == ["round", "round/10"]
    assert not journal.read_directory("checkpoint", scratch / "gone")
    with pytest.raises(DataError, match="refused"):
        journal.publish("../escape", b"")


def test_steps_on_each_store(root: str, tmp_path: Path) -> None:
    with open_journal(f"{root}/work", IDENTITY) as journal:
        check_steps(journal, tmp_path)


def test_steps_in_memory(tmp_path: Path) -> None:
    with MemoryJournal() as journal:
        check_steps(journal, tmp_path)
        assert (journal.finished(), journal.failure()) == (None, None)
        journal.finish({"a": tmp_path}, {})
        assert not journal.republish({"a": tmp_path})


def test_a_later_process_finds_what_was_published_and_finished(root: str, tmp_path: Path) -> None:
    rows, model = tmp_path / "rows", folder(tmp_path / "model", w="1")
    rows.write_text("row\n")
    with open_journal(f"{root}/work", IDENTITY) as journal:
        journal.publish("step", b"1")
        assert journal.finished() is None
        assert not journal.republish({})
        journal.finish({"rows": rows, "model": model}, {"kept": 3.0, "ratio": 0.1})
    with open_journal(f"{root}/work", IDENTITY, "always") as journal:
        assert journal.read("step") == b"1"
        done = journal.finished()
        assert done is not None
        assert done.outputs == {
            "rows": hashlib.sha256(b"row\n").hexdigest(),
            "model": digest_directory(model),
        }
        assert done.metrics == {"kept": 3.0, "ratio": 0.1}
        targets = {"rows": tmp_path / "out" / "rows", "model": tmp_path / "out" / "model"}
        for _ in range(2):  # also in place of what is there
            assert journal.republish(targets)
            assert targets["rows"].read_text() == "row\n"
            assert digest_directory(targets["model"]) == digest_directory(model)
        with pytest.raises(DataError, match="no target for the outputs model"):
            journal.republish({"rows": tmp_path / "r"})


def test_the_second_on_a_key_is_refused_and_other_keys_are_free(root: str) -> None:
    other = Identity("train_ppo", {**IDENTITY.params, "seed": 2}, IDENTITY.inputs, "0.1")
    with open_journal(f"{root}/work", IDENTITY) as journal:
        with pytest.raises(LeaseHeldError, match="stage train_ppo"):
            open_journal(f"{root}/work", IDENTITY)
        with open_journal(f"{root}/work", other) as second:
            second.publish("a", b"2")
        journal.publish("a", b"1")
    with pytest.raises(LeaseHeldError):
        journal.publish("a", b"late")


def test_always_lists_what_differs_from_the_nearest_journal(root: str) -> None:
    work = f"{root}/work"
    with pytest.raises(JournalMismatchError, match="nor of any other"):
        open_journal(work, IDENTITY, "always")
    near = Identity("train_ppo", {"seed": 2, "lr": 1e-5, "mode": "a"}, {"seeds": "cd"}, "0.1")
    far = Identity("train_ppo", {"seed": 3, "lr": 1e-4}, {}, "0.2")
    of_another_stage = Identity("train_sft", IDENTITY.params, IDENTITY.inputs, "0.1")
    for identity in (near, far, of_another_stage):
        open_journal(work, identity).close()
    assert {identity.key for identity in identities(open_store(work), work)} == {
        near.key,
        far.key,
        of_another_stage.key,
    }
    with pytest.raises(JournalMismatchError) as caught:
        open_journal(work, IDENTITY, "always")
    assert "differs in inputs.seeds: 'ab', not 'cd'; params.seed: 1, not 2;" in str(caught.value)
    assert caught.value.exit_code == 65


def test_never_clears_what_was_there(root: str, tmp_path: Path) -> None:
    with open_journal(f"{root}/work", IDENTITY) as journal:
        journal.publish("step", b"1")
        journal.publish_directory("dir", folder(tmp_path / "d", a="1"))
        journal.finish({"d": tmp_path / "d"}, {})
        journal.fail("bad row", 65)
    with open_journal(f"{root}/work", IDENTITY, "never") as journal:
        assert journal.names() == []
        assert (journal.finished(), journal.failure()) == (None, None)
    left = sorted(uri.rpartition("/")[2] for uri in open_store(root).list_files(root))
    assert left == ["identity.json", "lease.json"]


def test_only_permanent_failures_leave_a_mark(root: str) -> None:
    with open_journal(f"{root}/work", IDENTITY) as journal:
        journal.fail("no network", 69)
        assert journal.failure() is None
        journal.fail("lr is 0; it must be positive", 64)
    with open_journal(f"{root}/work", IDENTITY) as journal:
        failure = journal.failure()
        assert failure is not None
        assert (failure.message, failure.exit_code) == ("lr is 0; it must be positive", 64)


Damage = Callable[[bytes], bytes]
DAMAGES: list[Damage] = [
    lambda raw: b"",
    lambda raw: raw[:-1],
    lambda raw: raw[: len(raw) // 2],
    lambda raw: raw + b"x",
    lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
    lambda raw: b"\x00" * len(raw),
]


@pytest.fixture
def journal(tmp_path: Path) -> WorkJournal:
    return open_journal(str(tmp_path / "work"), IDENTITY)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_torn_entry_counts_as_absent(
    journal: WorkJournal, damage: Damage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = folder(tmp_path / "source", a="1")
    journal.publish("step", b"content")
    journal.publish_directory("dir", source)
    journal.finish({"source": source}, {})
    journal.fail("bad", 65)
    for path in tmp_path.rglob("*.entry"):
        path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert journal.read("step") is None
        assert not journal.read_directory("dir", tmp_path / "out")
        assert (journal.finished(), journal.failure()) == (None, None)
    assert caplog.text.count("it is ignored") == 4
    journal.publish("step", b"again")
    assert journal.read("step") == b"again"


@pytest.mark.parametrize("what", ["changed", "lost", "added"])
def test_a_damaged_tree_counts_as_absent(
    journal: WorkJournal, what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = folder(tmp_path / "source", a="1", b="2")
    (tmp_path / "file").write_text("f")
    journal.publish_directory("dir", source)
    journal.finish({"file": tmp_path / "file", "z": source}, {})
    for kind in ("trees", "outputs"):
        victim = next((tmp_path / "work").rglob(f"{kind}/**/a"))
        if what == "lost":
            victim.unlink()
        else:
            victim.with_name("a" if what == "changed" else "c").write_text("3")
    (tmp_path / "target").write_text("before")
    assert not journal.read_directory("dir", tmp_path / "out")
    assert not journal.republish({"file": tmp_path / "target", "z": tmp_path / "out"})
    assert (tmp_path / "target").read_text() == "before"
    assert not (tmp_path / "out").exists()
    assert caplog.text.count("is ignored") == 2


def test_a_damaged_output_on_s3_counts_as_absent(s3_root: str, tmp_path: Path) -> None:
    source = folder(tmp_path / "source", a="1")
    with open_journal(s3_root, IDENTITY) as journal:
        journal.finish({"source": source}, {})
        journal.publish_directory("dir", source)
        store = open_store(s3_root)
        for uri in store.list_files(s3_root):
            if uri.endswith("/a"):
                store.publish_bytes(uri, b"2")
        assert not journal.republish({"source": tmp_path / "out"})
        assert not journal.read_directory("dir", tmp_path / "out")


def test_opening_sweeps_what_killed_writers_left(tmp_path: Path) -> None:
    source = folder(tmp_path / "source", a="1")
    work = tmp_path / "work"
    with open_journal(str(work), IDENTITY) as journal:
        journal.publish_directory("dir", source)
        journal.finish({"source": source}, {})
    before = digest_directory(work / IDENTITY.key)
    for name in ("trees/orphan/a", "outputs/orphan/b/c", "steps/.refine-af-1-x.tmp", "d/e"):
        orphan = work / IDENTITY.key / name
        orphan.parent.mkdir(parents=True, exist_ok=True)
        orphan.write_text("x")
    with open_journal(str(work), IDENTITY) as journal:
        left = {path.name for path in work.rglob("*") if path.is_file()}
        assert not left & {"b", "c", ".refine-af-1-x.tmp"}
        assert "e" in left, "what is not the journal's own stays"
        assert not (work / IDENTITY.key / "trees" / "orphan").exists()
        assert journal.read_directory("dir", tmp_path / "out")
        assert journal.republish({"source": tmp_path / "out2"})
    assert before  # the journal had content


def test_the_key_is_the_digest_of_canonical_json() -> None:
    text = (
        '{"code":"0.1","inputs":{"seeds":"ab"},'
        '"params":{"lr":1e-05,"mode":"a","seed":1},"stage":"train_ppo"}'
    )
    assert IDENTITY.dump() == text.encode()
    assert IDENTITY.key == hashlib.sha256(text.encode()).hexdigest()[:32]
    assert Identity.load(IDENTITY.dump()) == IDENTITY
    shuffled = Identity(
        "train_ppo", dict(reversed(list(IDENTITY.params.items()))), {"seeds": "ab"}, "0.1"
    )
    assert shuffled.key == IDENTITY.key


def test_an_unreadable_identity_is_written_anew(tmp_path: Path) -> None:
    open_journal(str(tmp_path), IDENTITY).close()
    path = tmp_path / IDENTITY.key / "identity.json"
    path.write_bytes(path.read_bytes()[:10])
    assert identities(open_store("."), str(tmp_path)) == []
    open_journal(str(tmp_path), IDENTITY).close()
    assert identities(open_store("."), str(tmp_path)) == [IDENTITY]
    assert json.loads(path.read_bytes())["stage"] == "train_ppo"


@given(st.binary(max_size=2000))
def test_an_entry_comes_back(data: bytes) -> None:
    assert unwrap(wrap(data, "a"), "a") == data


@given(st.binary(min_size=1, max_size=60), st.data())
def test_an_entry_cut_or_altered_anywhere_is_noticed(data: bytes, choose: st.DataObject) -> None:
    raw = wrap(data, "a")
    cut = choose.draw(st.integers(0, len(raw) - 1))
    assert unwrap(raw[:cut], "a") is None
    altered = bytearray(raw)
    altered[cut] ^= choose.draw(st.integers(1, 255))
    assert unwrap(bytes(altered), "a") in (
        None,
        data,
    )


PARTS = st.text("ab._=+@,-/0Z", min_size=1, max_size=8)


@settings(max_examples=300)
@given(st.lists(PARTS, max_size=6, unique=True))
def test_any_names_that_are_allowed_live_side_by_side(names: list[str]) -> None:
    allowed = []
    for name in names:
        try:
            allowed.append(journal_name(name))
        except DataError:
            continue
    with MemoryJournal() as journal:
        for name in allowed:
            journal.publish(name, name.encode())
        assert journal.names() == sorted(allowed)


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", ".", "..", "a/../b", ".a", "a\n", "a b", "a\\b", "x.entry/y"]
)
def test_names_that_could_leave_or_collide_are_refused(journal: WorkJournal, name: str) -> None:
    with pytest.raises(DataError, match="refused"):
        journal.publish(name, b"")
    with pytest.raises(DataError, match="refused"):
        journal.read(name)


def test_two_swapped_entries_are_noticed(
    journal: WorkJournal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal.publish("first", b"1")
    journal.publish("second", b"2")
    work = tmp_path / "work"
    first, second = (next(work.rglob(f"{name}.entry")) for name in ("first", "second"))
    first.rename(tmp_path / "aside")
    second.rename(first)
    (tmp_path / "aside").rename(second)
    assert journal.read("first") is None
    assert journal.read("second") is None
    assert caplog.text.count("misplaced") == 2


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=7), inner),
    max_leaves=6,
)
SHAPES = st.one_of(
    JSON_VALUES,
    st.fixed_dictionaries({"token": JSON_VALUES, "digest": JSON_VALUES}),
    st.fixed_dictionaries({"message": JSON_VALUES, "exit_code": JSON_VALUES}),
    st.fixed_dictionaries({"outputs": JSON_VALUES, "metrics": JSON_VALUES, "token": JSON_VALUES}),
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["done.entry", "failed.entry", "folders/dir.entry"]), SHAPES)
def test_any_json_in_an_entry_of_the_journal_is_survived(entry: str, value: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with open_journal(folder, IDENTITY) as journal:
            path = Path(folder, IDENTITY.key, entry)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(wrap(json.dumps(value).encode(), entry))
            journal.finished()
            journal.failure()
            journal.read_directory("dir", Path(folder, "out"))
            assert not journal.republish({"x": Path(folder, "x")})
        open_journal(folder, IDENTITY).close()


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        JSON_VALUES,
        st.fixed_dictionaries(
            dict.fromkeys(("stage", "params", "inputs", "code"), JSON_VALUES | st.just("x"))
        ),
    )
)
def test_any_json_in_an_identity_is_survived(value: object) -> None:
    identity = Identity.load(json.dumps(value).encode())
    if identity is not None:
        assert len(identity.key) == 32
        assert identity.differences(IDENTITY)
