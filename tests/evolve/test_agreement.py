"""The frontier part of the reward: tasks on which sampled answers disagree are worth more."""

from pathlib import Path

import pytest
from scripted_world import engine, evolver, root

from refine_af.contracts.randomness import derive
from refine_af.engines.text import Request, Sampling
from refine_af.evolve.agreement import Agreement
from refine_af.evolve.ledger import Ledger
from refine_af.evolve.operators import render
from refine_af.evolve.params import EvolutionParams
from refine_af.evolve.policies import MixPolicy

NEW = "List two lakes of Italy."
REWRITE = {"match": "New task:", "text": NEW}
YES = {"match": "Question:", "text": " Yes"}
ANSWERS = [{"match": "Instruction:", "text": f"Output: {one}"} for one in ("Como", "como ", "Iseo")]


def test_sure_answers_add_nothing_and_the_calls_are_counted(tmp_path: Path) -> None:
    ledger = Ledger()
    writer = engine(tmp_path, REWRITE, YES, ANSWERS[0])
    settings = EvolutionParams(style="plain", steps=1, weight_frontier=0.5)
    world = evolver(writer, settings, ledger, Agreement(writer, "plain", 4, 16, 1, ledger))
    (row,) = world.run([root()], MixPolicy("one", [[0, 0, 1, 0, 0, 0]], 1), phase="evolve").steps
    assert row.parts["frontier"] == 0.0
    assert row.reward == pytest.approx(0.5 + 0.5 * row.parts["novelty"])
    assert ledger.dump()["responder"]["frontier"]["calls"] == 4


def test_the_share_is_that_of_the_most_common_answer_whatever_its_spaces(tmp_path: Path) -> None:
    writer = engine(tmp_path, *ANSWERS)
    prompt = render("respond_plain", instruction=NEW, input="a map")
    assert "a map" in prompt
    requests = [Request(str(place), prompt, derive(7, "frontier", 0, place)) for place in range(9)]
    texts = [one.text for one in writer.generate(requests, Sampling(temperature=1.0))]
    como = sum("iseo" not in text.casefold() for text in texts)
    assert 0 < como < 9
    (share,) = Agreement(writer, "plain", 9, 16, 7, Ledger())([(NEW, "a map")])
    assert share == pytest.approx(max(como, 9 - como) / 9)
