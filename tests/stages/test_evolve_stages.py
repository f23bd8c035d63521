import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, BertConfig, BertTokenizer

from refine_af import api
from refine_af.contracts.errors import DataError, DependencyError, ParameterError
from refine_af.contracts.jsonl import iter_objects, read_rows, write_rows
from refine_af.contracts.records import Evolved, Instance, OperatorStep, Pair, Seed
from refine_af.contracts.stage import Metrics
from refine_af.engines.scripted import ScriptedText
from refine_af.runner import find_stage, run_stage

TOPICS = ("rivers", "birds", "metals", "operas", "islands", "bridges", "spices", "comets")
SMALL: dict[str, Any] = {"engine": "scripted", "style": "plain", "steps": 2}
TRAINING: dict[str, Any] = SMALL | {
    "table_seeds": 12, "held_out": 4, "policy_seeds": 2, "evaluate_every": 2, "updates": 2,
    "episodes": 6,
}  # fmt: skip


@pytest.fixture
def seeds(tmp_path: Path) -> str:
    rows = [
        Seed.make(
            f"seed{place}", "", f"Name {place + 2} {topic} and their places.",
            (Pair(input="", output=f"A list of {topic}."),), False, "CC0",
        )
        for place, topic in enumerate(TOPICS * 3)
    ]  # fmt: skip
    write_rows(tmp_path / "seeds.jsonl", rows)
    return str(tmp_path / "seeds.jsonl")


