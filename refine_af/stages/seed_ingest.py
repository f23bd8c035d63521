"""Reads seed tasks from any URI, file format or Hub data set into checked seed rows."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from refine_af.calls.journalled import STEP, journalled
from refine_af.contracts.content import Content
from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import JsonObject, as_row, iter_objects, write_rows
from refine_af.contracts.params import Scalar, param, rule
from refine_af.contracts.records import NonEmptyText, Pair, Seed, content_id
from refine_af.contracts.schemas import (
    SCHEMAS,
    mapped,
    mended,
    nearest_map,
    parse_field_map,
    recognise,
)
from refine_af.contracts.stage import MODEL_CALLS, Artifact, Metrics, Resources, Stage, Task
from refine_af.engines.opening import open_engine
from refine_af.engines.params import EngineParams
from refine_af.self_instruct.instance_form import style_for
from refine_af.self_instruct.task_kinds import kinds_by_model
from refine_af.storage.manifest import digest_path
from refine_af.storage.sources import fetch_rows_file

Classification = Literal["rule", "yes", "no", "ask"]
DecidedBy = Literal["given", "rule", "declared", "asked"]
"""Who says whether a seed is classification: the row, a rule, the parameter, a model."""

LABEL_WORDS = 4
"""Most words of an answer that may be a label."""

LABEL_TASK = re.compile(
    r"\b(classif|categori[sz]|label|sentiment|which (category|class|of the)|true or false"
    r"|yes or no|positive or negative|options?:|decide (whether|if)|tell (whether|if))",
    re.IGNORECASE,
)
"""Words of tasks that choose among a few answers."""

SHOWN = 300
"""Characters of a row that a message shows."""


class SeedParams(EngineParams):
    """What to read, and the model that is asked for the kind of tasks, where one is."""

    seeds_uri: str = param(
        "builtin:seeds",
        "builtin:seeds, a path, gs://, s3://, https:// (JSON Lines, a JSON array, CSV, Parquet or"
        " plain lines, also .gz), or hf://data-set.",
        source="Self-Instruct, section 3: 175 human-written seed tasks",
        names="file",
        digest="seeds_digest",
    )
    seeds_digest: str = param("", "Expected sha256 of the file; empty accepts any.")
    field_map: str = param(
        "",
        "Our fields by those of the file, such as instruction=question,output=answer; empty: known"
        " schemas are recognised (Self-Instruct, Alpaca, Dolly, ShareGPT, messages, prompt and"
        " completion, plain lines).",
    )
    classification: Classification = param(
        "rule",
        "What tasks are that do not say whether they are classification: rule (short answers, and"
        " words such as classify or sentiment), yes, no, or ask: as the model says.",
    )
    licence: str = param("", "Licence of seeds that name none; builtin:seeds are Apache-2.0.")

    @property
    def asks(self) -> bool:
        """Return whether a model is asked; otherwise parameters of the engine decide nothing."""
        return self.classification == "ask"

    @rule("base_url")
    def endpoint_has_an_address(self) -> str:
        """An endpoint that is not asked needs none, whatever engine the run's other stages use."""
        return super().endpoint_has_an_address() if self.asks else ""

    def method_values(self) -> dict[str, Scalar]:
        """Return the values that can change rows; those of the engine where it is asked."""
        values = super().method_values()
        unread = () if self.asks else EngineParams.model_fields
        return {name: value for name, value in values.items() if name not in unread}

    def content(self) -> list[Content]:
        """Return what the values name; the model and its address where it is asked."""
        unread = () if self.asks else EngineParams.model_fields
        return [item for item in super().content() if item.parameter not in unread]


class SeedTask(BaseModel):
    """A seed in our fields, without its content-derived id."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: NonEmptyText | None = None
    name: str = ""
    instruction: NonEmptyText
    instances: tuple[Pair, ...]
    is_classification: bool | None = None
    licence: str = ""


@dataclass(slots=True)
class SeedCounts:
    """What a file held, as far as it was read.

    Attributes:
        seeds: Rows that are seeds.
        schemas: How many rows came in each schema.
        repeated: Rows without an id that repeat another one and were left out.
        decided: How many seeds' kind the row gave, a rule or the parameter decided, or a model.
        classification: Seeds that are classification.
        empty_input: Seeds whose first instance has no input.
        words: Words of all instructions.
    """

    seeds: int = 0
    schemas: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    decided: Counter[DecidedBy] = field(default_factory=Counter)
    classification: int = 0
    empty_input: int = 0
    words: int = 0

    def add(self, seed: Seed, schema: str, decided: DecidedBy) -> None:
        """Count a seed that came in ``schema``."""
        self.seeds += 1
        self.schemas[schema] += 1
        self.decided[decided] += 1
        self.classification += seed.is_classification
        self.empty_input += not any(pair.input for pair in seed.instances[:1])
        self.words += len(seed.instruction.split())

    def said(self, name: str) -> str:
        """Return in words what was read."""
        schemas = ", ".join(f"{count} as {schema}" for schema, count in self.schemas.items())
        text = f"{name}: {self.seeds} seeds, read {schemas}"
        return text + (f"; {self.repeated} repeated rows left out" if self.repeated else "")

    def kinds_said(self) -> str:
        """Return in words who decided which seeds are classification."""
        words = {"given": "given", "rule": "by rule", "declared": "declared", "asked": "asked"}
        parts = ", ".join(f"{count} {words[by]}" for by, count in self.decided.items())
        return f"kinds of tasks: {parts}; classification: {self.classification}"

    def metrics(self) -> Metrics:
        """Return the stage's numbers."""
        return {
            "seeds": self.seeds,
            "classification": self.classification,
            "empty_input": self.empty_input,
            "mean_instruction_words": self.words / self.seeds,
            "kinds_by_rule": self.decided["rule"],
            "kinds_declared": self.decided["declared"],
            "kinds_asked": self.decided["asked"],
        }


