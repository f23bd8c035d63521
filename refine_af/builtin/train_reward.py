"""Training and measurement of the embedded reward on synthetic corruptions.

The gold scorer measures the result; nothing is trained on it, and nothing is chosen by it but which
of two signals is shipped as coherence and reward score.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from refine_af.builtin import measure
from refine_af.builtin.examples import Example, draw_example, draw_skill, wrong_output
from refine_af.builtin.randomness import rng_for
from refine_af.builtin.reward_model import (
    HEAD_FILE,
    INDICATORS,
    SETTINGS_FILE,
    SIGNALS,
    Head,
    Row,
    Trunk,
    indicators,
)

Labels = tuple[float, float, float, float]
_UNKNOWN = -1.0


@dataclass(frozen=True)
class Labelled:
    """A row with one label per indicator: 1 right, 0 corrupted, -1 not known."""

    row: Row
    labels: Labels


def _shuffle(rng: Random, text: str) -> str:
    found = text.split()
    rng.shuffle(found)
    return " ".join(found)


def _repeat(rng: Random, text: str) -> str:
    found = text.split()
    place = rng.randrange(len(found))
    return " ".join(found[: place + 1] + [found[place]] * rng.randint(1, 4) + found[place + 1 :])


def _insert(rng: Random, text: str) -> str:
    found = text.split()
    other = draw_example(rng, draw_skill(rng)).instruction.split()
    place = rng.randrange(len(found) + 1)
    return " ".join([*found[:place], *rng.sample(other, min(3, len(other))), *found[place:]])


def _garble(rng: Random, text: str) -> str:
    letters = list(text)
    for _ in range(max(2, len(letters) // 5)):
        letters[rng.randrange(len(letters))] = rng.choice("abcdefghijklmnopqrstuvwxyz ")
    return "".join(letters)


def _truncate(rng: Random, text: str) -> str:
    return text[: rng.randint(1, max(1, len(text) * 2 // 3))].rstrip() or text[:1]


_UNNATURAL: tuple[Callable[[Random, str], str], ...] = (_shuffle, _repeat, _insert)
_UNCLEAR: tuple[Callable[[Random, str], str], ...] = (_garble, _truncate)


def _damage(
    rng: Random, example: Example, ways: Sequence[Callable[[Random, str], str]]
) -> Row | None:
    on_input = bool(example.input) and rng.random() < 0.5
    text = example.input if on_input else example.output
    for _ in range(10):
        changed = rng.choice(ways)(rng, text)
        pair = (changed, example.output) if on_input else (example.input, changed)
        # A shuffled list is a list as good as the first: only what the checker rejects is damage.
        if changed != text and not example.skill.check(example.slots, *pair):
            return example.instruction, *pair
    return None


def _foreign_pair(rng: Random, example: Example) -> Row | None:
    other = draw_example(rng, draw_skill(rng))
    if example.skill.check(example.slots, other.input, other.output):
        return None
    return example.instruction, other.input, other.output


def labelled_row(rng: Random, held_out: bool) -> Labelled:
    """Draw one right or corrupted row of a trained skill."""
    example = draw_example(rng, draw_skill(rng), held_out)
    right = (example.instruction, example.input, example.output)
    kind = rng.random()
    if kind < 0.4:
        return Labelled(right, (1.0, 1.0, 1.0, 1.0))
    if kind < 0.65:
        row: Row | None = (example.instruction, example.input, wrong_output(rng, example))
        labels: Labels = (1.0, 0.0, 1.0, 0.0)
    elif kind < 0.75:
        row, labels = _foreign_pair(rng, example), (1.0, 0.0, 1.0, 0.0)
    elif kind < 0.88:
        row, labels = _damage(rng, example, _UNNATURAL), (0.0, _UNKNOWN, _UNKNOWN, 0.0)
    else:
        row, labels = _damage(rng, example, _UNCLEAR), (0.0, _UNKNOWN, 0.0, 0.0)
    return Labelled(right, (1.0, 1.0, 1.0, 1.0)) if row is None else Labelled(row, labels)


def rows(count: int, seed: int, held_out: bool = False) -> list[Labelled]:
    """Draw labelled rows, in held-out wordings for measuring."""
    return [labelled_row(rng_for(seed, "reward", i), held_out) for i in range(count)]


def fit(features: Tensor, labels: Tensor, seed: int, steps: int = 1500) -> Head:
    """Fit the head to features [rows, width] and labels [rows, 4] with -1 where not known."""
    torch.manual_seed(seed)
    head = Head(features.shape[1])
    head.mean.copy_(features.mean(0))
    head.scale.copy_(features.std(0).clamp(min=1e-3))
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    known = (labels >= 0).float()
    for _ in range(steps):
        chosen = torch.randint(len(features), (512,))
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            head(features[chosen]), labels[chosen].clamp(min=0.0), reduction="none"
        )
        loss = (losses * known[chosen]).sum() / known[chosen].sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return head.eval()


def ranks(values: Tensor) -> Tensor:
    """Return the ranks of values, equal ones sharing their mean rank."""
    _, inverse, counts = torch.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    found: Tensor = (last - (counts.double() - 1) / 2)[inverse]
    return found


def area(scores: Tensor, labels: Tensor) -> float:
    """Return the area under the ROC curve: the chance that a right row scores above a wrong one."""
    positive = labels > 0.5
    n, m = int(positive.sum()), int((~positive).sum())
    total = float(ranks(scores)[positive].sum())
    return (total - n * (n + 1) / 2) / (n * m) if n and m else float("nan")


def spearman(left: Tensor, right: Tensor) -> float:
    """Return the rank correlation of two series."""
    return float(torch.corrcoef(torch.stack([ranks(left), ranks(right)]))[0, 1])


def pointwise_information(trunk: Trunk, found: Sequence[Row]) -> Tensor:
    """Return mean log p(output | instruction, input) minus the same without the instruction."""
    column = int(trunk.model.config.hidden_size) + 4
    bare = [("", text, output) for _, text, output in found]
    return trunk.features(found)[:, column] - trunk.features(bare)[:, column]


def on_corruptions(trunk: Trunk, head: Head, count: int, seed: int) -> dict[str, float]:
    """Return the AUC of every indicator on corruptions in held-out wordings."""
    found = rows(count, seed, held_out=True)
    labels = torch.tensor([r.labels for r in found])
    features = trunk.features([r.row for r in found])
    out = {}
    for signal in SIGNALS:
        logits = indicators(head, features, signal).detach()
        for number, name in enumerate(INDICATORS):
            known = labels[:, number] >= 0
            out[f"AUC {name} by {signal}"] = area(logits[known, number], labels[known, number])
    known = labels[:, 1] >= 0
    information = pointwise_information(trunk, [r.row for r in found])
    out["AUC coherence by PMI"] = area(information[known], labels[known, 1])
    return out


def on_samples(
    trunk: Trunk, head: Head, generator: measure.Generator, count: int, seed: int
) -> dict[str, float]:
    """Return how the indicators agree with the gold scorer on the model's own instances."""
    sampling = measure.Sampling(1.0, seed=seed)
    drawn = measure.sample_instances(generator, count, sampling, False, seed)
    kept = [s for s in drawn if s.pair is not None and s.gold is not None]
    found: list[Row] = [(s.instruction, *s.pair) for s in kept if s.pair is not None]
    gold = torch.tensor([float(s.gold or 0.0) for s in kept])
    features = trunk.features(found)
    signals = {"PMI": pointwise_information(trunk, found)}
    for signal in SIGNALS:
        logits = indicators(head, features, signal).detach()
        signals |= {f"{name} by {signal}": logits[:, i] for i, name in enumerate(INDICATORS)}
    out = {"rows": float(len(kept)), "gold share": float(gold.mean())}
    for name, values in signals.items():
        out[f"AUC {name}"] = area(values, gold)
        out[f"Spearman {name}"] = spearman(values, gold)
    return out


def train(folder: Path, out: Path, count: int, seed: int) -> dict[str, dict[str, float]]:
    """Train the head on the model in ``folder``, write it to ``out`` and return its measures.

    Which of the two signals is shipped follows from the agreement with the gold scorer.
    """
    from safetensors.torch import save_file

    trunk = Trunk(folder)
    found = rows(count, seed)
    labels = torch.tensor([r.labels for r in found])
    head = fit(trunk.features([r.row for r in found]), labels, seed)
    own = on_samples(trunk, head, measure.Generator(folder), 600, seed + 1)
    signal = max(SIGNALS, key=lambda name: own[f"AUC reward by {name}"])
    out.mkdir(parents=True, exist_ok=True)
    save_file(head.state_dict(), str(out / HEAD_FILE))
    (out / SETTINGS_FILE).write_text(json.dumps({"signal": signal}) + "\n")
    return {
        "corruptions in held-out wordings": on_corruptions(trunk, head, 1500, seed + 1),
        "the model's own instances, against the gold scorer": own,
    }
