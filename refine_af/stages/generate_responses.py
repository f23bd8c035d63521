"""Asks any engine for one answer per instruction; some roots are held out of all training."""

from typing import Literal

from refine_af.calls.journalled import journalled
from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import JsonObject, iter_objects, write_object, write_rows
from refine_af.contracts.params import param, rule
from refine_af.contracts.randomness import derive, uniform
from refine_af.contracts.readable import readable
from refine_af.contracts.records import Instance, Rejected
from refine_af.contracts.stage import MODEL_CALLS, Artifact, Metrics, Resources, Stage, Task
from refine_af.engines.opening import open_engine
from refine_af.engines.params import EngineParams
from refine_af.engines.text import Completion, Request, Sampling
from refine_af.evolve.operators import Style
from refine_af.evolve.response_form import STOPS

Side = Literal["instances", "held_out", "reference_rows"]
SIDES: tuple[Side, ...] = ("instances", "held_out", "reference_rows")


class ResponsesParams(EngineParams):
    """How the model is asked."""

    style: Style = param(
        "instruct",
        "instruct: the answer alone is wanted; plain: as builtin:tiny was trained, which also"
        " writes the input where the instruction has none.",
    )
    samples: int = param(1, "Answers per instruction.", ge=1, le=64)
    temperature: float = param(0.7, "0 is greedy.", ge=0.0)
    top_p: float = param(0.95, "Nucleus mass.", gt=0.0, le=1.0)
    max_tokens: int = param(1024, "Most new tokens.", ge=4)
    limit: int = param(0, "First N instructions; 0 takes all.", ge=0, counts_rows=True)
    held_out_share: float = param(
        0.0, "Share of the roots whose answers go to held_out, never to training.", ge=0.0, lt=1.0
    )
    reference_share: float = param(
        0.0,
        "Share of the roots whose answers train nothing but a reference model for audit_privacy; 0:"
        " no such attack.",
        ge=0.0,
        lt=1.0,
    )

    @property
    def requested(self) -> Sampling:
        """Return the sampling of a request."""
        return Sampling(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            stop=STOPS[self.style],
        )

    @rule("samples")
    def samples_differ(self) -> str:
        """Greedy answers to one prompt are all the same."""
        if self.samples > 1 and self.temperature == 0:
            return "at temperature 0 all are the same: set temperature above 0, or samples to 1"
        return ""

    @rule("held_out_share")
    def some_rows_train(self) -> str:
        """The shares that are set apart leave rows to train on."""
        if self.held_out_share + self.reference_share >= 1:
            return (
                f"with reference_share {self.reference_share} no row is left to train on; together"
                " they must stay below 1"
            )
        return ""


def run(params: ResponsesParams, task: Task) -> Metrics:
    """Ask once per instruction and sample; drop answers by WizardLM's rules."""
    rows = [
        _row(value, number, task) for number, value in iter_objects(task.inputs["instructions"])
    ]
    rows = rows[: params.limit] if params.limit else rows
    asked = [(row, sample) for row in rows for sample in range(params.samples)]
    requests = [
        Request(
            f"{row['id']}/{sample}",
            _prompt(params, row),
            derive(params.seed, "response", row["id"], sample),
        )
        for row, sample in asked
    ]
    engine = journalled(params, task, open_engine)
    answers = engine.generate(requests, params.requested)
    engine.finish()
    shown = {request.id: (row["id"],) for request, (row, _) in zip(requests, asked, strict=True)}
    write_rows(task.outputs["calls"], engine.calls(shown.get))
    _write_ledger(answers, task)
    return {"instructions": len(rows)} | _read_and_write(params, asked, answers, task)


def _write_ledger(answers: list[Completion], task: Task) -> None:
    from refine_af.evolve.ledger import Ledger

    ledger = Ledger()
    ledger.add("responder", "respond", answers)
    write_object(task.outputs["ledger"], ledger.dump())


