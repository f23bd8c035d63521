"""A scripted rewriter and reviewer: answers by what the prompt holds; no model."""

import json
from pathlib import Path

from refine_af.dedup.static_vectors import DIMENSION, embed
from refine_af.engines.scripted import ScriptedText
from refine_af.evolve.agreement import Agreement
from refine_af.evolve.bank import Bank
from refine_af.evolve.frontier import Evolver, Root
from refine_af.evolve.ledger import Ledger
from refine_af.evolve.operators import load_operators
from refine_af.evolve.params import EvolutionParams
from refine_af.evolve.reviewer import Reviewer

PARENT = "Name three rivers that flow through Germany."
DEEPER = "Name three rivers that flow through Germany and say where each of them ends."


def engine(folder: Path, *answers: dict[str, str]) -> ScriptedText:
    path = folder / "script.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in answers), encoding="utf-8")
    return ScriptedText(str(path))


def root(text: str = PARENT, outputs: tuple[str, ...] = ("Rhine, Elbe, Danube",)) -> Root:
    return Root("seed-1", text, "", outputs)


def evolver(
    writer: ScriptedText,
    settings: EvolutionParams,
    ledger: Ledger,
    agreement: Agreement | None = None,
    max_calls: int = 0,
) -> Evolver:
    return Evolver(
        writer,
        Reviewer(writer, settings.answer_style, settings.seed, ledger),
        load_operators(),
        embed,
        Bank(DIMENSION),
        settings,
        ledger,
        agreement,
        max_calls,
    )
