"""The stage on the embedded model: what it writes, who may act, which reward it takes."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from refine_af.contracts.errors import DependencyError, MissingLibraryError, ParameterError
from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.records import Instruction
from refine_af.feedback.interface import Triplet
from refine_af.ppo.event_file import NAME
from refine_af.runner import run_stage
from refine_af.self_instruct import task_kinds
from refine_af.self_instruct.instance_form import InstanceForm
from refine_af.self_instruct.prompts import Layout
from refine_af.self_instruct.task_kinds import layouts

TEXTS = [
    "Reverse the order of the words.",
    "Write the words in alphabetical order.",
    "Count the letters of the word.",
]
SMALL: dict[str, Any] = {
    "updates": 2,
    "episodes_per_update": 4,
    "episodes_per_prompt": 2,
    "minibatch": 4,
    "microbatch": 4,
    "epochs": 1,
    "learning_rate": 1e-3,
    "max_new_tokens": 24,
    "lora_rank": 4,
    "reward": "embedded",
}


def output_words(rows: Sequence[Triplet]) -> list[float]:
    """Serve as a reward of the user's own."""
    return [float(len(row.output.split())) for row in rows]


def trained(
    folder: Path,
    texts: Sequence[str] = TEXTS,
    **changes: Any,  # noqa: ANN401
) -> dict[str, float]:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [Instruction.make(text, (), at, 0, 0) for at, text in enumerate(texts)]
    write_rows(folder / "in.jsonl", rows)
    names = ("adapter", "curves", "episodes", "events", "alarms", "provenance")
    return run_stage(
        "train_ppo",
        inputs={"instructions": str(folder / "in.jsonl")},
        outputs={name: str(folder / name) for name in names},
        params=SMALL | changes,
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_two_processes_write_what_one_writes(tmp_path: Path) -> None:
    trained(tmp_path / "one", max_new_tokens=12)
    trained(tmp_path / "two", max_new_tokens=12, processes=2)
    one, two = (lines(tmp_path / name / "curves") for name in ("one", "two"))
    for first, second in zip(one, two, strict=True):
        assert first == pytest.approx(second, abs=1e-4)
    weights = [
        load_file(tmp_path / name / "adapter" / "adapter_model.safetensors")
        for name in ("one", "two")
    ]
    for name, tensor in weights[0].items():
        assert (tensor - weights[1][name]).abs().max() < 1e-4
    episodes = [lines(tmp_path / name / "episodes") for name in ("one", "two")]
    assert [row["action"] for row in episodes[0]] == [row["action"] for row in episodes[1]]
    assert (tmp_path / "one" / "events" / NAME).stat().st_size > 500
    # where the run took place is not part of what decided its rows
    params = json.loads((tmp_path / "two" / "provenance").read_text())["params"]
    assert "processes" not in params


@pytest.mark.parametrize("sharded", [False, True])
def test_each_process_classifies_its_share_of_the_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sharded: bool
) -> None:
    """And all train on the same prompts as one process does."""
    asked: list[int] = []

    def spy(rows: Sequence[Instruction], *more: Any, **named: Any) -> dict[str, Layout]:  # noqa: ANN401
        asked.append(len(rows))
        return layouts(rows, *more, **named)

    monkeypatch.setattr(task_kinds, "layouts", spy)
    texts = (
        "Classify the day: weekday or weekend.",
        "Reverse the order of the words.",
        "Is the person in the caption he or she?",
    )
    settings: dict[str, Any] = {"texts": texts, "updates": 1, "max_new_tokens": 12}
    one = trained(tmp_path / "one", **settings)
    two = trained(tmp_path / "two", **settings, processes=2, sharded=sharded)
    assert asked == [3, 2], "the other process, of rank 1, asks about the second prompt"
    assert one["classification"] == two["classification"] == 2
    actions = [
        [(row["prompt_id"], row["action"]) for row in lines(tmp_path / name / "episodes")]
        for name in ("one", "two")
    ]
    assert actions[0] == actions[1]