@dataclass(frozen=True, slots=True)
class Seeds:
    """All seeds of a file, in order, and what was counted."""

    rows: list[Seed]
    counts: SeedCounts


def run(params: SeedParams, task: Task) -> Metrics:
    """Write the checked seeds, in the order of the source; none is held."""
    path = fetch_rows_file(params.seeds_uri, task.scratch)
    digest = digest_path(path)
    if params.seeds_digest and digest != params.seeds_digest:
        raise DataError(
            f"{params.seeds_uri}: its sha256 is {digest}, expected {params.seeds_digest}; the file"
            " changed since it was checked: run check_inputs again"
        )
    fallback = params.licence or ("Apache-2.0" if params.seeds_uri == "builtin:seeds" else "")
    counts = SeedCounts()
    asking = _Asking(params, task)
    seeds = iter_seeds(
        path,
        params.seeds_uri,
        fallback or "unknown",
        counts,
        field_map=params.field_map,
        classification=params.classification,
        ask=asking.kinds,
    )
    write_rows(task.outputs["seeds"], seeds)
    asking.finish(task.outputs["calls"])
    task.progress.say(f"{counts.said(params.seeds_uri)}; {counts.kinds_said()}")
    return counts.metrics()


class _Asking:
    """Asks the model which seeds are classification; it opens at the first question."""

    def __init__(self, params: SeedParams, task: Task) -> None:
        self._params, self._task = params, task
        self._engine = journalled(params, task, open_engine, unit="")
        self._asked = 0

    def kinds(self, seeds: Sequence[Seed]) -> list[bool]:
        """Return for each seed whether the model takes it for classification."""
        params = self._params
        kinds = kinds_by_model(
            {seed.id: seed.instruction for seed in seeds},
            style_for("auto", params.model, chat=params.asks_by_chat),
            self._engine,
            params.seed,
            by_likelihood=params.holds_to_choices and self._task.engine is None,
        )
        self._asked += len(seeds)
        self._task.progress.say(f"{self._asked} seeds asked about")
        return [kinds[seed.id] for seed in seeds]

    def finish(self, calls: Path) -> None:
        """Free the model and write its calls; there are none where nothing was asked."""
        if self._asked:
            self._engine.finish()
        write_rows(calls, self._engine.calls(lambda request: (request,)))


def read_seeds(path: Path, name: str, licence: str, *, field_map: str = "") -> Seeds:
    """Return what :func:`iter_seeds` yields, all of it in memory; missing kinds by rule."""
    counts = SeedCounts()
    return Seeds(list(iter_seeds(path, name, licence, counts, field_map=field_map)), counts)


def iter_seeds(
    path: Path,
    name: str,
    licence: str,
    counts: SeedCounts,
    *,
    field_map: str = "",
    classification: Classification = "rule",
    ask: Callable[[Sequence[Seed]], Sequence[bool]] | None = None,
) -> Iterator[Seed]:
    """Yield the seeds of a file in any known schema.

    Args:
        path: Rows as :func:`refine_af.contracts.jsonl.iter_objects` reads them.
        name: What to call the source in messages.
        licence: Licence of rows that name none.
        counts: Counts what is yielded.
        field_map: Our fields by theirs, see :func:`refine_af.contracts.schemas.parse_field_map`.
        classification: What rows that do not say whether they are classification are.
        ask: For ``ask``: tells of at most :data:`STEP` seeds which are classification.

    Raises:
        ParameterError: For a field map that cannot be read.
        DataError: With line and field, for a row of no known schema, an id or a task that comes
            twice, or no row.
    """
    rows = _different(path, name, licence, counts, parse_field_map(field_map))
    while block := list(islice(rows, STEP)):
        unknown = [row.seed for row in block if not row.says_kind]
        kinds = iter(_kinds(unknown, classification, ask) if unknown else ())
        for row in block:
            if row.says_kind:
                counts.add(row.seed, row.schema, "given")
                yield row.seed
            else:
                seed = row.seed.model_copy(update={"is_classification": next(kinds)})
                counts.add(seed, row.schema, DECIDED_BY[classification])
                yield seed
    if not counts.seeds:
        raise DataError(f"{name}: no seed in it; one row a task is needed")


