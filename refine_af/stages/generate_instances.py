"""Input-output pairs for instructions, by the start model or the PPO-trained one."""

from pathlib import Path
from typing import TYPE_CHECKING

from refine_af.calls.failures import check_parsed
from refine_af.calls.journalled import journalled
from refine_af.contracts.jsonl import read_rows, write_rows
from refine_af.contracts.randomness import derive, replicate_seed
from refine_af.contracts.records import Instance, Instruction, Rejected
from refine_af.contracts.stage import MODEL_CALLS, Artifact, Metrics, Resources, Stage, Task
from refine_af.engines.opening import open_engine
from refine_af.engines.text import Completion, Request
from refine_af.self_instruct.params import InstancesParams
from refine_af.self_instruct.task_kinds import layouts
from refine_af.storage.sources import fetch_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from refine_af.dedup.contamination import Leak
    from refine_af.self_instruct.drafts import Draft
    from refine_af.self_instruct.prompts import Layout


UNREAD = ("unparseable", "unreadable", "engine_error")
"""Reasons of answers without the requested form."""

Owner = tuple[Instruction, int]
"""The instruction of a request and the number of its sample."""

MUCH_CLASSIFICATION = 0.6
"""Share of classification tasks above which a warning is given: about a third of Self-Instruct's
seeds are such, and a small model that says yes to everything spoils the rest."""


def run(params: InstancesParams, task: Task) -> Metrics:
    """Ask for the kind of task, write, parse and filter."""
    rows = read_rows(task.inputs["instructions"], Instruction)
    rows = rows[: params.limit] if params.limit else rows
    form = params.instance_form
    engine = journalled(params, task, open_engine)
    # nor need an engine of the caller's hold to choices
    likelier = params.holds_to_choices and task.engine is None
    asked = layouts(rows, params.split, form.style, engine, params.seed, by_likelihood=likelier)
    engine.end_phase()
    _say_much_classification(asked, task)
    owners, requests = instance_requests(params, rows, asked)
    answers = engine.generate(requests, params.requested)
    engine.finish()
    shown = {request.id: (row.id,) for request, (row, _) in zip(requests, owners, strict=True)}
    write_rows(task.outputs["calls"], engine.calls(shown.get))
    return _parse_and_write(params, owners, answers, asked, task)


def instance_requests(
    params: InstancesParams, rows: "Sequence[Instruction]", asked: "Mapping[str, Layout]"
) -> tuple[list[Owner], list[Request]]:
    """Return the requests for ``rows`` in order, and the instruction and sample of each."""
    owners = [(row, sample) for row in rows for sample in range(params.samples)]
    form = params.instance_form
    return owners, [
        Request(
            f"{row.id}/{sample}",
            form.prompt(row.instruction, asked[row.id]),
            _seed(params, row, sample),
        )
        for row, sample in owners
    ]


def _say_much_classification(asked: "Mapping[str, Layout]", task: Task) -> None:
    share = sum(layout == "output_first" for layout in asked.values()) / max(len(asked), 1)
    if share > MUCH_CLASSIFICATION:
        task.progress.say(
            f"{share:.0%} of the instructions are taken for classification, so their outputs are"
            " written first; where that is wrong, set split=none"
        )


def _seed(params: InstancesParams, row: Instruction, sample: int) -> int:
    return derive(replicate_seed(params.seed, params.replicate), "instance", row.id, sample)


def _parse_and_write(
    params: InstancesParams,
    owners: "Sequence[Owner]",
    answers: "Sequence[Completion]",
    asked: "Mapping[str, Layout]",
    task: Task,
) -> Metrics:
    kept: list[Instance] = []
    rejected: list[Rejected] = []
    parsed = [
        read_answer(params, answer, asked[row.id])
        for (row, _), answer in zip(owners, answers, strict=True)
    ]
    unread = [
        answer.text
        for answer, drafts in zip(answers, parsed, strict=True)
        if all(draft.reason in UNREAD for draft in drafts)
    ]
    check_parsed(len(answers) - len(unread), len(answers), "".join(unread[:1]))
    decided = decide_drafts(params, owners, parsed, task.scratch)
    for (row, sample), drafts in zip(owners, decided, strict=True):
        for position, (draft, leak) in enumerate(drafts):
            if draft.reason is None:
                kept.append(_instance(row, draft, asked[row.id] == "output_first", sample))
            else:
                rejected.append(_rejected(row, draft, sample, position, leak))
    write_rows(task.outputs["instances"], kept)
    write_rows(task.outputs["rejected"], rejected)
    answered = {row.parents[0] for row in kept}
    return {
        "instructions": len({row.id for row, _ in owners}),
        "answered": len(answered),
        "instances": len(kept),
        "rejected": len(rejected),
        "parseable": len({(row.parents[0], row.sample) for row in kept}) / max(len(owners), 1),
        "classification": sum(layout == "output_first" for layout in asked.values()),
        "contaminated": sum(row.reason == "contaminated" for row in rejected),
    }


