"""One fine-tuning run from rows to weights, called by the stage ``train_sft``."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, disable_progress_bars
from transformers.utils.logging import disable_progress_bar

from refine_af.contracts.errors import DataError
from refine_af.contracts.records import Instance, Seed
from refine_af.contracts.stage import Journal, Progress
from refine_af.engines.memory import RowsAtOnce
from refine_af.processes.group import ALONE, Processes
from refine_af.sft.base_model import choose_device, load_tokenizer, load_trainable, save_trained
from refine_af.sft.encoding import Example, encode, write_examples
from refine_af.sft.model_card import CardFacts, model_card
from refine_af.sft.params import SFTParams, Template
from refine_af.sft.selection import Arm, Reason, UsedRow, choose, seed_rows
from refine_af.sft.templates import training_text
from refine_af.sft.trainer import TrainingResult, peak_memory, train
from refine_af.storage.journal import MemoryJournal


@dataclass(frozen=True, slots=True)
class Material:
    """What is trained on.

    Attributes:
        instances: Rows of the arm.
        others: Rows of the arms that it is compared with.
        seeds: Seed tasks to train on too.
    """

    instances: Sequence[Instance]
    others: Sequence[Sequence[Instance]]
    seeds: Sequence[Seed]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run hands back besides the weights.

    Attributes:
        history: See :class:`refine_af.sft.trainer.TrainingResult`.
        used: Every offered row, trained on or not: instances in training-set order, seed rows,
            then those left out, in the order of their files.
        metrics: Deterministic numbers.
        telemetry: Numbers that vary from run to run.
    """

    history: list[dict[str, float]]
    used: list[UsedRow]
    metrics: dict[str, float]
    telemetry: dict[str, float]


class Silent:
    """The progress of a rank above 0: only rank 0 reports."""

    def step(self, done: int, total: int, unit: str, **numbers: float) -> None:
        """Do nothing."""

    def resumed(self, done: int, unit: str) -> None:
        """Do nothing."""

    def say(self, message: str) -> None:
        """Do nothing."""


