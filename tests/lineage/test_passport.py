"""``refine-af explain``: every row of a run, against the files read the plain way."""

import hashlib
import json
from pathlib import Path

import pytest
from made_folder import shared_folder
from reading import ancestors, every_parent, rows

from refine_af.cli import main
from refine_af.contracts.errors import ParameterError
from refine_af.contracts.jsonl import write_rows
from refine_af.dedup.rouge_l import rouge_l
from refine_af.lineage.digest_list import write_digest_list
from refine_af.lineage.passport import passport
from refine_af.lineage.passport_text import passport_lines
from refine_af.lineage.run import open_run
from refine_af.lineage.trace import trace
from refine_af.lineage.verify import verify_run
from refine_af.runner import find_stage, run_stage
from refine_af.self_instruct.prompts import instructions_prompt


@pytest.fixture
def made() -> Path:
    return shared_folder()


def test_every_row_of_every_artifact_has_a_passport(made: Path) -> None:
    run = open_run(made)
    count = 0
    for _, _, artifact in run.every_file():
        for row in rows(artifact.path)[::11]:
            if "id" in row:
                found = passport(run, row["id"])
                assert json.loads(json.dumps(found))["id"] == row["id"]
                count += 1
    assert count > 150


def test_seeds_of_a_row_are_those_of_a_plain_closure(made: Path) -> None:
    run, parents = open_run(made), every_parent(made)
    for name in ("generate_instructions/instructions", "score_rewards-rl/scored"):
        for row in rows(made / "artifacts" / name)[-20:]:
            expected = {one for one in ancestors(parents, row["id"]) if one.startswith("seed-")}
            assert {one["id"] for one in passport(run, row["id"])["seeds"]} == expected
            assert len(expected) >= 6


def test_the_writing_of_a_kept_row(made: Path) -> None:
    artifacts = made / "artifacts"
    row = rows(artifacts / "dedup_filter" / "kept")[-1]
    texts = {
        one["id"]: one["instruction"]
        for one in rows(artifacts / "seed_ingest" / "seeds")
        + rows(artifacts / "generate_instructions" / "instructions")
    }
    (writing,) = passport(open_run(made), row["id"])["history"][0]["writing"]
    prompt = instructions_prompt([texts[parent] for parent in row["parents"]])
    assert writing["call"]["prompt_digest"] == hashlib.sha256(prompt.encode()).hexdigest()
    assert writing["call"]["request"] == f"shard-0-request-{row['request']}"
    assert writing["call"]["sampling"]["temperature"] == 0.7
    assert row["instruction"] in writing["call"]["text"]
    assert writing["model"] == "builtin:tiny"


def test_the_nearest_of_a_kept_row_is_that_of_a_full_comparison(made: Path) -> None:
    run = open_run(made)
    seeds = rows(made / "artifacts" / "seed_ingest" / "seeds")
    kept = rows(made / "artifacts" / "dedup_filter" / "kept")
    for place in (0, 7, len(kept) - 1):
        pool = seeds + kept[:place]
        scores = [rouge_l(kept[place]["instruction"], one["instruction"]) for one in pool]
        best = scores.index(max(scores))
        verdicts = passport(run, kept[place]["id"])["history"][0]["verdicts"]
        assert [one["task"] for one in verdicts] == ["generate_instructions", "dedup_filter"]
        for verdict in verdicts:
            assert verdict["nearest"]["id"] == pool[best]["id"]
            assert verdict["nearest"]["score"] == scores[best]
            assert verdict["bound"] == 0.7


def test_a_dropped_row_names_rule_neighbour_and_score(made: Path) -> None:
    artifacts = made / "artifacts"
    dropped = rows(artifacts / "generate_instructions" / "rejected")
    row = next(one for one in dropped if one["reason"] == "similar")
    found = passport(open_run(made), row["id"])["history"][0]
    (verdict,) = found["verdicts"]
    assert (verdict["verdict"], verdict["reason"]) == ("dropped", "similar")
    assert verdict["neighbour"]["id"] == row["neighbour"]
    assert rouge_l(row["text"], verdict["neighbour"]["text"]) == verdict["score"] > 0.7
    assert row["text"] in found["writing"][0]["call"]["text"]


def test_what_became_of_an_instance(made: Path) -> None:
    artifacts = made / "artifacts"
    row = rows(artifacts / "score_rewards-rl" / "scored")[7]
    found = passport(open_run(made), row["id"])
    assert [one["id"] for one in found["history"]] == [row["id"], row["parents"][0]]
    (reward,) = found["reward"]
    assert (reward["total"], reward["parts"]) == (row["total"], row["parts"])
    (used,) = [one for one in rows(artifacts / "train_sft-rl" / "used") if one["id"] == row["id"]]
    (training,) = found["sft"]
    assert (training["trained_on"], training["reason"]) == (not used["cut"], used["reason"])
    weights = json.loads((artifacts / "evaluate-rl" / "provenance").read_text())["inputs"]
    assert training["adapter_digest"] == weights["adapter"]
    episodes = rows(artifacts / "train_ppo" / "episodes")
    expected = [one for one in episodes if one["prompt_id"] == row["parents"][0]]
    assert [one["advantage"] for one in found["ppo"]] == [one["advantage"] for one in expected]
    assert len(expected) == 2