def decide_drafts(
    params: InstancesParams,
    owners: "Sequence[Owner]",
    parsed: "Sequence[Sequence[Draft]]",
    scratch: Path,
) -> "list[list[tuple[Draft, Leak | None]]]":
    """Return the drafts of each answer, those that a rule drops with the reason.

    Args:
        params: Of the stage.
        owners: Instruction and sample of each answer.
        parsed: The drafts of each answer, see :func:`read_answer`.
        scratch: Folder for evaluation tasks that are downloaded.
    """
    from refine_af.self_instruct.parse_instances import filter_instances

    seed = replicate_seed(params.seed, params.replicate)
    decided = []
    for (row, _), drafts, leaks in zip(
        owners, parsed, _leaks(params, owners, parsed, scratch), strict=True
    ):
        marked = [
            draft._replace(reason=draft.reason or "contaminated") if leak else draft
            for draft, leak in zip(drafts, leaks, strict=True)
        ]
        judged = filter_instances(marked, seed, row.id, params.max_instances)
        decided.append(list(zip(judged, leaks, strict=True)))
    return decided


def _leaks(
    params: InstancesParams,
    owners: "Sequence[Owner]",
    parsed: "Sequence[Sequence[Draft]]",
    scratch: Path,
) -> "list[list[Leak | None]]":
    """Return for each draft of each answer which evaluation text it repeats, or None."""
    from refine_af.dedup.contamination import ContaminationGate
    from refine_af.evaluation.task_sets import evaluation_texts

    if not params.tasks_uri:
        return [[None] * len(drafts) for drafts in parsed]
    gate = ContaminationGate(evaluation_texts(fetch_source(params.tasks_uri, scratch)))
    texts = [
        [(row.instruction, draft.input, draft.output) for draft in drafts]
        for (row, _), drafts in zip(owners, parsed, strict=True)
    ]
    different = list(dict.fromkeys(text for pairs in texts for pair in pairs for text in pair))
    leak_of = dict(zip(different, gate.leaks(different), strict=True))
    return [
        [next((leak_of[text] for text in pair if leak_of[text]), None) for pair in pairs]
        for pairs in texts
    ]


def read_answer(params: InstancesParams, answer: Completion, layout: "Layout") -> "list[Draft]":
    """Return every pair of one answer; what could not be read carries its reason."""
    from refine_af.self_instruct.drafts import Draft

    if answer.finish == "error":
        return [Draft("", answer.error, "engine_error")]
    return params.instance_form.drafts(answer.text, answer.finish, layout)


def _instance(row: Instruction, draft: "Draft", is_classification: bool, sample: int) -> Instance:
    return Instance.make(
        row.id,
        row.instruction,
        draft.input,
        draft.output,
        is_classification=is_classification,
        sample=sample,
    )


def _rejected(
    row: Instruction, draft: "Draft", sample: int, position: int, leak: "Leak | None"
) -> Rejected:
    given = f"input: {draft.input[:2000]}" if draft.input else ""
    about = "; ".join(filter(None, (draft.detail, given)))
    named = leak if leak and draft.reason == "contaminated" else None
    return Rejected.make(
        "generate_instances",
        draft.reason or "",
        draft.output,
        (row.id,),
        key=f"{sample}/{position}",
        neighbour=named.id if named else None,
        score=named.score if named else None,
        detail=f"{named.detail}; {about}" if named else about,
        request=f"{row.id}/{sample}",
    )


STAGE = Stage(
    name="generate_instances",
    summary="Write input-output pairs for instructions, with the start model or an adapter.",
    params=InstancesParams,
    run=run,
    inputs=(
        Artifact(
            "instructions", "rows", "Instructions to write instances for.", record=Instruction
        ),
        Artifact("adapter", "model", "What train_ppo wrote; else the start model.", optional=True),
    ),
    outputs=(
        Artifact("instances", "rows", "Instruction-input-output rows.", record=Instance),
        Artifact(
            "rejected",
            "rows",
            "What could not be used, with the reason.",
            record=Rejected,
            shown=True,
        ),
        MODEL_CALLS,
    ),
    image="vllm",
    resources=Resources(cpu="4", memory="16Gi", gpu=True),
    source="Self-Instruct (arXiv 2212.10560), section 3.1 and appendix; REFINE-AF, stage 3.",
)
