from dataclasses import replace
from pathlib import Path

import pytest
from scripted_world import DEEPER, PARENT, engine, evolver, root

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.records import OperatorStep
from refine_af.evolve.ledger import Ledger, against_evol_instruct, merged
from refine_af.evolve.operators import PACKAGED, load_operators
from refine_af.evolve.params import EvolutionParams, PolicyParams
from refine_af.evolve.policies import RELEASED_MIX, MixPolicy, released_mix, uniform_mix
from refine_af.evolve.reward import novelty, reward

REWRITE = {"match": "New task:", "text": DEEPER}
FURTHER = {"match": f"Task: {DEEPER}\nNew task:", "text": "List two lakes of Italy with depths."}
YES = {"match": "Question:", "text": " Yes"}
NO = {"match": "Question:", "text": " No"}
WORDS = ("age", "size", "depth", "name", "price")
DEEPEN = MixPolicy("deepen", [[0, 0, 1, 0, 0, 0]], 1)


def settings(steps: int = 1) -> EvolutionParams:
    return EvolutionParams(style="plain", steps=steps)


def test_a_kept_rewrite_has_lineage_probability_and_hand_computed_reward(tmp_path: Path) -> None:
    ledger = Ledger()
    found = evolver(engine(tmp_path, REWRITE, YES), settings(), ledger).run(
        [root()], uniform_mix(load_operators(), 1), phase="evolve"
    )
    (row,), (kept,) = found.steps, found.kept
    assert (kept.instruction, kept.root, kept.parents, kept.step) == (
        DEEPER,
        "seed-1",
        ("seed-1",),
        1,
    )
    assert kept.probability == pytest.approx(1 / 6)
    assert row.changed == 1.0
    assert row.reward == pytest.approx(0.5 + 0.5 * row.parts["novelty"])
    assert 0.1 < row.parts["novelty"] < 0.9
    assert ledger.dump()["evolver"]["evolve"]["calls"] == 1
    assert ledger.dump()["judge"]["evolve"]["calls"] == 2


def test_the_child_becomes_the_parent_of_the_next_step(tmp_path: Path) -> None:
    writer = engine(tmp_path, {**REWRITE, "match": f"Task: {PARENT}\nNew"}, FURTHER, YES)
    found = evolver(writer, settings(steps=2), Ledger()).run([root()], DEEPEN, phase="evolve")
    first, second = found.kept
    assert second.parents == (first.id,)
    assert found.steps[1].before == DEEPER
    assert found.steps[1].last == 2


@pytest.mark.parametrize(
    ("answers", "reason", "value"),
    [
        ([REWRITE, NO], "equal", None),
        ([REWRITE, {"match": "Question:", "text": " Perhaps"}], "judge_unreadable", -0.5),
        ([{"match": "New task:", "text": "Sorry, I cannot do it."}, YES], "refusal", -0.5),
        ([{"match": "New task:", "text": "", "finish": "stop"}, YES], "empty", -0.5),
        ([{"match": "New task:", "text": "x", "finish": "error"}, YES], "engine_error", -0.5),
    ],
)
def test_bad_answers_are_counted_with_their_reason_and_two_end_an_episode(
    tmp_path: Path, answers: list[dict[str, str]], reason: str, value: float | None
) -> None:
    found = evolver(engine(tmp_path, *answers), settings(steps=6), Ledger()).run(
        [root()], DEEPEN, phase="evolve"
    )
    assert [row.reason for row in found.steps] == [reason, reason]
    assert found.kept == []
    if value is not None:
        assert {row.reward for row in found.steps} == {value}


def test_no_reviewer_is_asked_where_its_verdict_decides_and_pays_nothing(tmp_path: Path) -> None:
    ledger = Ledger()
    free = EvolutionParams(style="plain", steps=1, accept=0.0, weight_changed=0.0)
    limit = 1  # one rewrite: with reviews a step would need three calls
    found = evolver(engine(tmp_path, REWRITE), free, ledger, max_calls=limit).run(
        [root()], DEEPEN, phase="evolve"
    )
    (row,), (kept,) = found.steps, found.kept
    assert (kept.instruction, row.changed, row.labels) == (DEEPER, None, ())
    assert row.reward == pytest.approx(0.5 * row.parts["novelty"])
    assert "judge" not in ledger.dump()


def test_what_a_model_says_around_a_rewrite_is_taken_off_before_the_rules(tmp_path: Path) -> None:
    said = f"### Instruction\n{DEEPER}"
    writer = engine(
        tmp_path, {"match": "### Rewrite", "text": said}, {"match": "Are they equal?", "text": "B"}
    )
    found = evolver(writer, EvolutionParams(steps=1), Ledger()).run(
        [root()], DEEPEN, phase="evolve"
    )
    assert [kept.instruction for kept in found.kept] == [DEEPER]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Write a limerick about a lighthouse keeper.", "template_words"),
        ("As you know: the Rhine, the Elbe and the Danube flow to the sea.", "answered"),
    ],
)
def test_a_worked_rewrite_or_the_input_said_back_is_no_rewrite(
    tmp_path: Path, said: str, reason: str
) -> None:
    given = "the Rhine, the Elbe and the Danube flow to the sea"
    settings = EvolutionParams(style="few_shot", steps=1, accept=0.0, weight_changed=0.0)
    writer = engine(tmp_path, {"match": "Rewritten:", "text": f" {said}"})
    start = replace(root(), input=given)
    (row,) = evolver(writer, settings, Ledger()).run([start], DEEPEN, phase="evolve").steps
    assert row.reason == reason


