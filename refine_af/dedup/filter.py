"""The filter over files of JSON Lines, anyone's: rows in, rows kept unchanged, rows rejected."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from refine_af.contracts.errors import DataError, nearest
from refine_af.contracts.jsonl import dump_line
from refine_af.contracts.records import Rejected
from refine_af.contracts.stage import Progress
from refine_af.dedup.candidates import Candidate, in_blocks, read_candidates
from refine_af.dedup.contamination import ContaminationGate
from refine_af.dedup.embeddings import Embeddings
from refine_af.dedup.index import RougeLIndex
from refine_af.dedup.params import FilterParams
from refine_af.dedup.semantic import Repeat, SemanticGate

STAGE = "dedup_filter"
REASONS = ("no_text", "contaminated", "similar", "semantic", "root_full", "over_limit")

_LONGEST_TEXT = 1_000_000
"""Limit of ``Rejected.text``; the row itself holds all of it."""


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
) -> dict[str, float]:
    """Write each candidate row to ``kept`` or, with the reason, to ``rejected``; return counts.

    Files are merged in the order given; the first arrival of two near-duplicates is kept. Kept
    rows hold the JSON value that came in. A rejected row holds the fields of
    :class:`refine_af.contracts.records.Rejected`, ``parents`` naming the row, and the row itself
    under ``row``. A row's id is its ``id`` or else a digest of it. Memory: the pool and kept
    texts, the texts to avoid, and 1,024 rows.

    Reasons, in the order tried:

    - ``no_text``: the text field is absent, not a string, or blank.
    - ``contaminated``: the text, ``input`` or ``instances[].input`` repeats a text of ``avoid``;
      ``neighbour`` is the name of that text and ``detail`` its beginning.
    - ``similar``: ROUGE-L F1 with a pool row or a kept row is over the bound.
    - ``semantic``: the cosine of embeddings with a pool row or a kept row is over its bound.
    - ``root_full``: its root has as many kept rows as it may.
    - ``over_limit``: enough rows were kept before it.

    Args:
        candidates: One or more JSON Lines files.
        pool: Rows that are compared with and written nowhere (seeds). They are never dropped;
            those that repeat a text of ``avoid`` are reported and counted.
        kept: File to write.
        rejected: File to write.
        params: When a row is dropped.
        avoid: Names and texts of an evaluation: definitions and inputs.
        embeddings: Folder of the stage ``embed_texts`` over candidates and pool; without it the
            static vectors of :mod:`refine_af.dedup.static_vectors`, for which the files are read
            once more.
        progress: Told about rows done, and of what a person should know.

    Returns:
        ``rows``, ``kept``, one count per reason, ``tokenless`` (candidates that could not be
        compared because their script has no token), ``pool_rows`` and ``pool_contaminated``.

    Raises:
        DataError: For a line that is not a JSON object, a pool row without the field, or when no
            candidate has the field.
    """
    run = _Filter(params, avoid, embeddings, progress)
    if params.max_cosine:
        every = read_candidates([*([pool] if pool else []), *candidates], params.text_field)
        run.fit(row.text for row in every if row.text is not None)
    for block in in_blocks(read_candidates([pool] if pool else [], params.text_field)):
        run.add_pool(block)
    total = sum(map(_count_lines, candidates))
    with (
        kept.open("w", encoding="utf-8", newline="\n") as kept_rows,
        rejected.open("w", encoding="utf-8", newline="\n") as rejected_rows,
    ):
        for block in in_blocks(read_candidates(candidates, params.text_field)):
            run.judge(block, kept_rows, rejected_rows)
            run.report(total)
    return run.finish(candidates)


def _count_lines(path: Path) -> int:
    with path.open("rb") as source:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: source.read(1 << 20), b""))


class _Filter:
    """One run of :func:`filter_rows`."""

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
        names = ("rows", "kept", *REASONS, "tokenless", "pool_rows", "pool_contaminated")
        self._counts = dict.fromkeys(names, 0.0)

    def fit(self, texts: Iterable[str]) -> None:
        self._embeddings.fit(texts)

    def add_pool(self, block: list[Candidate]) -> None:
        rows = []
        for row in block:
            if row.text is None:
                raise DataError(
                    f"{row.place}: a pool row needs text in the field"
                    f" {self._params.text_field!r}, found the fields {sorted(row.row)}"
                )
            rows.append((row.id, row.text))
        self._index.add_all(rows)
        if self._params.max_cosine:
            ids = [name for name, _ in rows]
            self._semantic.add_pool(ids, self._embeddings.of(ids, [text for _, text in rows]))
        self._counts["pool_rows"] += len(block)
        for leak in self._leaks(block):
            if leak is not None:
                self._counts["pool_contaminated"] += 1
                self._say(
                    f"pool row {leak.parents[0]} is like {leak.neighbour} of the evaluation:"
                    f" {leak.detail}"
                )

    def judge(self, block: list[Candidate], kept: TextIO, rejected: TextIO) -> None:
        self._fields.update(*(candidate.row for candidate in block))
        for candidate, verdict in zip(block, self._verdicts(block), strict=True):
            self._counts["rows"] += 1
            limit = self._params.max_rows
            if verdict is None and 0 < limit <= self._counts["kept"]:
                verdict = _reject(candidate, "over_limit", detail=f"{limit} rows were kept")
            if verdict is None:
                kept.write(dump_line(candidate.row))
                self._counts["kept"] += 1
            else:
                line = verdict.model_dump(mode="json") | {"row": candidate.row}
                rejected.write(dump_line(line))
                self._counts[verdict.reason] += 1

    def report(self, total: int) -> None:
        if self._progress is not None:
            done = int(self._counts["rows"])
            self._progress.step(done, max(total, done), "rows", kept=self._counts["kept"])

    def finish(self, files: Sequence[Path]) -> dict[str, float]:
        field, found = self._params.text_field, sorted(self._fields)
        if self._counts["rows"] and field not in self._fields:
            raise DataError(
                f"{files[0]}: no row has the field {field!r};{nearest(field, found)}"
                f" found: {', '.join(found[:20])}; name the field to compare"
            )
        self._counts["tokenless"] = float(self._index.tokenless)
        if self._index.tokenless:
            self._say(
                f"{self._index.tokenless} rows were not compared: tokens={self._params.tokens}"
                " finds no token in them; unicode_words and characters read any script"
            )
        return self._counts

    def _say(self, message: str) -> None:
        if self._progress is not None:
            self._progress.say(message)

    def _verdicts(self, block: list[Candidate]) -> list[Rejected | None]:
        """Return the rejection of each row, or None; rows that stay join the index."""
        verdicts = self._leaks(block)
        clean: list[tuple[int, str]] = []
        for place, row in enumerate(block):
            if row.text is None:
                verdicts[place] = _reject(row, "no_text", detail="the field holds no text")
            elif verdicts[place] is None:
                clean.append((place, row.text))
        if self._params.semantic:
            self._by_meaning(block, clean, verdicts)
            return verdicts
        neighbours = self._index.offer_all([(block[place].id, text) for place, text in clean])
        for (place, _), near in zip(clean, neighbours, strict=True):
            if near is not None:
                verdicts[place] = _reject(block[place], "similar", near.id, near.score)
        return verdicts

    def _by_meaning(
        self,
        block: list[Candidate],
        clean: list[tuple[int, str]],
        verdicts: list[Rejected | None],
    ) -> None:
        """Judge wording and meaning together: what one of them drops must not join the other."""
        ids = [block[place].id for place, _ in clean]
        roots = [self._root(block[place]) for place, _ in clean]
        vectors = self._embeddings.of(ids, [text for _, text in clean])
        self._semantic.begin(ids, roots, vectors)
        again: dict[int, Repeat] = {}

        def admit(number: int) -> bool:
            found = self._semantic.repeat(number)
            if found is None:
                self._semantic.accept(number)
            else:
                again[number] = found
            return found is None

        rows = list(zip(ids, [text for _, text in clean], strict=True))
        neighbours = self._index.offer_all(rows, admit)
        self._semantic.end()
        for number, (place, _) in enumerate(clean):
            near, repeat = neighbours[number], again.get(number)
            if near is not None:
                verdicts[place] = _reject(block[place], "similar", near.id, near.score)
            elif repeat is not None:
                detail = f"root {roots[number]}" if repeat.reason == "root_full" else ""
                verdicts[place] = _reject(
                    block[place], repeat.reason, repeat.id, repeat.score, detail
                )

    def _root(self, row: Candidate) -> str:
        given = row.row.get(self._params.root_field)
        return given if isinstance(given, str) and given else row.id

    def _leaks(self, block: list[Candidate]) -> list[Rejected | None]:
        verdicts: list[Rejected | None] = [None] * len(block)
        if not len(self._gate):
            return verdicts
        asked = [(place, text) for place, row in enumerate(block) for text in _texts(row)]
        leaks = self._gate.leaks([text for _, text in asked])
        for (place, _), leak in zip(asked, leaks, strict=True):
            if leak is not None and verdicts[place] is None:
                verdicts[place] = _reject(
                    block[place], "contaminated", leak.id, leak.score, leak.detail
                )
        return verdicts


def _texts(candidate: Candidate) -> Iterator[str]:
    """Yield what could repeat an evaluation text: the text and the inputs of its instances."""
    if candidate.text is not None:
        yield candidate.text
    instances = candidate.row.get("instances")
    for pair in [candidate.row, *(instances if isinstance(instances, list) else [])]:
        text = pair.get("input") if isinstance(pair, dict) else None
        if isinstance(text, str) and text.strip() and text != candidate.text:
            yield text


def _reject(
    candidate: Candidate,
    reason: str,
    neighbour: str | None = None,
    score: float | None = None,
    detail: str = "",
) -> Rejected:
    return Rejected.make(
        STAGE,
        reason,
        (candidate.text or "")[:_LONGEST_TEXT],
        (candidate.id,),
        place=candidate.order,
        neighbour=neighbour,
        score=score,
        detail=detail,
    )
