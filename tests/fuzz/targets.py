"""What is fuzzed: each target takes any bytes and may raise nothing but an error for people.

``TARGETS`` is run by Hypothesis and over the corpus in ``test_parsers.py``, and by atheris in
``coverage_guided.py``.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from refine_af.contracts.errors import RefineAfError
from refine_af.contracts.jsonl import dump_line, iter_objects, parse_object
from refine_af.contracts.records import Instance, Instruction, Rejected, Seed
from refine_af.engines.text import Finish
from refine_af.evaluation.task_sets import load_tasks
from refine_af.lineage.digest_list import LIST, read_digest_list
from refine_af.pipelines.config import load_config
from refine_af.pipelines.tasks import planned
from refine_af.self_instruct.decide import Answer, Decider
from refine_af.self_instruct.params import BootstrapParams
from refine_af.self_instruct.parse_instances import (
    filter_instances,
    parse_instances,
    parse_plain,
)
from refine_af.self_instruct.prompts import Layout
from refine_af.stages.seed_ingest import read_seeds
from refine_af.storage.entry import Done, Failure, Identity, Pointer, unwrap, wrap
from refine_af.storage.lease import LeaseRecord
from refine_af.storage.manifest import Manifest

FINISHES: tuple[Finish, ...] = ("stop", "length")
LAYOUTS: tuple[Layout, ...] = ("input_first", "output_first")
Target = Callable[[bytes], None]


def answer_of(data: bytes) -> str:
    """Return any text that an engine could hand on, lone surrogates and controls among it."""
    return data.decode("utf-8", "surrogateescape")


def stored(row: Instruction | Instance | Rejected | Seed) -> None:
    """A row that was made can be written, and read again as it was."""
    line = dump_line(row).encode()
    assert line.count(b"\n") == 1
    assert type(row).model_validate(parse_object(line, "row")) == row


def instructions(data: bytes) -> None:
    """Completions of the bootstrap: every piece becomes a kept or a rejected row."""
    for finish in FINISHES:
        decider = Decider([], BootstrapParams())
        for row in decider.decide([Answer(0, ("seed-1",), answer_of(data), finish)]):
            stored(row)


def instances(data: bytes) -> None:
    """Answers with input-output pairs: every draft is kept or rejected with a reason."""
    text = answer_of(data)
    for finish in FINISHES:
        for layout in LAYOUTS:
            drafts = parse_instances(text, finish, layout)
            assert drafts
            plain = parse_plain(text)
            for draft in filter_instances([*drafts, *([plain] if plain else [])], 1, "ins-1"):
                if draft.reason is None:
                    texts = ("ins-1", "Do it.", draft.input, draft.output)
                    stored(Instance.make(*texts, is_classification=False, sample=0))
                else:
                    stored(Rejected.make("generate_instances", draft.reason, draft.output))


def json_lines(data: bytes) -> None:
    """Rows of anyone: read, or refused with file and line."""
    with _file(data, "rows.jsonl") as path:
        try:
            rows = [row for _, row in iter_objects(path)]
        except RefineAfError as error:
            assert "rows.jsonl:" in str(error)  # noqa: PT017  the target runs without pytest too
            return
        for row in rows:
            assert json.loads(dump_line(row)) == row


def seeds(data: bytes) -> None:
    """Seed files."""
    with _file(data, "seeds.jsonl") as path:
        try:
            found = read_seeds(path, "seeds", "MIT").rows
        except RefineAfError:
            return
        for row in found:
            stored(row)


def config(data: bytes) -> None:
    """YAML of a person."""
    with _file(data, "config.yaml") as path:
        try:
            planned(load_config("smoke", str(path)))
        except RefineAfError:
            return


def task_files(data: bytes) -> None:
    """Evaluation tasks, as one object and as lines, packed and not."""
    for name in ("task001_x.json", "tasks.jsonl", "tasks.jsonl.gz"):
        with _file(data, name) as path:
            try:
                load_tasks([path])
            except RefineAfError:
                continue


def stored_state(data: bytes) -> None:
    """What storage reads back: damaged bytes count as absent or are refused, never trusted."""
    assert unwrap(wrap(data, "steps/a.entry"), "steps/a.entry") == data
    unwrap(data, "steps/a.entry")
    for kind in (Done, Failure, Pointer):
        kind.load(data)
    Identity.load(data)
    LeaseRecord.load(data)
    with contextlib.suppress(RefineAfError):
        Manifest.load(data, "folder")
    with _file(data, LIST) as path:
        try:
            read_digest_list(path.parent)
        except RefineAfError:
            return


class _file:  # noqa: N801  used as a function
    """A file with given bytes in a folder of its own, removed afterwards."""

    def __init__(self, data: bytes, name: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name, name)
        self._path.write_bytes(data)

    def __enter__(self) -> Path:
        return self._path

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (instructions, instances, json_lines, seeds, config, task_files, stored_state)
}
