"""Filters files of JSON Lines, anyone's: rows in, rows kept unchanged, rows rejected.

The reasons of a rejection, in the order tried:

- ``no_text``: the text field is absent, not a string, or blank.
- ``contaminated``: the text, ``input`` or ``instances[].input`` repeats an evaluation text;
  ``neighbour`` is the name of that text and ``detail`` its beginning.
- ``similar``: ROUGE-L F1 with a pool row or a kept row is over the bound.
- ``semantic``: the cosine of embeddings with a pool row or a kept row is over its bound.
- ``root_full``: the row's root has as many kept rows as it may have.
- ``over_limit``: enough rows were kept before it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from refine_af.contracts.errors import DataError, nearest
from refine_af.contracts.jsonl import dump_line
from refine_af.contracts.records import Rejected
from refine_af.contracts.stage import Progress
from refine_af.dedup.bulk import Steps
from refine_af.dedup.candidates import BLOCK, Candidate, in_blocks, read_candidates
from refine_af.dedup.contamination import ContaminationGate
from refine_af.dedup.embeddings import Embeddings
from refine_af.dedup.index import RougeLIndex
from refine_af.dedup.memory import require_memory
from refine_af.dedup.params import FilterParams
from refine_af.dedup.semantic import Repeat, SemanticGate

STAGE = "dedup_filter"
REASONS = ("no_text", "contaminated", "similar", "semantic", "root_full", "over_limit")

_LONGEST_TEXT = 1_000_000
"""Limit of ``Rejected.text``; the row itself holds all of it."""

_EXCERPT = 400
"""Characters of a neighbour's text in a rejection."""


def filter_rows(
    candidates: Sequence[Path],
    pool: Path | None,
    kept: Path,
    rejected: Path,
    params: FilterParams,
    *,
    avoid: Sequence[tuple[str, str]] = (),
    embeddings: Path | None = None,
    progress: Progress | None = None,
    steps: Steps | None = None,
) -> dict[str, float]:
    """Write each candidate row to ``kept`` or, with the reason, to ``rejected``; return counts.

    Files are merged in the order given; the first arrival of two near-duplicates is kept. Kept
    rows hold the JSON value that came in. A rejected row holds the fields of
    :class:`refine_af.contracts.records.Rejected`, ``parents`` naming the row, and the row itself
    under ``row``. A row's id is its ``id`` or else a digest of it; ``detail`` names file and line
    of the neighbour, and its text. The files are read twice: to decide, and to write.

    Args:
        candidates: One or more JSON Lines files.
        pool: Rows to compare with, such as seeds. They are neither written nor dropped; those
            that repeat a text of ``avoid`` are reported and counted.
        kept: File to write.
        rejected: File to write.
        params: When a row is dropped.
        avoid: Names and texts of an evaluation: definitions and inputs.
        embeddings: Folder of the stage ``embed_texts`` over candidates and pool; without it the
            static vectors of :mod:`refine_af.dedup.static_vectors`, for which the files are read
            once more.
        progress: Receives rows done, and what a person should know.
        steps: Keeps what was compared across kills.

    Returns:
        ``rows``, ``kept``, one count per reason, ``tokenless`` (candidates that could not be
        compared because their script has no token), ``pool_rows`` and ``pool_contaminated``.

    Raises:
        DataError: For a line that is not a JSON object, a pool row without the field, when no
            candidate has the field, or when the rows do not fit into memory.
    """
    decisions = _Decisions(params, avoid, embeddings, progress)
    _decide(decisions, candidates, pool, params, steps)
    with (
        kept.open("w", encoding="utf-8", newline="\n") as kept_rows,
        rejected.open("w", encoding="utf-8", newline="\n") as rejected_rows,
    ):
        writer = _Writer(decisions, kept_rows, rejected_rows, params.max_rows)
        _write(writer, decisions, candidates, pool, params)
    return decisions.finish(candidates, writer)


def _decide(
    decisions: "_Decisions",
    candidates: Sequence[Path],
    pool: Path | None,
    params: FilterParams,
    steps: Steps | None,
) -> None:
    """Read all rows and decide on each candidate."""
    pools = [pool] if pool else []
    if params.max_cosine:
        every = read_candidates([*pools, *candidates], params.text_field)
        decisions.fit(row.text for row in every if row.text is not None)
    for block in in_blocks(read_candidates(pools, params.text_field)):
        decisions.add_pool(block)
    total = sum(map(_count_lines, candidates))
    for block in in_blocks(read_candidates(candidates, params.text_field)):
        decisions.judge(block, total)
    decisions.compare(steps)


def _write(
    writer: "_Writer",
    decisions: "_Decisions",
    candidates: Sequence[Path],
    pool: Path | None,
    params: FilterParams,
) -> None:
    """Read all rows again and write the candidates."""
    for row in read_candidates([pool] if pool else [], params.text_field, "pool"):
        writer.note(row)
    for number, row in enumerate(read_candidates(candidates, params.text_field), start=1):
        writer.write(row)
        if number % BLOCK == 0 or number == decisions.rows:
            decisions.report(number, decisions.rows, "rows written", kept=float(writer.kept))