def _read_and_write(
    params: ResponsesParams,
    asked: list[tuple[JsonObject, int]],
    answers: list[Completion],
    task: Task,
) -> Metrics:
    """Write the rows of each side and the dropped ones; return how many they are."""
    kept: dict[Side, list[Instance]] = {side: [] for side in SIDES}
    dropped: list[Rejected] = []
    for (row, sample), answer in zip(asked, answers, strict=True):
        row_or_rejection = _read(params, row, sample, answer)
        if isinstance(row_or_rejection, Rejected):
            dropped.append(row_or_rejection)
        else:
            kept[_side(params, row)].append(row_or_rejection)
    for side, rows in kept.items():
        write_rows(task.outputs[side], rows)
    write_rows(task.outputs["rejected"], dropped)
    counts: Metrics = {side: len(rows) for side, rows in kept.items()}
    if not counts["instances"]:
        apart = ", ".join(f"{number} as {side}" for side, number in counts.items() if number)
        raise DataError(
            f"no answer is left to train on: {len(asked)} asked, {len(dropped)} dropped"
            f"{f', set apart {apart}' if apart else ''}; ask about more instructions (limit, or"
            " run --limit), or set apart less (held_out_share, reference_share)"
        )
    return {"rejected": len(dropped)} | counts


def _row(value: JsonObject, number: int, task: Task) -> JsonObject:
    for name in ("id", "instruction"):
        if not isinstance(value.get(name), str) or not value[name]:
            location = f"{task.inputs['instructions']}:{number}"
            raise DataError(f"{location}: field {name!r} must be a string that is not empty")
    return value


def _side(params: ResponsesParams, row: JsonObject) -> Side:
    """Return where a row goes, by its root: all relatives of a row are on its side."""
    root = str(row.get("root") or row["id"])
    above = uniform(params.seed, "held-out-root", root) - params.held_out_share
    if above < 0:
        return "held_out"
    return "reference_rows" if above < params.reference_share else "instances"


def _prompt(params: ResponsesParams, row: JsonObject) -> str:
    from refine_af.evolve.response_form import response_prompt

    return response_prompt(params.style, row["instruction"], str(row.get("input") or ""))


def _read(
    params: ResponsesParams, row: JsonObject, sample: int, answer: Completion
) -> Instance | Rejected:
    from refine_af.evolve.rules import broken_answer, says_something
    from refine_af.self_instruct.parse_instances import parse_plain

    given, output = str(row.get("input") or ""), answer.text.strip()
    broken = broken_answer(answer)
    reason = broken.reason if broken else ""
    if not reason and params.style == "plain" and not given:
        pair = parse_plain(answer.text)
        reason = pair.reason or "" if pair else "unparseable"
        given, output = (pair.input, pair.output) if pair else (given, output)
    # a single word may be the label of a classification: yes, no, he
    if not reason and not says_something(output) and not output.strip(" .!").isalpha():
        reason = "only_stop_words"
    if reason:
        return Rejected.make(
            "generate_responses",
            reason,
            readable(answer.text),
            (row["id"],),
            key=str(sample),
            detail=readable(broken.detail) if broken else "",
            request=answer.id,
        )
    return Instance.make(
        row["id"], row["instruction"], given, output, is_classification=False, sample=sample
    )


STAGE = Stage(
    name="generate_responses",
    summary="Answer every instruction once; drop refusals and empty words, hold some roots out.",
    params=ResponsesParams,
    run=run,
    inputs=(
        Artifact("instructions", "rows", "Rows with id, instruction and perhaps input and root."),
        Artifact("adapter", "model", "What a training wrote, if anything.", optional=True),
    ),
    outputs=(
        Artifact(
            "instances", "rows", "Instruction-input-output rows to train on.", record=Instance
        ),
        Artifact(
            "held_out",
            "rows",
            "The same of held-out roots: members of no training.",
            record=Instance,
        ),
        Artifact(
            "reference_rows",
            "rows",
            "The same of roots that train the reference model.",
            record=Instance,
        ),
        Artifact("rejected", "rows", "Dropped answers with the rule.", record=Rejected, shown=True),
        MODEL_CALLS,
        Artifact("ledger", "json", "Calls and tokens per role and phase.", shown=True),
    ),
    image="vllm",
    resources=Resources(cpu="4", memory="16Gi", gpu=True),
    source="TeaMs-RL (arXiv 2403.08694): one answer per instruction; WizardLM's rules on answers.",
)
