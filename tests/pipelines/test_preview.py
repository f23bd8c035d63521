"""``refine-af preview``: rows of the first stages as a person sees them."""

import json
from pathlib import Path

import pytest

from refine_af.cli import main
from refine_af.engines.opening import open_engine
from refine_af.engines.params import EngineParams
from refine_af.engines.text import TextEngine
from refine_af.pipelines.config import load_config
from refine_af.pipelines.preview import first_calls
from refine_af.pipelines.preview_text import preview_text
from refine_af.pipelines.tasks import planned
from refine_af.self_instruct.bootstrap import Bootstrap
from refine_af.self_instruct.params import BootstrapParams
from refine_af.stages.seed_ingest import read_seeds

ASKING = ("generate_instructions", "generate_instances")
SCRIPTED = ("arms=baseline", *(f"{stage}.engine=scripted" for stage in ASKING))
SEEDS = Path(__file__).parents[2] / "seeds" / "seed_tasks.jsonl"


def scripted(path: Path, text: str, match: str = "") -> tuple[str, ...]:
    """Return what makes both stages answer ``text`` to every prompt that holds ``match``."""
    path.write_text(json.dumps({"text": text, "match": match}) + "\n", "utf-8")
    return (*SCRIPTED, *(f"{stage}.model={path}" for stage in ASKING))


def test_the_embedded_model_shows_prompt_answer_verdict_and_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["preview", "--preset", "quickstart", "--limit", "3", "--json", "calls.jsonl"]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("preview: builtin:tiny: 3 requests for instructions\n")
    shown = captured.out
    calls = [json.loads(line) for line in Path("calls.jsonl").read_text("utf-8").splitlines()]
    assert [path.name for path in tmp_path.iterdir()] == ["calls.jsonl"]
    assert [call["stage"] for call in calls] == ["generate_instructions"] * 3 + [
        "generate_instances"
    ] * 3
    for call in calls:
        assert f"  | {call['prompt'].splitlines()[-1]}" in shown
        assert all(f"  | {line}" in shown for line in call["answer"].splitlines())
        assert call["pieces"]
        assert all(f"  {piece['verdict']}" in shown for piece in call["pieces"])
    scores = [piece["score"] for call in calls[3:] for piece in call["pieces"] if piece["score"]]
    assert scores
    assert "naturalness" in scores[0]["parts"]
    assert f"    reward {scores[0]['total']:.3g}: words " in shown
    assert all(piece["score"] is None for call in calls[:3] for piece in call["pieces"])


def test_the_prompts_are_the_first_of_the_run() -> None:
    config = load_config("quickstart", "").with_values(SCRIPTED)
    task = next(task for task in planned(config) if isinstance(task.params, BootstrapParams))
    assert isinstance(task.params, BootstrapParams)
    seeds = read_seeds(SEEDS, "seeds", "unknown").rows
    first = Bootstrap(seeds, task.params).next_requests()[:4]
    calls = first_calls(config, 4)
    assert [call.prompt for call in calls[:4]] == [request.prompt for request in first]


def test_answers_that_cannot_be_parsed_are_shown_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = scripted(tmp_path / "script.jsonl", "Sure!\x1b[2J")
    options = [word for text in given for word in ("--set", text)]
    assert main(["preview", *options, "--limit", "2"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert shown.count("  | Sure!\ufffd[2J") == 4
    assert "generate_instances: 2 requests; 2 unparseable" in shown
    assert "No instruction was accepted" in shown
    assert "    reward " not in shown


def test_a_failed_request_is_shown_with_the_engines_error(tmp_path: Path) -> None:
    given = scripted(tmp_path / "script.jsonl", "", match="no prompt holds this")
    config = load_config("quickstart", "").with_values(given)
    shown = preview_text(first_calls(config, 1))
    assert shown.count("answer (error)") == 2
    assert shown.count("  | no line of ") == 2
    assert shown.count("engine_error") >= 2


def test_one_engine_serves_both_stages_where_their_settings_agree(tmp_path: Path) -> None:
    opened: list[str] = []

    def opener(params: EngineParams, adapter: Path | None) -> TextEngine:
        opened.append(params.model)
        return open_engine(params, adapter)

    config = load_config("quickstart", "").with_values(scripted(tmp_path / "one.jsonl", "no list"))
    first_calls(config, 1, opener=opener)
    assert len(opened) == 1
    other = tmp_path / "two.jsonl"
    other.write_bytes((tmp_path / "one.jsonl").read_bytes())
    first_calls(config.with_values((f"generate_instances.model={other}",)), 1, opener=opener)
    assert opened[1:] == [str(tmp_path / "one.jsonl"), str(other)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "teams-rl-smoke"], "preview needs a preset of the pipeline refine-af"),
        (["--json", "nowhere/calls.jsonl"], "there is no such folder"),
        (["--set", "generate_instructions.target=0"], "generate_instructions.target is 0"),
        (["--limit", "0"], "--limit"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["preview", *options]) == 64
    assert message in capsys.readouterr().err