def _count_lines(path: Path) -> int:
    with path.open("rb") as source:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: source.read(1 << 20), b""))


@dataclass(frozen=True, slots=True)
class _Drop:
    """Why a row is dropped; a neighbour is named by its row number or by its id."""

    reason: str
    row: int | None = None
    name: str | None = None
    score: float | None = None
    detail: str = ""


class _Decisions:
    """The decision on each row. Rows are numbered from 0: the pool's, then the candidates'.

    Attributes:
        drops: By number, the rows that are dropped.
        rows: Candidates.
    """

    def __init__(
        self,
        params: FilterParams,
        avoid: Sequence[tuple[str, str]],
        embeddings: Path | None,
        progress: Progress | None,
    ) -> None:
        self._params = params
        self._index = RougeLIndex(params.max_rouge_l, params.tokens)
        self._gate = ContaminationGate(avoid, params.max_rouge_l, tokens=params.tokens)
        self._embeddings = Embeddings(embeddings)
        self._semantic = SemanticGate(
            params.max_cosine, params.max_per_root, self._embeddings.dimensions
        )
        self._progress = progress
        self._fields: set[str] = set()
        self._leaked = 0
        self._waiting: list[int] = []
        self._weigh_at = BLOCK
        self.pool_rows = 0
        self.rows = 0
        self.drops: dict[int, _Drop] = {}

    def fit(self, texts: Iterable[str]) -> None:
        self._embeddings.fit(texts)

    def add_pool(self, block: list[Candidate]) -> None:
        rows = []
        for number, row in enumerate(block, start=self.pool_rows):
            if row.text is None:
                raise DataError(
                    f"{row.location}: a pool row needs text in the field"
                    f" {self._params.text_field!r}; its fields are {sorted(row.row)}"
                )
            rows.append((str(number), row.text))
        self._index.add_all(rows)
        if self._params.max_cosine:
            vectors = self._embeddings.of([row.id for row in block], [text for _, text in rows])
            self._semantic.add_pool([name for name, _ in rows], vectors)
        self.pool_rows += len(block)
        for row, leak in zip(block, self._leaks(block), strict=True):
            if leak is not None:
                self._leaked += 1
                self._say(f"pool row {row.id} is like {leak.name} of the evaluation: {leak.detail}")

    def judge(self, block: list[Candidate], total: int) -> None:
        """Decide rows, or put them into the index for :meth:`compare`."""
        first = self.pool_rows + self.rows
        self._fields.update(*(candidate.row for candidate in block))
        clean = []
        for number, (row, leak) in enumerate(zip(block, self._leaks(block), strict=True), first):
            if row.text is None:
                self.drops[number] = _Drop("no_text", detail="the field holds no text")
            elif leak is not None:
                self.drops[number] = leak
            else:
                clean.append((number, row, row.text))
        self.rows += len(block)
        if self._params.semantic:
            self._by_meaning(clean)
        else:
            self._index.add_all([(str(number), text) for number, _, text in clean])
            self._waiting += [number for number, _, _ in clean]
        self.report(self.rows, total, "rows read")
        if self.rows >= min(self._weigh_at, total):
            self._weigh_at = 2 * self.rows
            self._require_memory(total)

    def _require_memory(self, total: int) -> None:
        """Refuse ``total`` candidates like those that were read if memory would not do."""
        rows = self.pool_rows + total
        needed = self._index.bytes_to_compare(rows)
        if self._params.max_cosine:
            needed += (rows - self.pool_rows - self.rows) * self._embeddings.row_bytes
        require_memory(rows, needed)

    def compare(self, steps: Steps | None) -> None:
        """Decide the rows that are in the index."""

        def report(share: float, fresh: bool) -> None:
            done, unit = round(share * self.rows), "rows compared"
            if fresh:
                self.report(done, self.rows, unit)
            elif self._progress is not None:
                self._progress.resumed(done, unit)

        neighbours = self._index.decide(len(self._waiting), steps=steps, report=report)
        if self.rows:
            report(1.0, True)
        for number, near in zip(self._waiting, neighbours, strict=True):
            if near is not None:
                self.drops[number] = _Drop("similar", int(near.id), score=near.score)

    def finish(self, files: Sequence[Path], writer: "_Writer") -> dict[str, float]:
        """Return the counts."""
        field, present = self._params.text_field, sorted(self._fields)
        if self.rows and field not in self._fields:
            raise DataError(
                f"{files[0]}: no row has the field {field!r};{nearest(field, present)}"
                f" found: {', '.join(present[:20])}; name the field to compare"
            )
        tokenless = self._index.tokenless
        if tokenless:
            self._say(
                f"{tokenless} rows were not compared: tokens={self._params.tokens}"
                " finds no token in them; unicode_words and characters read any script"
            )
        counts: dict[str, float] = {"rows": self.rows, "kept": writer.kept}
        counts |= {reason: writer.dropped[reason] for reason in REASONS}
        counts |= {"tokenless": tokenless, "pool_rows": self.pool_rows}
        counts |= {"pool_contaminated": self._leaked}
        return {name: float(count) for name, count in counts.items()}

    def report(self, done: int, total: int, unit: str, **numbers: float) -> None:
        """Report progress."""
        if self._progress is not None:
            self._progress.step(done, max(total, done), unit, **numbers)

    def _say(self, message: str) -> None:
        if self._progress is not None:
            self._progress.say(message)

    def _by_meaning(self, clean: list[tuple[int, Candidate, str]]) -> None:
        """Judge wording and meaning together: what one of them drops must not join the other."""
        names = [str(number) for number, _, _ in clean]
        roots = [self._root(row) for _, row, _ in clean]
        texts = [text for _, _, text in clean]
        vectors = self._embeddings.of([row.id for _, row, _ in clean], texts)
        self._semantic.begin(names, roots, vectors)
        repeats: dict[int, Repeat] = {}

        def admit(position: int) -> bool:
            repeat = self._semantic.repeat(position)
            if repeat is None:
                self._semantic.accept(position)
            else:
                repeats[position] = repeat
            return repeat is None

        neighbours = self._index.offer_all(list(zip(names, texts, strict=True)), admit)
        self._semantic.end()
        for position, (number, _, _) in enumerate(clean):
            near, repeat = neighbours[position], repeats.get(position)
            if near is not None:
                self.drops[number] = _Drop("similar", int(near.id), score=near.score)
            elif repeat is not None:
                row = int(repeat.id) if repeat.id is not None else None
                detail = f"root {roots[position]}" if repeat.reason == "root_full" else ""
                self.drops[number] = _Drop(repeat.reason, row, score=repeat.score, detail=detail)

    def _root(self, row: Candidate) -> str:
        given = row.row.get(self._params.root_field)
        return given if isinstance(given, str) and given else row.id

    def _leaks(self, block: list[Candidate]) -> list[_Drop | None]:
        verdicts: list[_Drop | None] = [None] * len(block)
        if not len(self._gate):
            return verdicts
        asked = [(position, text) for position, row in enumerate(block) for text in _texts(row)]
        leaks = self._gate.leaks([text for _, text in asked])
        for (position, _), leak in zip(asked, leaks, strict=True):
            if leak is not None and verdicts[position] is None:
                verdicts[position] = _Drop(
                    "contaminated", name=leak.id, score=leak.score, detail=leak.detail
                )
        return verdicts