@pytest.fixture
def script(tmp_path: Path) -> str:
    rewrites = [
        f"Compare {count} {topic} by age and size in a table."
        for topic in TOPICS
        for count in range(3, 6)
    ]
    rows = [{"match": "New task:", "text": text} for text in (*rewrites, "Sorry, I cannot.")]
    rows += [{"match": "Question:", "text": text} for text in (" Yes", " Yes", " No")]
    rows += [{"match": "Output:", "text": " An answer."}]
    rows += [{"match": "Instruction:", "text": "Input: a list\nOutput: An answer."}]
    (tmp_path / "script.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return str(tmp_path / "script.jsonl")


def run(
    name: str, folder: Path, inputs: dict[str, str], params: dict[str, Any], work_dir: str = ""
) -> Metrics:
    folder.mkdir(exist_ok=True)
    outputs = {item.name: str(folder / item.name) for item in find_stage(name).outputs}
    return run_stage(name, inputs=inputs, outputs=outputs, params=params, work_dir=work_dir)


def contents(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_training_repeats_byte_for_byte_and_from_its_rollouts(
    tmp_path: Path, seeds: str, script: str
) -> None:
    params = TRAINING | {"model": script}
    name = "train_operator_policy"
    metrics = run(name, tmp_path / "first", {"seeds": seeds}, params)
    run(name, tmp_path / "again", {"seeds": seeds}, params)
    assert contents(tmp_path / "first") == contents(tmp_path / "again")

    inputs = {"seeds": seeds, "rollouts": str(tmp_path / "first" / "trace")}
    nothing = tmp_path / "no-model.jsonl"
    nothing.write_text('{"text": "", "finish": "error"}\n')
    run(name, tmp_path / "replayed", inputs, params | {"model": str(nothing)})
    first, replayed = contents(tmp_path / "first"), contents(tmp_path / "replayed")
    for same in ("policy/policy.safetensors", "curve", "table", "trace", "bank_out"):
        assert replayed[same] == first[same], same
    assert replayed["ledger"] == b"{}\n"

    rows = read_rows(tmp_path / "first" / "trace", OperatorStep)
    table = [row for row in rows if row.phase == "table"]
    assert len(table) == 12 * 6
    held_out = {row.root for row in rows if row.phase == "held_out"}
    assert len(held_out) == 4
    assert not held_out & {row.root for row in rows if row.phase != "held_out"}
    assert metrics["held_out_reward"] >= -0.5


def test_a_killed_training_goes_on_from_its_journal(
    tmp_path: Path, seeds: str, script: str
) -> None:
    params = TRAINING | {"model": script}
    name = "train_operator_policy"
    work = str(tmp_path / "work")
    run(name, tmp_path / "whole", {"seeds": seeds}, params, work)
    run(name, tmp_path / "resumed", {"seeds": seeds}, params, work)
    assert contents(tmp_path / "whole") == contents(tmp_path / "resumed")


def test_evolving_keeps_every_operation_with_its_reason(
    tmp_path: Path, seeds: str, script: str
) -> None:
    params = SMALL | {"model": script, "policy": "uniform"}
    metrics = run("evolve_instructions", tmp_path / "out", {"seeds": seeds}, params)
    kept = read_rows(tmp_path / "out" / "instructions", Evolved)
    steps = read_rows(tmp_path / "out" / "trace", OperatorStep)
    rejected = [row for _, row in iter_objects(tmp_path / "out" / "rejected")]
    assert metrics["tried"] == len(steps) == len(kept) + len(rejected)
    assert {row["reason"] for row in rejected} <= {"equal", "refusal", "unchanged"}
    known = {row.id for row in kept} | {row.root for row in kept}
    assert all(row.parents[0] in known for row in kept)
    ledger = json.loads((tmp_path / "out" / "ledger").read_text())
    assert ledger["evolver"]["evolve"]["calls"] == len(steps)
    assert ledger["judge"]["evolve"]["calls"] == 2 * sum(row.changed is not None for row in steps)


@pytest.mark.parametrize("policy", ["released_mix", "llm", "fixed_mix", "no_evolution"])
def test_every_policy_runs(tmp_path: Path, seeds: str, script: str, policy: str) -> None:
    params = SMALL | {"model": script, "policy": policy, "mix": "deepen=1", "max_failed": 1}
    run("evolve_instructions", tmp_path / "out", {"seeds": seeds}, params)
    steps = read_rows(tmp_path / "out" / "trace", OperatorStep)
    kept = read_rows(tmp_path / "out" / "instructions", Evolved)
    if policy == "no_evolution":
        assert [row.step for row in kept] == [0] * 24
        assert not steps
    if policy == "fixed_mix":
        assert {row.operator for row in steps} == {"deepen"}
    if policy == "released_mix":
        assert {row.operator == "breadth" for row in steps if row.step == 1} == {True}
        assert "breadth" not in {row.operator for row in steps if row.step == 0}


def test_a_learned_policy_chooses_with_a_floor_of_exploration(
    tmp_path: Path, seeds: str, script: str
) -> None:
    params = TRAINING | {"model": script, "table_seeds": 0}
    run("train_operator_policy", tmp_path / "trained", {"seeds": seeds}, params)
    inputs = {"seeds": seeds, "operator_policy": str(tmp_path / "trained" / "policy")}
    evolve = SMALL | {"model": script, "exploration": 0.3}
    run("evolve_instructions", tmp_path / "out", inputs, evolve)
    kept = read_rows(tmp_path / "out" / "instructions", Evolved)
    assert kept
    assert all(row.probability >= 0.3 / 6 for row in kept)
    assert all(row.policy.startswith("learned:") for row in kept)


def test_stop_and_the_frontier_part_reach_from_the_training_to_the_rows(
    tmp_path: Path, seeds: str, script: str
) -> None:
    more = json.dumps({"match": "Instruction:", "text": "Output: Another answer."}) + "\n"
    Path(script).write_text(Path(script).read_text() + more)
    own = {"model": script, "weight_frontier": 0.5, "frontier_samples": 3}
    params = TRAINING | own | {"table_seeds": 0, "allow_stop": True}
    run("train_operator_policy", tmp_path / "trained", {"seeds": seeds}, params)
    inputs = {"seeds": seeds, "operator_policy": str(tmp_path / "trained" / "policy")}
    run("evolve_instructions", tmp_path / "out", inputs, SMALL | own | {"exploration": 0.9})
    for place in ("trained", "out"):
        steps = read_rows(tmp_path / place / "trace", OperatorStep)
        stopped = [row for row in steps if row.operator == "stop"]
        assert stopped
        assert all((row.status, row.reward, row.text) == ("stopped", 0.0, "") for row in stopped)
        valued = [row.parts["frontier"] for row in steps if row.parts.get("valid")]
        assert {round(value, 3) for value in valued} == {0.0, round(8 / 9, 3)}, "s is 1 or 2/3"
        ledger = json.loads((tmp_path / place / "ledger").read_text())
        assert sum(one["calls"] for one in ledger["responder"].values()) == 3 * len(valued)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder with a small sentence model of 16 dimensions."""
    folder = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "name", "compare", "and", *TOPICS]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(vocab=str(folder / "vocab.txt")).save_pretrained(str(folder))
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    AutoModel.from_config(config).save_pretrained(str(folder))  # type: ignore[no-untyped-call]
    return str(folder)


def test_a_policy_reads_a_sentence_model_and_no_other_one(
    tmp_path: Path, seeds: str, script: str, encoder: str
) -> None:
    params = TRAINING | {"model": script, "table_seeds": 0, "embedding": encoder}
    run("train_operator_policy", tmp_path / "trained", {"seeds": seeds}, params)
    facts = json.loads((tmp_path / "trained" / "policy" / "policy.json").read_text())
    assert facts["dimension"] == 16
    inputs = {
        "seeds": seeds,
        "operator_policy": str(tmp_path / "trained" / "policy"),
        "bank": str(tmp_path / "trained" / "bank_out"),
    }
    evolve = SMALL | {"model": script}
    run("evolve_instructions", tmp_path / "out", inputs, evolve | {"embedding": encoder})
    assert read_rows(tmp_path / "out" / "trace", OperatorStep)
    with pytest.raises(DataError, match=r"the policy reads 'sentence:[0-9a-f]{16}'"):
        run("evolve_instructions", tmp_path / "other", inputs, evolve)


def test_wrong_settings_are_refused_at_the_start(tmp_path: Path, seeds: str, script: str) -> None:
    params = SMALL | {"model": script}
    with pytest.raises(ParameterError, match="needs the input operator_policy"):
        run("evolve_instructions", tmp_path / "a", {"seeds": seeds}, params)
    own = tmp_path / "operators.yaml"
    own.write_text("forbidden: []\nprompts:\n  plain: '{{ task }}'\noperators: []\n")
    wrong = params | {"operators_uri": str(own), "policy": "uniform"}
    with pytest.raises(DataError, match=r"operators\.yaml:4: operators must list"):
        run("evolve_instructions", tmp_path / "b", {"seeds": seeds}, wrong)
    crossed = params | {"policy": "uniform", "min_words": 9, "max_words": 3}
    with pytest.raises(ParameterError, match="at most max_words, which is 3"):
        run("evolve_instructions", tmp_path / "c", {"seeds": seeds}, crossed)


def test_responses_hold_whole_roots_out(tmp_path: Path, seeds: str, script: str) -> None:
    evolve = SMALL | {"model": script, "policy": "uniform"}
    run("evolve_instructions", tmp_path / "evolved", {"seeds": seeds}, evolve)
    inputs = {"instructions": str(tmp_path / "evolved" / "instructions")}
    answer = {
        "engine": "scripted", "model": script, "style": "plain", "held_out_share": 0.3,
        "reference_share": 0.3,
    }  # fmt: skip
    metrics = run("generate_responses", tmp_path / "out", inputs, answer)
    root_of = {row.id: row.root for row in read_rows(Path(inputs["instructions"]), Evolved)}
    sides = ("instances", "held_out", "reference_rows")
    trained, held_out, reference = (
        {root_of[row.parents[0]] for row in read_rows(tmp_path / "out" / side, Instance)}
        for side in sides
    )
    assert trained
    assert held_out
    assert reference
    assert not trained & held_out
    assert not reference & (trained | held_out)
    assert sum(metrics[side] for side in (*sides, "rejected")) == metrics["instructions"]
    with pytest.raises(ParameterError, match="no row is left to train on"):
        run("generate_responses", tmp_path / "no", inputs, answer | {"reference_share": 0.7})


def test_refusals_and_rows_without_text(tmp_path: Path, seeds: str) -> None:
    path = tmp_path / "sorry.jsonl"
    path.write_text('{"text": "I am sorry, no."}\n{"text": ""}\n{"text": "A wren."}\n')
    rows = [{"id": f"row{place}", "instruction": "Name a bird."} for place in range(8)]
    write_rows(tmp_path / "rows.jsonl", rows)
    inputs = {"instructions": str(tmp_path / "rows.jsonl")}
    run("generate_responses", tmp_path / "out", inputs, {"engine": "scripted", "model": str(path)})
    reasons = [row["reason"] for _, row in iter_objects(tmp_path / "out" / "rejected")]
    assert set(reasons) == {"refusal", "empty"}
    answered = list(iter_objects(tmp_path / "out" / "instances"))
    assert answered
    assert len(reasons) + len(answered) == 8
    write_rows(tmp_path / "bad.jsonl", [{"id": "x", "instruction": ""}])
    with pytest.raises(DataError, match=r"bad\.jsonl:1: field 'instruction'"):
        run(
            "generate_responses", tmp_path / "no", {"instructions": str(tmp_path / "bad.jsonl")},
            {"engine": "scripted", "model": str(path)},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "params"), [("evolve_instructions", SMALL), ("train_operator_policy", TRAINING)]
)
def test_an_engine_that_answers_nothing_is_an_error_and_a_retry_asks_again(
    name: str, params: dict[str, Any], tmp_path: Path, seeds: str, script: str
) -> None:
    given = params | {"model": str(tmp_path / "model.jsonl"), "policy": "uniform"}
    if name == "train_operator_policy":
        del given["policy"]
    (tmp_path / "model.jsonl").write_text('{"text": "no memory left", "finish": "error"}\n')
    work = str(tmp_path / "work")
    with pytest.raises(DependencyError, match=r"(\d+) of \1 requests were not.*no memory left"):
        run(name, tmp_path / "first", {"seeds": seeds}, given, work)
    (tmp_path / "model.jsonl").write_bytes(Path(script).read_bytes())
    run(name, tmp_path / "again", {"seeds": seeds}, given, work)
    assert "kept" in {row.status for row in read_rows(tmp_path / "again" / "trace", OperatorStep)}


def test_seeds_that_are_all_too_long_are_an_error_that_no_retry_mends(tmp_path: Path) -> None:
    text = "Count every boat of the harbour. " * 500
    row = Seed.make("seed1", "", text, (Pair(input="", output="nine"),), False, "CC0")
    write_rows(tmp_path / "seeds.jsonl", [row])
    params = {"engine": "transformers", "style": "plain", "policy": "uniform"}
    with pytest.raises(DataError, match=r"was accepted.*the model's context holds 2048"):
        run(
            "evolve_instructions",
            tmp_path / "out",
            {"seeds": str(tmp_path / "seeds.jsonl")},
            params,
        )


def test_answers_that_are_all_set_apart_are_no_training_data(tmp_path: Path) -> None:
    """A run of few rows may draw all of them for other sides; later stages could not say why."""
    row = {"id": "a", "root": "a", "instruction": "Name a sea."}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    params = {"engine": "scripted", "model": "builtin:grammar", "held_out_share": 0.99}
    with pytest.raises(DataError, match="no answer is left to train on: 1 asked, 0 dropped, set"):
        run(
            "generate_responses",
            tmp_path / "out",
            {"instructions": str(tmp_path / "rows.jsonl")},
            params,
        )


def test_the_stages_that_evolve_take_an_engine_of_the_callers(seeds: str, script: str) -> None:
    """As functions on rows, with an engine that the caller opened and keeps."""
    engine = ScriptedText(script)
    params = {name: value for name, value in TRAINING.items() if name != "engine"}
    trained = api.train_operator_policy(seeds, engine=engine, **params)
    assert trained.metrics["update"] == 2
    evolved = api.evolve_instructions(
        seeds, operator_policy=trained.policy, engine=engine, style="plain", steps=2
    )
    assert len(evolved.instructions) > 0
    assert evolved.metrics["calls"] > 0
    named = api.evolve_instructions(
        seeds, operator_policy=trained.policy, engine="scripted", model=script, style="plain",
        steps=2,
    )  # fmt: skip
    assert [row.instruction for row in evolved.instructions] == [
        row.instruction for row in named.instructions
    ]