def test_a_doubtful_review_is_not_enough(tmp_path: Path) -> None:
    writer = engine(
        tmp_path,
        REWRITE,
        {"match": f"Task A: {PARENT}", "text": " Yes"},
        {"match": f"Task B: {PARENT}", "text": " No"},
    )
    (row,) = evolver(writer, settings(), Ledger()).run([root()], DEEPEN, phase="evolve").steps
    assert row.changed == 0.5
    assert row.labels == ("Yes", "No")
    assert row.reason == "equal"


def test_the_second_episode_of_a_root_finds_the_first_one_s_rewrite_known(tmp_path: Path) -> None:
    world = evolver(engine(tmp_path, REWRITE, YES), settings(), Ledger())
    first = world.run([root()], DEEPEN, phase="evolve").steps[0]
    second = world.run([root()], DEEPEN, phase="evolve", update=1).steps[0]
    assert first.parts["novelty"] > 0.1
    assert second.parts["novelty"] == pytest.approx(0.0, abs=1e-6)


def test_tests_of_two_policies_have_the_same_luck_and_rows_of_their_own(tmp_path: Path) -> None:
    """The same choices on the same seeds bring the same operators and rewrites, so the same sum."""
    several = [{**REWRITE, "text": f"List two lakes of Italy by {one}."} for one in WORDS]

    def tested(update: int, draws: str) -> list[OperatorStep]:
        world = evolver(engine(tmp_path, *several, YES), settings(steps=3), Ledger())
        policy = uniform_mix(load_operators(), 1)
        roots = [root(), root(), root()]
        return world.run(roots, policy, phase="held_out", update=update, draws=draws).steps

    first, second, other = tested(0, "held_out"), tested(4, "held_out"), tested(4, "")
    assert [row.text for row in first] == [row.text for row in second]
    assert [row.action for row in first] == [row.action for row in second]
    assert [row.action for row in first] != [row.action for row in other]
    assert not {row.id for row in first} & {row.id for row in second}


def test_the_limit_on_calls_is_never_passed(tmp_path: Path) -> None:
    ledger = Ledger()
    world = evolver(engine(tmp_path, REWRITE, YES), settings(steps=6), ledger, max_calls=8)
    world.run([root(), root(), root()], DEEPEN, phase="evolve")
    assert ledger.calls("evolver", "judge") == 6


def test_stop_ends_an_episode_without_a_call(tmp_path: Path) -> None:
    ledger = Ledger()
    stop = MixPolicy("stop", [[0.0] * 6 + [1.0]], 1)
    world = evolver(engine(tmp_path, REWRITE, YES), settings(steps=6), ledger)
    (row,) = world.run([root()], stop, phase="evolve").steps
    assert (row.status, row.operator, row.reward) == ("stopped", "stop", 0.0)
    assert ledger.calls("evolver", "judge") == 0


def test_breadth_drops_the_input_and_the_others_keep_it(tmp_path: Path) -> None:
    one = root()
    with_input = type(one)(one.id, one.instruction, "a table", one.outputs)
    for action, expected in ((0, ""), (1, "a table")):
        shares = [[float(place == action) for place in range(6)]]
        world = evolver(engine(tmp_path, REWRITE, YES), settings(), Ledger())
        (kept,) = world.run([with_input], MixPolicy("one", shares, 1), phase="evolve").kept
        assert kept.input == expected


def test_the_released_mix_is_the_measured_one_over_six_steps() -> None:
    operators = load_operators()
    mix = released_mix(operators, 1)
    mean = [sum(row[place] for row in mix._shares) / 6 for place in range(6)]
    for name, share in zip(operators.names, mean, strict=True):
        assert share == pytest.approx(RELEASED_MIX[name], abs=1e-3)


def test_reward_by_hand() -> None:
    weights = EvolutionParams(weight_frontier=0.5)
    assert reward({"valid": 0.0}, weights) == -0.5
    parts = {"valid": 1.0, "changed": 1.0, "novelty": 0.4, "frontier": 0.75}
    assert reward(parts, weights) == pytest.approx(0.5 + 0.2 + 0.375)
    assert novelty(-0.3) == 1.0
    assert novelty(0.25) == 0.75


def test_ledgers_add_up_and_evol_instruct_s_count_is_by_hand() -> None:
    one = {"judge": {"train": {"calls": 2, "prompt_tokens": 10, "new_tokens": 2}}}
    total = merged([one, one])
    assert total["judge"]["train"] == {"calls": 4, "prompt_tokens": 20, "new_tokens": 4}
    found = against_evol_instruct(calls=1248, kept=500, seeds=100, steps=4)
    assert found["at_equal_rows"] == pytest.approx(1.0)  # 500 rows x 624,000 / 250,000 = 1,248
    assert found["at_equal_seeds"] == pytest.approx(1.04)
    assert against_evol_instruct(1, 0, 0, 6) == {}


def test_a_rollout_with_a_gap_is_refused() -> None:

    from refine_af.dedup.static_vectors import embed
    from refine_af.evolve.training import TrainingPlan, as_rollout

    plan = TrainingPlan(6, False, 384, 1, 1, 0)
    with pytest.raises(DataError, match="holds no step"):
        as_rollout([], embed, PolicyParams(), plan)


def test_the_released_mix_of_operators_with_other_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    text = PACKAGED.read_text(encoding="utf-8")
    path.write_text(text.replace("name: breadth", "name: widen"), encoding="utf-8")
    with pytest.raises(ParameterError, match="has no breadth; name them so, or give policy fixed"):
        released_mix(load_operators(path), 1)
