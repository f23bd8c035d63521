"""Verifies that a finished run is unchanged: every byte, and every link between its parts.

Four checks, each of which finds what the others cannot:

- the list of digests: a byte altered, a file missing or added;
- the chain: each input that a task read is, by its digest, an output that the run still has;
- the ids: a row's id is a digest of its content, so a row that was changed does not fit its id;
- the parents: every row that another one names is there.

The last three need no list, so replacing the list does not hide a change.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import iter_rows
from refine_af.contracts.records import Instance, Instruction, MadeRow, Seed
from refine_af.lineage.ancestry import NO_OFFSPRING
from refine_af.lineage.digest_list import LIST, NOT_COVERED, covered_files, read_digest_list
from refine_af.lineage.run import ARTIFACTS, Run, open_run
from refine_af.storage.manifest import digest_file, digest_path

EXTERNAL = ("the seeds' source", "the model", "the evaluation tasks")


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a verification.

    Attributes:
        problems: One sentence each; none when all is well.
        files: Files whose bytes were compared.
        links: Inputs of tasks that were found among the run's outputs.
        rows: Rows whose id was computed again.
        digest: sha256 of the list of digests.
        not_covered: What the check says nothing about.
    """

    problems: tuple[str, ...]
    files: int
    links: int
    rows: int
    digest: str
    not_covered: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the result for people."""
        return [
            *(f"problem: {problem}" for problem in self.problems),
            *(
                [f"{self.files} files compared with {LIST} (sha256 {self.digest})"]
                * bool(self.digest)
            ),
            f"{self.links} inputs of tasks found among the run's outputs by their digest",
            f"{self.rows} rows fit their ids, and their parents are there"
            if not self.problems
            else f"{self.rows} rows were looked at",
            *(f"not covered: {text}" for text in self.not_covered),
        ]

    def _compared(self) -> list[str]:
        if not self.digest:
            return []
        return [f"{self.files} files compared with {LIST} (sha256 {self.digest})"]


def verify_run(uri: str | Path, expect: str = "") -> Verification:
    """Check a finished run; ``expect`` is the sha256 of its list, as the run printed it.

    Raises:
        DataError: When there is no run.
    """
    run = open_run(uri)
    broken, links = _chain(run)
    wrong, rows = _rows(run)
    problems: list[str] = []
    files, digest = 0, ""
    outside = []
    if run.folder is not None and (run.spec or (run.folder / ARTIFACTS).is_dir() or expect):
        problems, files, digest = _bytes(run.folder, expect)
        outside = [f"{k} ({text})" for k, text in NOT_COVERED.items() if (run.folder / k).exists()]
    else:
        outside.append(f"bytes of files that no task read: runs of a cluster have no {LIST}")
    outside.append(f"{', '.join(EXTERNAL)}: outside the run, which holds only their digests")
    outside += run.lacking()
    return Verification((*problems, *broken, *wrong), files, links, rows, digest, tuple(outside))


def _bytes(folder: Path, expect: str) -> tuple[list[str], int, str]:
    try:
        listed = read_digest_list(folder)
    except DataError as error:
        return [str(error)], 0, ""
    problems = []
    if expect and expect != listed.digest:
        problems.append(f"{LIST}: its sha256 is {listed.digest}, expected {expect}")
    present = dict(covered_files(folder))
    problems += [f"{name}: missing" for name in sorted(listed.files.keys() - present.keys())]
    problems += [
        f"{name}: foreign, not in the list" for name in sorted(present.keys() - listed.files.keys())
    ]
    for name in sorted(present.keys() & listed.files.keys()):
        if present[name].is_symlink() or not present[name].is_file():
            problems.append(f"{name}: a link or no file")
        elif digest_file(present[name]) != listed.files[name]:
            problems.append(f"{name}: altered")
    return problems, len(listed.files), listed.digest


def _chain(run: Run) -> tuple[list[str], int]:
    """Return inputs that no output of the run matches, and the number of those that one does."""
    outputs: set[str] = set()
    problems = []
    for task in run.tasks:
        for name, path in task.artifacts():
            try:
                outputs.add(digest_path(path))
            except DataError as error:
                problems.append(f"{task.name}/{name}: {error}")
    links = 0
    for task in run.tasks:
        if not task.provenance:
            problems.append(f"{task.name}: no provenance, so nothing says what it read")
        # files that a parameter names; and a folder that was filtered again holds no weights
        outside = {name for name in task.input_digests if name in task.params}
        outside |= {"adapter"} if task.provenance.get("decided_again") else set()
        for name, digest in sorted(task.input_digests.items()):
            links += digest in outputs
            if digest not in outputs and name not in outside:
                problems.append(
                    f"{task.name}: it read the input {name} with sha256 {digest}, which no output"
                    " of this run has any more"
                )
    return problems, links


def _rows(run: Run) -> tuple[list[str], int]:
    """Return rows that do not fit their id or lack a parent, and the number looked at."""
    problems: list[str] = []
    known: set[str] = set()
    count = 0
    for _, name, rows in run.every_file():
        if name not in NO_OFFSPRING:
            known.update(row_id.decode("utf-8", "replace") for row_id, _ in rows.heads())
    known |= _shown_before(run)
    for name, path, kind in _made_by_stages(run):
        try:
            for row in iter_rows(path, kind):
                count += 1
                problems += [f"{name}: row {row.id}: {text}" for text in _misfits(row, known)]
        except DataError as error:
            problems.append(str(error))
    return problems, count


def _misfits(row: MadeRow, known: set[str]) -> Iterator[str]:
    expected = row.derived_id()
    if row.id != expected:
        yield f"its content makes the id {expected}"
    for parent in row.parents:
        if parent not in known:
            yield f"its parent {parent} is not in the run"
            return


def _shown_before(run: Run) -> set[str]:
    """Return rows that prompts showed and that may be gone: only where answers were decided again.

    What the prompts showed is in the artifact ``calls``, which the chain covers.
    """
    shown: set[str] = set()
    for task, rows in run.files("calls", "generate_instructions"):
        if task.provenance.get("decided_again"):
            shown.update(*(parents for _, parents in rows.parents()))
    return shown


def _made_by_stages(run: Run) -> Iterator[tuple[str, Path, type[MadeRow]]]:
    """Yield name, file and kind of every artifact whose rows carry an id of their content."""
    kinds: tuple[tuple[str, str, type[MadeRow]], ...] = (
        ("seed_ingest", "seeds", Seed),
        ("generate_instructions", "instructions", Instruction),
        ("generate_instances", "instances", Instance),
        ("generate_responses", "instances", Instance),
        ("generate_responses", "held_out", Instance),
        ("generate_responses", "reference_rows", Instance),
        ("score_rewards", "scored", Instance),
    )
    for stage, name, kind in kinds:
        for task, rows in run.files(name, stage):
            yield f"{task.name}/{name}", rows.path, kind
