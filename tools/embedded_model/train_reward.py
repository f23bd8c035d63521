"""Training and measurement of the embedded reward on synthetic corruptions.

The gold scorer measures the result; nothing is trained on it, and nothing is chosen by it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from embedded_model import measure
from embedded_model.corruptions import Labelled, rows
from refine_af.builtin import PATHS, SCHEME
from refine_af.builtin.randomness import rng_for
from refine_af.builtin.reward_model import HEAD_FILE, INDICATORS, Encoded, Head, Row, Trunk
from refine_af.statistics import ranks, spearman

_POOL = 8  # minibatches drawn together and sorted by length, so that little is padded


@dataclass(frozen=True)
class Plan:
    """How the reward is trained.

    Attributes:
        rows: Labelled rows, each seen once.
        batch: Rows of one step.
        rank: Rank of the adapter on every linear layer; its scale is 1.
        learning_rate: Of the adapter, at the top of one cycle.
        head_rate: Of the head, likewise.
    """

    rows: int = 43_200
    batch: int = 48
    rank: int = 32
    learning_rate: float = 2e-3
    head_rate: float = 3e-3

    @property
    def steps(self) -> int:
        """Return the optimiser steps of the whole training."""
        return self.rows // self.batch


def tune(trunk: Trunk, head: Head, plan: Plan, seed: int) -> Iterator[float]:
    """Train an adapter of the trunk and the head together; yield each step's loss."""
    adapter = [one for one in trunk.model.parameters() if one.requires_grad]
    groups = [
        {"params": adapter, "weight_decay": 0.01},
        {"params": list(head.parameters()), "weight_decay": 0.05},
    ]
    optimizer = torch.optim.AdamW(groups)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [plan.learning_rate, plan.head_rate], total_steps=plan.steps, pct_start=0.08
    )
    for batch in _batches(trunk, plan, seed):
        logits = head(trunk.batch([encoded for encoded, _ in batch]))
        loss = _loss(logits, torch.tensor([row.labels for _, row in batch]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(adapter, 1.0)
        optimizer.step()
        schedule.step()
        yield loss.item()


def _batches(trunk: Trunk, plan: Plan, seed: int) -> Iterator[list[tuple[Encoded, Labelled]]]:
    """Yield the plan's steps, each of rows of like length, in a seeded order."""
    for start in range(0, plan.steps, _POOL):
        count = min(_POOL, plan.steps - start)
        found = rows(count * plan.batch, seed, first=start * plan.batch)
        encoded = [(trunk.encode(one.row), one) for one in found]
        encoded.sort(key=lambda pair: len(pair[0].ids))
        steps = [encoded[i * plan.batch : (i + 1) * plan.batch] for i in range(count)]
        rng_for(seed, "reward-order", start).shuffle(steps)
        yield from steps


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross entropy over known labels (logits and labels [rows, 4]), a scalar."""
    known = (labels >= 0).float()
    losses = nn.functional.binary_cross_entropy_with_logits(
        logits, labels.clamp(min=0.0), reduction="none"
    )
    return (losses * known).sum() / known.sum()


def area(scores: Tensor, labels: Tensor) -> float:
    """Return the area under the ROC curve: the chance that a right row scores above a wrong one."""
    positive = labels > 0.5
    n, m = int(positive.sum()), int((~positive).sum())
    ranked = zip(ranks(scores.tolist()), positive.tolist(), strict=True)
    total = sum(rank for rank, right in ranked if right)
    return (total - n * (n + 1) / 2) / (n * m) if n and m else float("nan")


def pointwise_information(trunk: Trunk, found: Sequence[Row]) -> Tensor:
    """Return mean log p(output | instruction, input) minus the same without the instruction."""
    column = int(trunk.model.config.hidden_size) + 4
    bare = [("", text, output) for _, text, output in found]
    return trunk.features(found)[:, column] - trunk.features(bare)[:, column]


def on_corruptions(trunk: Trunk, head: Head, base: Trunk, seed: int) -> dict[str, float]:
    """Return the AUC of every indicator on 1,500 rows in held-out wordings."""
    found = rows(1500, seed, held_out=True)
    labels = torch.tensor([r.labels for r in found])
    logits = head(trunk.features([r.row for r in found])).detach()
    out = {}
    for number, name in enumerate(INDICATORS):
        known = labels[:, number] >= 0
        out[f"AUC {name}"] = area(logits[known, number], labels[known, number])
    known = labels[:, 1] >= 0
    information = pointwise_information(base, [r.row for r in found])
    out["AUC coherence by PMI"] = area(information[known], labels[known, 1])
    return out


def on_samples(
    trunk: Trunk, head: Head, base: Trunk, generator: measure.Generator, seed: int
) -> dict[str, float]:
    """Return how the indicators agree with the gold scorer on 600 instances by the model itself."""
    sampling = measure.Sampling(1.0, seed=seed)
    drawn = measure.sample_instances(generator, 600, sampling, False, seed)
    kept = [s for s in drawn if s.pair is not None and s.gold is not None]
    found: list[Row] = [(s.instruction, *s.pair) for s in kept if s.pair is not None]
    gold = torch.tensor([float(s.gold or 0.0) for s in kept])
    logits = head(trunk.features(found)).detach()
    signals = {"PMI": pointwise_information(base, found)}
    signals |= {name: logits[:, number] for number, name in enumerate(INDICATORS)}
    out = {"rows": float(len(kept)), "gold share": float(gold.mean())}
    for name, values in signals.items():
        out[f"AUC {name}"] = area(values, gold)
        out[f"Spearman {name}"] = spearman(values.tolist(), gold.tolist()) or 0.0
    return out


def train(folder: Path, out: Path, plan: Plan, seed: int) -> dict[str, dict[str, float]]:
    """Train the reward on the model in ``folder``, write it to ``out``, measure what is there."""
    trunk, head = start(folder, plan, seed)
    for step, loss in enumerate(tune(trunk, head, plan, seed), start=1):
        if step % 100 == 0:
            print(f"reward: step {step}/{plan.steps}, loss {loss:.3f}", flush=True)
    write(trunk, head, out)
    return measured(folder, out, seed)


def start(folder: Path, plan: Plan, seed: int) -> tuple[Trunk, Head]:
    """Return the trunk with a fresh adapter, and a head standardised on the first rows."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    trunk = Trunk(folder)
    head = Head(trunk.width)
    features = trunk.features([one.row for one in rows(512, seed)])
    head.mean.copy_(features.mean(0))
    head.scale.copy_(features.std(0).clamp(min=1e-3))
    config = LoraConfig(r=plan.rank, lora_alpha=plan.rank, target_modules="all-linear")
    trunk.model = get_peft_model(trunk.model, config)
    return trunk, head


def write(trunk: Trunk, head: Head, out: Path) -> None:
    """Write the adapter in bfloat16 and the head in float32."""
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    model = cast(Any, trunk.model)
    model.peft_config["default"].base_model_name_or_path = f"{SCHEME}tiny"
    model.to(torch.bfloat16).save_pretrained(out, save_embedding_layers=False)
    (out / "README.md").unlink(missing_ok=True)  # peft's template card; ours is the package's page
    save_file(head.state_dict(), str(out / HEAD_FILE))


def measured(folder: Path, out: Path, seed: int) -> dict[str, dict[str, float]]:
    """Return the measures of a written reward, on rows that its training did not see."""
    base, trunk = Trunk(folder), Trunk(folder, adapter=out)
    head = Head.load(out)
    return {
        "corruptions in held-out wordings": on_corruptions(trunk, head, base, seed + 1),
        "the model's own instances, against the gold scorer": on_samples(
            trunk, head, base, measure.Generator(folder), seed + 1
        ),
    }


def main() -> None:
    """Train and measure the reward of the embedded model alone."""
    found = train(PATHS["tiny"], PATHS["tiny-reward"], Plan(), 0)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
