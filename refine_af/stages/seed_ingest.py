"""Seeds in: any URI, Parquet or Hub data set becomes checked seed rows."""

from pathlib import Path

from pydantic import ConfigDict

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import JsonObject, as_row, iter_objects, write_rows
from refine_af.contracts.params import Params, param
from refine_af.contracts.records import NonEmptyText, Pair, Row, Seed
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.storage.manifest import digest_path
from refine_af.storage.sources import fetch_rows_file


class SeedParams(Params):
    """What to read."""

    seeds_uri: str = param(
        "builtin:seeds",
        "builtin:seeds, a path, gs://, s3://, https:// (JSON Lines or Parquet), or hf://data-set.",
        source="Self-Instruct, section 3: 175 human-written seed tasks",
        names="file",
        digest="seeds_digest",
    )
    seeds_digest: str = param("", "Expected sha256 of the file; empty accepts any.")
    licence: str = param("", "Licence of seeds that name none; builtin:seeds are Apache-2.0.")


class SeedTask(Row):
    """A line of a seed file, in the Self-Instruct schema; other keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: NonEmptyText
    name: str = ""
    instruction: NonEmptyText
    instances: tuple[Pair, ...]
    is_classification: bool
    licence: str = ""


def run(params: SeedParams, task: Task) -> Metrics:
    """Write the checked seeds, in the order of the source."""
    path = fetch_rows_file(params.seeds_uri, task.scratch)
    found = digest_path(path)
    if params.seeds_digest and found != params.seeds_digest:
        raise DataError(
            f"{params.seeds_uri}: its sha256 is {found}, expected {params.seeds_digest}; the file"
            " changed since it was checked: run check_inputs again"
        )
    fallback = params.licence or ("Apache-2.0" if params.seeds_uri == "builtin:seeds" else "")
    seeds = read_seeds(path, params.seeds_uri, fallback or "unknown")
    write_rows(task.outputs["seeds"], seeds)
    return _counts(seeds)


def read_seeds(path: Path, name: str, licence: str) -> list[Seed]:
    """Return the seeds of a file in the Self-Instruct schema.

    Args:
        path: JSON Lines, one object ``{id, name, instruction, instances, is_classification}``.
        name: What to call the source in messages.
        licence: Licence of rows that name none.

    Raises:
        DataError: With line and field, for a row of another shape, an id or a task that comes
            twice, or no row.
    """
    seeds: list[Seed] = []
    first_line: dict[str, int] = {}
    same_task: dict[str, int] = {}
    for number, value in iter_objects(path):
        place = f"{name}:{number}"
        row = _seed_task(value, place)
        if row.id in first_line:
            raise DataError(
                f"{place}: field 'id': {row.id!r} is also on line {first_line[row.id]};"
                " give every seed its own id"
            )
        first_line[row.id] = number
        seed = Seed.make(
            row.id,
            row.name,
            row.instruction,
            row.instances,
            row.is_classification,
            row.licence or licence,
        )
        if (twin := same_task.setdefault(seed.id, number)) != number:
            raise DataError(f"{place}: it is the task of line {twin} once more; drop one of them")
        seeds.append(seed)
    if not seeds:
        raise DataError(f"{name}: no seed in it; one JSON object a line is needed")
    return seeds


def _seed_task(value: JsonObject, place: str) -> SeedTask:
    row = as_row(value, SeedTask, place)
    if not row.instruction.strip():
        raise DataError(f"{place}: field 'instruction': it is blank; write the task")
    if not row.instances:
        raise DataError(f"{place}: field 'instances': it is empty; give at least one instance")
    return row


def _counts(seeds: list[Seed]) -> Metrics:
    words = [len(seed.instruction.split()) for seed in seeds]
    return {
        "seeds": len(seeds),
        "classification": sum(seed.is_classification for seed in seeds),
        "empty_input": sum(not seed.instances[0].input for seed in seeds),
        "mean_instruction_words": sum(words) / len(words),
    }


STAGE = Stage(
    name="seed_ingest",
    summary="Read seed tasks from anywhere and check every one.",
    params=SeedParams,
    run=run,
    inputs=(),
    outputs=(
        Artifact("seeds", "rows", "Checked seed tasks with content-derived ids.", record=Seed),
    ),
    image="core",
    resources=Resources(cpu="1", memory="2Gi"),
    source="Self-Instruct (arXiv 2212.10560), section 3.1; REFINE-AF, stage 1.",
)