def test_it_trains_on_the_prompts_that_instances_are_later_asked_with(tmp_path: Path) -> None:
    labelled = ("Classify the day: weekday or weekend.", "Is the person in the caption he or she?")
    texts = (*labelled, "Reverse the order of the words.")
    found = trained(tmp_path, texts=texts, updates=1, episodes_per_update=6, max_new_tokens=16)
    assert found["classification"] == 2
    run_stage(
        "generate_instances",
        inputs={"instructions": str(tmp_path / "in.jsonl")},
        outputs={name: str(tmp_path / name) for name in ("instances", "rejected", "calls")},
        params={"max_tokens": 16},
    )
    asked = {row["parents"][0]: row["prompt_digest"] for row in lines(tmp_path / "calls")}
    rows = [Instruction.make(text, (), at, 0, 0) for at, text in enumerate(texts)]
    first: dict[str, Layout] = {
        row.id: "output_first" if row.instruction in labelled else "input_first" for row in rows
    }
    form = InstanceForm("plain")
    assert asked == {
        row.id: hashlib.sha256(form.prompt(row.instruction, first[row.id]).encode()).hexdigest()
        for row in rows
    }
    for row in lines(tmp_path / "episodes"):
        opening = ("Input:", "Output:") if first[row["prompt_id"]] == "input_first" else " "
        assert row["action"].startswith(opening)
        if opening == " ":  # a label, then an input that has it
            assert row["parseable"]
            assert row["action"].split("\n")[1].startswith("Input: ")


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_the_other_algorithms_write_the_same_files(tmp_path: Path, algorithm: str) -> None:
    found = trained(tmp_path, algorithm=algorithm)
    assert found["updates"] == 2
    assert len(lines(tmp_path / "episodes")) == 8
    assert {"kl", "reward_mean", "part_coherence_mean"} <= lines(tmp_path / "curves")[0].keys()
    assert "alarms" in json.loads((tmp_path / "alarms").read_text())
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    assert (tmp_path / "events" / NAME).is_file()


def test_an_extra_scorer_is_kept_apart_and_can_be_the_held_out_one(tmp_path: Path) -> None:
    name = f"{__name__}:output_words"
    trained(
        tmp_path,
        updates=1,
        reward_drop="coherence",
        reward_extra=name,
        held_out="output_words",
    )
    (row,) = lines(tmp_path / "curves")
    assert row["held_out"] == pytest.approx(row["part_output_words_mean"])
    assert row["part_output_words_mean"] == pytest.approx(row["part_words_mean"])
    assert "part_coherence_mean" in row  # measured, and not weighed


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        (
            {"algorithm": "rloo", "processes": 2},
            ParameterError,
            "algorithm is 'rloo'; it works with proce",
        ),
        ({"quantization": "nf4"}, ParameterError, "nf4', which needs an NVIDIA GPU"),
        (
            {"quantization": "nf4", "lora_rank": 0},
            ParameterError,
            "needs an adapter, and lora_rank",
        ),
        (
            {"rollout": "vllm", "processes": 2},
            ParameterError,
            "rollout is 'vllm'; it works in one",
        ),
        ({"rollout": "vllm_server"}, ParameterError, "rollout_url is ''"),
        (
            {"rollout": "vllm_server", "rollout_url": "http://127.0.0.1:9"},
            DependencyError,
            "does not answer",
        ),
        (
            {"style": "few_shot", "max_new_tokens": 2000},
            ParameterError,
            r"\d{3} tokens; .* set style to",
        ),
        ({"chat": True}, ParameterError, "chat is on, but the model has no chat template"),
        ({"held_out": "reward"}, ParameterError, "a part that is measured and not weighed: "),
        ({"reward": "judge"}, ParameterError, "judge is ''; the reward asks a judge"),
        ({"reward_drop": "length"}, ParameterError, "reward_drop is 'length'; preset embedded"),
        ({"reward_extra": "judgee"}, ParameterError, "Did you mean 'judge'"),
        ({"sharded": True}, ParameterError, "sharded is True; it splits weights over processes"),
        ({"processes": 2, "minibatch": 3}, ParameterError, "it must be a multiple of"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, changes: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        trained(tmp_path, **changes)
    assert not (tmp_path / "adapter").exists()


def test_weights_and_biases_is_a_wish_and_not_a_need(tmp_path: Path) -> None:
    with pytest.raises(MissingLibraryError, match="pip install wandb, or leave wandb empty"):
        trained(tmp_path, wandb="project")