def fine_tune_rank(
    processes: Processes, material: Material, params: SFTParams, location: str, scratch: Path
) -> None:
    """Take part in a run as a rank above 0; rank 0 holds the journal."""
    own = scratch / f"rank-{processes.rank}"
    own.mkdir()
    fine_tune(
        material,
        params,
        location,
        own / "adapter",
        journal=MemoryJournal(),
        progress=Silent(),
        scratch=own,
        processes=processes,
    )


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Rows to train on with their tokens, and all offered rows as they are listed."""

    examples: list[Example]
    used: list[UsedRow]


def fine_tune(
    material: Material,
    params: SFTParams,
    location: str,
    target: Path,
    *,
    journal: Journal,
    progress: Progress,
    scratch: Path,
    processes: Processes = ALONE,
) -> Outcome:
    """Train on the rows and write the weights with their model card to ``target``.

    Args:
        material: What to train on.
        params: Of the run.
        location: Directory or Hub id of the base model.
        target: Directory of the adapter, or of the full model.
        journal: Keeps the checkpoints.
        progress: Reports every step.
        scratch: An empty directory.
        processes: This process among those of the run; only rank 0 writes the weights.

    Raises:
        DataError: When no row is left to train on.
        ParameterError: When model and parameters do not fit together.
        DependencyError: When the model or the GPU cannot be used.
    """
    disable_progress_bars()
    disable_progress_bar()  # type: ignore[no-untyped-call]
    started = time.monotonic()
    device = choose_device(params)
    tokenizer = load_tokenizer(location)
    template = params.template_at(location)
    chosen = _choose(material, params, template, tokenizer)
    rows = write_examples(scratch / "rows.arrow", chosen.examples)
    prepared = time.monotonic() - started
    options = {"device": device, "journal": journal, "progress": progress}
    model, trained = _tuned(
        location, tokenizer, rows, params, scratch=scratch, processes=processes, **options
    )
    if processes.main:
        save_trained(model, tokenizer, target, base_name=params.model, location=location)
        facts = _card_facts(material, params, template, chosen.used, trained.history)
        (target / "README.md").write_text(model_card(facts), encoding="utf-8")
    return Outcome(
        history=trained.history,
        used=chosen.used,
        metrics=_metrics(chosen.used, trained.history),
        telemetry=trained.telemetry | {"preparation_seconds": prepared} | peak_memory(device),
    )


def _tuned(
    location: str,
    tokenizer: Any,  # noqa: ANN401
    rows: Dataset,
    params: SFTParams,
    *,
    scratch: Path,
    processes: Processes,
    **options: Any,  # noqa: ANN401  of train
) -> tuple[Any, TrainingResult]:
    """Load and train the model; when memory runs out, try again with smaller pieces of a batch.

    The second attempt continues from the last checkpoint; a step is the mean over the same rows.
    Several processes make one attempt only: the others would wait forever.

    Raises:
        MemoryShortageError: When a piece of one row does not fit.
    """
    pieces = params.pieces(processes.count)
    at_once = RowsAtOnce(
        params.batch_size // pieces if processes.count == 1 else 1,
        task="train_sft",
        lower="max_length, or raise gradient_accumulation",
    )
    while True:
        folder = scratch / f"rows-{at_once.count}"
        folder.mkdir()

        def work(folder: Path = folder, chosen: SFTParams = params) -> tuple[Any, TrainingResult]:
            model = load_trainable(location, chosen, options["device"])
            result = train(
                model, tokenizer, rows, chosen, scratch=folder, processes=processes, **options
            )
            return model, result

        _, result = at_once.attempt(work)
        if result is not None:
            model, trained = result
            trained.telemetry["memory_halvings"] = float(at_once.halvings)
            return model, trained
        pieces = _pieces(params.batch_size, at_once.count)
        params = params.model_copy(update={"gradient_accumulation": pieces})


def _pieces(batch_size: int, most_rows: int) -> int:
    """Return the fewest equal pieces of a batch that have at most ``most_rows`` rows each."""
    fewest = -(-batch_size // most_rows)
    return next(count for count in range(fewest, batch_size + 1) if batch_size % count == 0)


def _choose(
    material: Material,
    params: SFTParams,
    template: Template,
    tokenizer: Any,  # noqa: ANN401  transformers is untyped
) -> _Chosen:
    def tokens_of(rows: Sequence[Instance]) -> list[Example]:
        texts = [training_text(row, template, params.draws, tokenizer) for row in rows]
        return list(encode(texts, tokenizer))

    def fits(examples: Sequence[Example]) -> list[bool]:
        return [len(example.tokens) <= params.max_length for example in examples]

    own = tokens_of(material.instances)
    arms = [Arm(material.instances, fits(own))]
    arms += [Arm(rows, fits(tokens_of(rows))) for rows in material.others]
    kept, reasons = choose(arms, params.rows)
    seeds = seed_rows(material.seeds)
    seed_examples = tokens_of(seeds)
    fitting = [index for index, fit in enumerate(fits(seed_examples)) if fit]
    too_long: dict[int, Reason] = {
        index: "too_long" for index in range(len(seeds)) if index not in set(fitting)
    }
    if not kept:
        _refuse_nothing(arms[0], own, params.max_length)
    used = [
        *_listed(material.instances, own, dict.fromkeys(kept, ""), "instance"),
        *_listed(seeds, seed_examples, dict.fromkeys(fitting, ""), "seed"),
        *_listed(material.instances, own, reasons, "instance"),
        *_listed(seeds, seed_examples, too_long, "seed"),
    ]
    examples = [own[index] for index in kept] + [seed_examples[index] for index in fitting]
    return _Chosen(examples, used)


def _refuse_nothing(arm: Arm, examples: Sequence[Example], max_length: int) -> None:
    shortest = min(len(example.tokens) for example in examples)
    if not any(arm.fits):
        raise DataError(
            f"train_sft: input 'instances': all {len(examples)} rows are longer than max_length,"
            f" {max_length} tokens (the shortest has {shortest}), so every completion would be"
            f" cut; set max_length to {shortest} or more, or give shorter rows"
        )
    raise DataError(
        "train_sft: no instruction has a row of at most max_length tokens in every arm (inputs"
        " 'instances', 'match', 'match_2'); check that the arms were made from the same"
        " instructions, or raise max_length"
    )


def _listed(
    rows: Sequence[Instance],
    examples: Sequence[Example],
    reasons: Mapping[int, Reason],
    source: Any,  # noqa: ANN401  checked by UsedRow
) -> list[UsedRow]:
    return [
        UsedRow(
            id=rows[index].id,
            parents=rows[index].parents,
            source=source,
            tokens=len(examples[index].tokens),
            completion_tokens=len(examples[index].tokens) - examples[index].prompt_tokens,
            cut=bool(reason),
            reason=reason,
        )
        for index, reason in reasons.items()
    ]


def _card_facts(
    material: Material,
    params: SFTParams,
    template: Template,
    used: Sequence[UsedRow],
    history: Sequence[Mapping[str, float]],
) -> CardFacts:
    licences = {seed.id: seed.licence for seed in material.seeds}
    trained = [row for row in used if not row.cut]
    return CardFacts(
        instances=sum(row.source == "instance" for row in trained),
        seed_licences=[licences[row.parents[0]] for row in trained if row.source == "seed"],
        cut=Counter(row.reason for row in used if row.cut),
        tokens=int(history[-1]["tokens"]),
        steps=len(history),
        params=params,
        template=template,
    )


def _metrics(used: Sequence[UsedRow], history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the stage's metrics; their names stay the same from run to run."""
    reasons = Counter(row.reason for row in used if row.cut)
    return {
        "rows": sum(not row.cut for row in used),
        "seed_rows": sum(row.source == "seed" and not row.cut for row in used),
        "cut": reasons["too_long"],
        "unmatched": reasons["unmatched"],
        "over_limit": reasons["over_limit"],
        "tokens": history[-1]["tokens"],
        "steps": len(history),
        "first_loss": history[0]["loss"],
        "final_loss": history[-1]["loss"],
    }
