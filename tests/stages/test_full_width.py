"""Two layers at LLaMA-2-7B's full width, in bfloat16, through every stage that runs a model.

Width and vocabulary are what shapes, chunks, precisions and memory depend on; the number of layers
only repeats them. Weights are random, so no score means anything here.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from refine_af import builtin
from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.records import Instance, Instruction
from refine_af.engines.models import resolve_model

TASK = Path(builtin.__file__).parent / "tasks" / "builtin029_plural.json"
TEXTS = ["Sort the words: pear, apple.", "Count the letters of quince.", "Name a warm colour."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model and rows to work on."""
    place = tmp_path_factory.mktemp("width")
    config = LlamaConfig(
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=2,
        num_attention_heads=32,
        vocab_size=32000,
        max_position_embeddings=4096,
        pad_token_id=None,
    )
    torch.set_default_dtype(torch.bfloat16)
    try:
        model: LlamaForCausalLM = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    finally:
        torch.set_default_dtype(torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(resolve_model("builtin:fixture"))
    model.config.eos_token_id = model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(place / "model")
    tokenizer.save_pretrained(place / "model")
    instructions = [Instruction.make(text, (), row, 0, 0) for row, text in enumerate(TEXTS)]
    instances = [
        Instance.make(row.id, row.instruction, "", "An answer.", is_classification=False, sample=0)
        for row in instructions
    ]
    write_rows(place / "instructions.jsonl", instructions)
    write_rows(place / "instances.jsonl", instances)
    return place


def stage(folder: Path, name: str, *options: str) -> Path:
    """Run one stage as a user would; return the folder of its outputs."""
    out = folder / name
    command = [sys.executable, "-m", "refine_af", name, "--outputs-dir", str(out), *options]
    environment = os.environ | {"OMP_NUM_THREADS": str(os.cpu_count() or 1)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return out


def rows(path: Path) -> Sequence[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_ppo(folder: Path) -> None:
    out = stage(
        folder,
        "train-ppo",
        f"--model={folder / 'model'}",
        f"--instructions={folder / 'instructions.jsonl'}",
        "--precision=bfloat16",
        "--reward=embedded",
        "--style=plain",
        "--split=none",
        "--updates=1",
        "--episodes-per-update=2",
        "--minibatch=2",
        "--microbatch=2",
        "--epochs=1",
        "--max-new-tokens=8",
        "--lora-rank=16",
        "--warmup-updates=0",
    )
    (row,) = rows(out / "curves")
    assert row["ratio_first"] == 0
    assert abs(float(str(row["kl"]))) < 1e-6  # the first actions are the start model's
    assert float(str(row["gradient_norm"])) > 0


def test_fine_tuning(folder: Path) -> None:
    out = stage(
        folder,
        "train-sft",
        f"--model={folder / 'model'}",
        f"--instances={folder / 'instances.jsonl'}",
        "--include-seed-tasks=false",
        "--dtype=bfloat16",
        "--max-steps=1",
        "--batch-size=2",
        "--max-length=128",
    )
    assert (out / "adapter" / "adapter_model.safetensors").is_file()


def test_instances(folder: Path) -> None:
    made = stage(
        folder,
        "generate-instances",
        f"--model={folder / 'model'}",
        f"--instructions={folder / 'instructions.jsonl'}",
        "--engine=transformers",
        "--dtype=bfloat16",
        "--style=plain",
        "--split=none",
        "--max-tokens=8",
    )
    assert len(rows(made / "instances")) + len(rows(made / "rejected")) >= len(TEXTS)


def test_scores(folder: Path) -> None:
    scored = stage(
        folder,
        "score-rewards",
        f"--instances={folder / 'instances.jsonl'}",
        "--reward=embedded",
        "--reward-extra=language_model",
        f"--language-model={folder / 'model'}",
    )
    (first, *_) = rows(scored / "scored")
    assert float(first["parts"]["perplexity"]) > 1  # type: ignore[index]


def test_answers(folder: Path) -> None:
    answered = stage(
        folder,
        "evaluate",
        f"--model={folder / 'model'}",
        "--engine=transformers",
        "--dtype=bfloat16",
        "--instances=1",
        "--max-tokens=2",
        "--prompt=plain",
        f"--tasks-uri={TASK}",
    )
    assert len(rows(answered / "predictions")) == 1