class _Writer:
    """Writes the rows in their order, and remembers those that later ones repeat."""

    def __init__(
        self, decisions: _Decisions, kept: TextIO, rejected: TextIO, max_rows: int
    ) -> None:
        self._drops = decisions.drops
        self._neighbours = {drop.row for drop in decisions.drops.values()}
        self._seen: dict[int | None, Candidate] = {}
        self._kept, self._rejected, self._max_rows = kept, rejected, max_rows
        self._number = 0
        self.kept = 0
        self.dropped: Counter[str] = Counter()

    def note(self, row: Candidate) -> None:
        """Count the next row, and remember it if a later one repeats it."""
        if self._number in self._neighbours:
            self._seen[self._number] = row
        self._number += 1

    def write(self, row: Candidate) -> None:
        """Write the next row to the kept or to the rejected rows."""
        drop = self._drops.get(self._number)
        self.note(row)
        if drop is None and 0 < self._max_rows <= self.kept:
            drop = _Drop("over_limit", detail=f"{self._max_rows} rows were kept")
        if drop is None:
            self._kept.write(dump_line(row.row))
            self.kept += 1
            return
        self.dropped[drop.reason] += 1
        line = self._rejection(row, drop).model_dump(mode="json") | {"row": row.row}
        self._rejected.write(dump_line(line))

    def _rejection(self, row: Candidate, drop: _Drop) -> Rejected:
        name, detail = drop.name, drop.detail
        if drop.row is not None:
            neighbour = self._seen[drop.row]
            name = neighbour.id
            detail = f"{neighbour.source}: {(neighbour.text or '')[:_EXCERPT]}"
        return Rejected.make(
            STAGE,
            drop.reason,
            (row.text or "")[:_LONGEST_TEXT],
            (row.id,),
            key=row.order,
            neighbour=name,
            score=drop.score,
            detail=detail,
        )


def _texts(candidate: Candidate) -> Iterator[str]:
    """Yield what could repeat an evaluation text: the text and the inputs of its instances."""
    if candidate.text is not None:
        yield candidate.text
    instances = candidate.row.get("instances")
    for pair in [candidate.row, *(instances if isinstance(instances, list) else [])]:
        text = pair.get("input") if isinstance(pair, dict) else None
        if isinstance(text, str) and text.strip() and text != candidate.text:
            yield text