def test_the_nearest_evaluation_rows(made: Path) -> None:
    row = rows(made / "artifacts" / "score_rewards-rl" / "scored")[3]
    asked = rows(made / "artifacts" / "evaluate-baseline" / "predictions")
    text = f"{row['instruction']} {row['input']}"
    scores = sorted((rouge_l(text, one["input"]) for one in asked), reverse=True)
    found = passport(open_run(made), row["id"])["evaluation"]
    assert [one["score"] for one in found] == scores[:3]


def test_an_instruction_names_what_was_made_from_it(made: Path) -> None:
    row = rows(made / "artifacts" / "dedup_filter" / "kept")[0]
    found = passport(open_run(made), row["id"])["made_from_it"]
    assert {one["artifact"] for one in found} >= {"generate_instances-rl/instances"}


def test_an_unknown_id_is_one_line_and_a_code(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "ins-none", "--run", str(made)]) == ParameterError.exit_code
    assert "is not a row of" in capsys.readouterr().err


def test_text_and_json_from_the_command_line(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = rows(made / "artifacts" / "score_rewards-rl" / "scored")[0]
    monkeypatch.chdir(made)
    assert main(["explain", row["id"]]) == 0
    text = capsys.readouterr().out
    assert "prompt sha256" in text
    assert "advantage" in text
    assert main(["explain", row["id"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == row["id"]


def test_folders_of_tasks_without_a_run_around_them(made: Path) -> None:
    row = rows(made / "artifacts" / "dedup_filter" / "kept")[0]
    assert passport(open_run(made / "artifacts"), row["id"])["seeds"]


def test_a_row_of_textual_operations(tmp_path: Path) -> None:
    script = [
        {"match": "New task:", "text": f"Compare {count} rivers by age and size in a table."}
        for count in range(3, 40)
    ] + [
        {"match": "Question:", "text": " Yes"},
        {"match": "Instruction:", "text": "Input: a list\nOutput: An answer."},
    ]
    write_rows(tmp_path / "script", script)
    artifacts = tmp_path / "artifacts"
    writer = {"engine": "scripted", "model": str(tmp_path / "script"), "style": "plain"}
    for stage, inputs, params in (
        ("seed_ingest", {}, {}),
        (
            "evolve_instructions",
            {"seeds": str(artifacts / "seed_ingest" / "seeds")},
            writer | {"policy": "uniform", "seeds_limit": 8, "keep_seeds": True},
        ),
        (
            "dedup_filter",
            {"candidates": str(artifacts / "evolve_instructions" / "instructions")},
            {"max_rouge_l": 0.95},
        ),
        (
            "generate_responses",
            {"instructions": str(artifacts / "dedup_filter" / "kept")},
            writer | {"held_out_share": 0.3},
        ),
    ):
        names = [item.name for item in find_stage(stage).outputs] + ["metrics", "provenance"]
        place = tmp_path / "artifacts" / stage
        outputs = {name: str(place / name) for name in names}
        run_stage(stage, inputs=inputs, outputs=outputs, params=params)
    run = open_run(tmp_path)
    for name in ("instructions", "rejected"):
        row = rows(tmp_path / "artifacts" / "evolve_instructions" / name)[-1]
        found = passport(run, row["id"])
        (writing,) = found["history"][0]["writing"]
        operation = writing["operation"]
        assert operation["text"] == row.get("instruction", row.get("text"))
        assert operation["parents"] == row["parents"]
        assert writing["call"]["text"].strip() == operation["text"]
        assert writing["call"]["parents"] == row["parents"]
        assert len(found["seeds"]) == 1
        assert any("operator" in line for line in passport_lines(found))
        asked = operation["changed"] is not None
        assert ("reviewer not asked" in "".join(passport_lines(found))) != asked
    own = rows(artifacts / "evolve_instructions" / "instructions")[0]
    assert own["policy"] == "seed"
    assert passport(run, own["id"])["history"][0]["writing"] == []
    for name in ("instances", "held_out"):
        row = rows(artifacts / "generate_responses" / name)[-1]
        found = passport(run, row["id"])
        pair, evolved = found["history"][:2]
        assert pair["writing"][0]["call"]["text"].endswith(row["output"])
        assert evolved["first_in"] == "evolve_instructions/instructions"
        assert [one["task"] for one in evolved["verdicts"]] == [
            "evolve_instructions",
            "dedup_filter",
        ]
    seed = found["seeds"][0]["seed_id"]
    below = {row_id for made in trace(run, seed).descendants.values() for row_id in made}
    assert {row["id"], evolved["id"]} <= below
    assert not any(row_id.startswith("step-") for row_id in below)
    write_digest_list(tmp_path)
    found_problems = verify_run(tmp_path).problems
    assert found_problems == ()
