"""What a run asks of endpoints: the plan's tokens and money, and what is counted while it runs."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from refine_af.cli import main
from refine_af.contracts.progress import EVENTS_VARIABLE
from refine_af.contracts.records import Seed
from refine_af.pipelines.config import RunConfig, load_config
from refine_af.pipelines.endpoints import CHARACTERS_PER_TOKEN, asked_of_endpoints
from refine_af.pipelines.inputs import check_contents
from refine_af.pipelines.plan import dry_run_text
from refine_af.pipelines.tasks import planned
from refine_af.runner import run_stage
from refine_af.self_instruct.prompts import classification_prompt, instance_prompt
from refine_af.stages.seed_ingest import read_seeds
from refine_af.storage.sources import BUILTIN

URL = "http://127.0.0.1:1/v1"
PRICES: dict[str, Any] = {"price_per_million_read": 0.5, "price_per_million_written": 2.0}


def asking(stage: str, preset: str = "smoke", **values: Any) -> RunConfig:  # noqa: ANN401
    """Return a preset whose ``stage`` asks an endpoint."""
    given = {"engine": "openai", "base_url": URL, "model": "m", **values}
    arms = ("baseline",) if preset == "smoke" else ("uniform",)
    config = load_config(preset, "").with_values((f"arms={','.join(arms)}",))
    return config.with_values(tuple(f"{stage}.{name}={value}" for name, value in given.items()))


def packaged_seeds() -> list[Seed]:
    return read_seeds(BUILTIN["builtin:seeds"], "builtin:seeds", "").rows


def test_a_run_without_endpoints_asks_none() -> None:
    config = load_config("smoke", "")
    assert asked_of_endpoints(config) == []
    assert "endpoint" not in dry_run_text(config, config, Path("x"))


def test_instances_cost_what_their_prompts_and_answers_do() -> None:
    """16 instructions, each one question about its kind and one request; few-shot prompts."""
    (asked,) = asked_of_endpoints(
        asking("generate_instances", max_tokens=100, style="few_shot", **PRICES)
    )
    texts = [seed.instruction for seed in packaged_seeds()]
    characters = sum(
        len(instance_prompt(text, "input_first", "few_shot"))
        + len(classification_prompt(text, "few_shot"))
        for text in texts
    ) / len(texts)
    assert (asked.task, asked.calls) == ("generate_instances (baseline)", 32)
    assert asked.read == round(16 * characters / CHARACTERS_PER_TOKEN)
    assert asked.written == 16 * 100 + 16 * 4
    assert asked.money == pytest.approx((0.5 * asked.read + 2.0 * asked.written) / 1e6)


def test_without_a_price_there_are_tokens_and_no_money() -> None:
    config = asking("generate_instructions", max_requests=1000, max_tokens=1000)
    (asked,) = asked_of_endpoints(config)
    assert (asked.calls, asked.written, asked.money) == (1000, 1_000_000, None)
    text = dry_run_text(config, config, Path("x"))
    assert "no price" in text
    assert "prices are the parameters price_per_million_read and" in text
    assert "endpoints in all" not in text
    priced = asking("generate_instructions", max_requests=1000, max_tokens=1000, **PRICES)
    (asked,) = asked_of_endpoints(priced)
    assert asked.money is not None
    assert f"endpoints in all: {asked.money:,.2f} for prompts" in dry_run_text(
        priced, priced, Path("x")
    )


def test_a_judge_has_prices_of_its_own() -> None:
    config = load_config("smoke", "").with_values(
        (
            "arms=baseline",
            "score_rewards.reward=judge",
            "score_rewards.judge=m",
            f"score_rewards.judge_url={URL}",
            "score_rewards.judge_price_per_million_read=3",
            "generate_instances.max_instances=2",
        )
    )
    check_contents(planned(config))  # check_inputs knows the judge too
    (asked,) = asked_of_endpoints(config)
    assert (asked.task, asked.calls) == ("score_rewards (baseline), judge", 32)
    assert asked.money == pytest.approx(3 * asked.read / 1e6)


def test_a_reviewer_has_prices_of_its_own() -> None:
    stage = "evolve_instructions"
    values = {"reviewer": "r", "reviewer_price_per_million_written": 1.0, **PRICES}
    rewriter, reviewer = asked_of_endpoints(asking(stage, "teams-rl-smoke", **values))
    assert [item.task for item in (rewriter, reviewer)] == [
        f"{stage} (uniform)",
        f"{stage} (uniform), reviewer",
    ]
    assert reviewer.calls == 2 * rewriter.calls
    assert reviewer.money == pytest.approx(reviewer.written / 1e6)
    both = asked_of_endpoints(asking(stage, "teams-rl-smoke", **PRICES))
    assert [item.calls for item in both] == [rewriter.calls + reviewer.calls]
    unasked = {"accept": 0.0, "weight_changed": 0.0, **values}
    alone = asked_of_endpoints(asking(stage, "teams-rl-smoke", **unasked))
    assert [item.calls for item in alone] == [rewriter.calls]


def test_seeds_that_do_not_say_their_kind_are_asked_about(tmp_path: Path) -> None:
    rows = [{"instruction": f"Name {n} seas.", "output": "The Red Sea."} for n in range(5)]
    rows[0]["is_classification"] = "false"
    path = tmp_path / "seeds.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = asking("seed_ingest", classification="ask", seeds_uri=path)
    (asked,) = asked_of_endpoints(config)
    assert (asked.task, asked.calls) == ("seed_ingest", 4)


class Grader(BaseHTTPRequestHandler):
    """Answers every chat with the same text and says that it read 100 tokens and wrote 10."""

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": "4"}
        answer = {
            "choices": [{"text": "4", "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10},
        }
        raw = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Grader)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


JUDGE: dict[str, Any] = {
    "reward": "judge",
    "judge": "m",
    "judge_price_per_million_read": 30_000.0,
    "judge_price_per_million_written": 200_000.0,
}


def test_money_so_far_is_in_events_telemetry_and_the_timing_page(
    tmp_path: Path,
    endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """3 rows at 100 tokens read and 10 written: 3 (100 x 0.03 + 10 x 0.2) = 15."""
    rows = [{"instruction": f"Name {n} seas.", "output": "Red, Black."} for n in (2, 3, 4)]
    instances = tmp_path / "instances.jsonl"
    instances.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = tmp_path / "run" / "artifacts" / "score_rewards"
    events = tmp_path / "events"
    monkeypatch.setenv(EVENTS_VARIABLE, str(events))
    run_stage(
        "score_rewards",
        inputs={"instances": str(instances)},
        outputs={
            name: str(folder / name) for name in ("scored", "rejected", "telemetry", "provenance")
        },
        params={**JUDGE, "judge_url": endpoint},
    )
    telemetry = json.loads((folder / "telemetry").read_text())
    assert telemetry["endpoint_money"] == pytest.approx(15.0)
    assert (telemetry["prompt_tokens"], telemetry["new_tokens"]) == (300, 30)
    last = json.loads(events.read_text().splitlines()[-1])
    assert last["spent"]["endpoint_money"] == pytest.approx(15.0)
    words = ["timing", str(tmp_path / "run"), "--output", str(tmp_path / "t.html")]
    assert main(words) == 0
    assert "15.00 for tokens of endpoints" in capsys.readouterr().out


def test_the_judge_of_ppo_costs_too(tmp_path: Path, endpoint: str) -> None:
    """2 updates of 2 episodes; an action without an instance asks nothing."""
    rows = [{"instruction": "Reverse the order of the words."}]
    instructions = tmp_path / "instructions.jsonl"
    instructions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = ("adapter", "curves", "episodes", "events", "alarms", "telemetry")
    small = {"updates": 2, "episodes_per_update": 2, "episodes_per_prompt": 1, "minibatch": 2}
    small |= {"microbatch": 2, "epochs": 1, "max_new_tokens": 24, "lora_rank": 4}
    run_stage(
        "train_ppo",
        inputs={"instructions": str(instructions)},
        outputs={name: str(tmp_path / name) for name in names},
        params={**small, **JUDGE, "judge_url": endpoint},
    )
    telemetry = json.loads((tmp_path / "telemetry").read_text())
    assert telemetry["calls"] > 0
    assert telemetry["endpoint_money"] == pytest.approx(5.0 * telemetry["calls"])