DECIDED_BY: dict[Classification, DecidedBy] = {
    "rule": "rule",
    "yes": "declared",
    "no": "declared",
    "ask": "asked",
}


def _kinds(
    seeds: Sequence[Seed],
    classification: Classification,
    ask: Callable[[Sequence[Seed]], Sequence[bool]] | None,
) -> Sequence[bool]:
    if classification == "ask":
        assert ask is not None  # noqa: S101  whoever passes "ask" passes what to ask
        return ask(seeds)
    if classification == "rule":
        return [looks_like_labels(seed) for seed in seeds]
    return [classification == "yes"] * len(seeds)


@dataclass(frozen=True, slots=True)
class _ReadSeed:
    """A seed as it was read; its kind is false as long as the row does not say it."""

    seed: Seed
    schema: str
    says_kind: bool


def _different(
    path: Path, name: str, licence: str, counts: SeedCounts, fields: Mapping[str, str]
) -> Iterator[_ReadSeed]:
    """Yield each seed once; a repeated row is counted, a repeated id refused."""
    first_line: dict[str, int] = {}
    same_task: dict[str, int] = {}
    for number, value in iter_objects(path):
        location = f"{name}:{number}"
        schema, row = _seed_task(value, location, fields)
        if row.id is not None and row.id in first_line:
            raise DataError(
                f"{location}: field 'id': {row.id!r} is also on line {first_line[row.id]};"
                " give every seed its own id"
            )
        seed = _seed(row, licence)
        if (twin := same_task.setdefault(seed.id, number)) != number:
            if row.id is None:
                counts.repeated += 1
                continue
            raise DataError(
                f"{location}: it is the task of line {twin} once more; drop one of them"
            )
        first_line[seed.seed_id] = number
        yield _ReadSeed(seed, schema, row.is_classification is not None)


def _seed(row: SeedTask, licence: str) -> Seed:
    pairs = [[pair.input, pair.output] for pair in row.instances]
    own = row.id or content_id("task", row.instruction, pairs)
    kind = bool(row.is_classification)
    return Seed.make(own, row.name, row.instruction, row.instances, kind, row.licence or licence)


def looks_like_labels(seed: Seed) -> bool:
    """Tell whether a task asks to choose among a few answers: by its words and short outputs."""
    short = all(len(pair.output.split()) <= LABEL_WORDS for pair in seed.instances)
    return bool(seed.instances) and short and LABEL_TASK.search(seed.instruction) is not None


def _seed_task(value: JsonObject, location: str, fields: Mapping[str, str]) -> tuple[str, SeedTask]:
    """Return the row's schema and the row.

    Raises:
        DataError: With the row, the schemas and the nearest field map.
    """
    if fields:
        row, schema = mapped(value, fields), "mapped fields"
    else:
        recognised = recognise(value)
        row, schema = (recognised.row, recognised.schema) if recognised else (None, "")
    if row is None:
        raise DataError(_no_schema(value, location, fields))
    if "instances" not in row:
        given, output = row.get("input"), row.get("output")
        plain = output is None and schema == "plain instructions"
        row = row | {"instances": [] if plain else [{"input": given, "output": output}]}
    elif not row["instances"]:
        raise DataError(f"{location}: field 'instances': it is empty; give at least one instance")
    seed = as_row(mended(row), SeedTask, location)
    if not seed.instruction.strip():
        raise DataError(f"{location}: field 'instruction': it is blank; write the task")
    return schema, seed


def _no_schema(value: JsonObject, location: str, fields: Mapping[str, str]) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
    nearest = nearest_map(value)
    if fields:
        theirs = fields.get("instruction", "instruction")
        advice = f"it has no field {theirs!r}, which field_map gives as the instruction"
    else:
        advice = f"its fields match no known schema ({', '.join(SCHEMAS)})"
    hint = f"; perhaps field_map={nearest}" if nearest else "; name its fields by field_map"
    return f"{location}: {advice}{hint}. The row: {shown}"


STAGE = Stage(
    name="seed_ingest",
    summary="Read seed tasks from anywhere and check every one.",
    params=SeedParams,
    run=run,
    inputs=(),
    outputs=(
        Artifact(
            "seeds",
            "rows",
            "Checked seed tasks with content-derived ids.",
            record=Seed,
            shown=True,
        ),
        replace(MODEL_CALLS, optional=True),  # none where no model is asked
    ),
    image="core",
    resources=Resources(cpu="1", memory="2Gi"),
    source="Self-Instruct (arXiv 2212.10560), section 3.1; REFINE-AF, stage 1.",
)
