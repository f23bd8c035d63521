"""The audit finds what a fine-tuning learned by heart, and no difference where there is none."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from refine_af.contracts.jsonl import iter_objects, write_rows
from refine_af.contracts.records import Instance
from refine_af.engines.models import load_model
from refine_af.runner import run_stage
from refine_af.sft.losses import completion_losses
from refine_af.sft.templates import training_text

MODEL = "builtin:tiny"
TRAINING = {
    "batch_size": 12, "learning_rate": 0.005, "lora_rank": 8, "max_length": 128,
    "include_seed_tasks": False, "template": "plain", "model": MODEL,
}  # fmt: skip


def rows(first: int, count: int) -> list[Instance]:
    """Return rows whose answers cannot be guessed."""
    found = []
    for number in range(first, first + count):
        draw = Random(number)
        one, two, answer = ("".join(draw.choices("abcdefgh", k=6)) for _ in range(3))
        text = f"Say {one} {two}."
        found.append(
            Instance.make(f"ins-{number}", text, "", answer, is_classification=False, sample=0)
        )
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an adapter trained on rows 0 to 11, and one on others, barely."""
    folder = tmp_path_factory.mktemp("audit")
    for name, first, steps in (("members", 0, 30), ("reference", 100, 1)):
        write_rows(folder / name, rows(first, 12))
        run_stage(
            "train_sft",
            inputs={"instances": str(folder / name)},
            outputs={
                item: str(folder / f"{name}-out" / item)
                for item in ("adapter", "merged", "history", "used", "metrics")
            },
            params=TRAINING | {"max_steps": steps},
        )
    return folder


def audit(world: Path, place: Path, held_out: list[Instance]) -> dict[str, dict[str, Any]]:
    write_rows(place / "held_out", held_out)
    run_stage(
        "audit_privacy",
        inputs={
            "adapter": str(world / "members-out" / "adapter"),
            "instances": str(world / "members"),
            "used": str(world / "members-out" / "used"),
            "held_out": str(place / "held_out"),
            "reference": str(world / "reference-out" / "adapter"),
        },
        outputs={"audit": str(place / "audit"), "losses": str(place / "losses")},
        params={"model": MODEL, "template": "plain"},
    )
    found: dict[str, dict[str, Any]] = json.loads((place / "audit").read_text())["attacks"]
    return found


def test_rows_learned_by_heart_are_found(world: Path, tmp_path: Path) -> None:
    found = audit(world, tmp_path, rows(200, 12))
    assert set(found) == {"loss", "calibrated_loss", "reference_model"}
    for name, one in found.items():
        assert one["auc"] > 0.8, name
        assert one["low"] > 0.6, name
        assert one["warning"] == ""
    losses = [row for _, row in iter_objects(tmp_path / "losses")]
    assert [row["member"] for row in losses] == [True] * 12 + [False] * 12


def test_held_out_rows_that_were_trained_on_are_no_better_than_a_coin(
    world: Path, tmp_path: Path
) -> None:
    found = audit(world, tmp_path, rows(0, 12))
    assert found["loss"]["auc"] == pytest.approx(0.5)
    assert found["calibrated_loss"]["auc"] == pytest.approx(0.5)


def test_losses_are_those_of_transformers_row_by_row() -> None:
    some = rows(0, 3)
    some[1] = some[1].model_copy(update={"output": "short"})
    model, tokenizer = load_model(MODEL)
    found = completion_losses(MODEL, None, some, "plain", 1)
    for row, loss in zip(some, found, strict=True):
        text = training_text(row, "plain", 1, tokenizer)
        before = tokenizer(text.prompt, add_special_tokens=False)["input_ids"]
        after = tokenizer(text.completion, add_special_tokens=False)["input_ids"]
        after += [tokenizer.eos_token_id]
        ids = torch.tensor([before + after])
        labels = torch.tensor([[-100] * len(before) + after])
        with torch.no_grad():
            expected = model(input_ids=ids, labels=labels).loss
        assert loss == pytest.approx(float(expected), rel=1e-4)
