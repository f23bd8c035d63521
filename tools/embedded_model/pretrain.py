"""Training of the embedded models on the generated corpus, to a wall-clock deadline."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from embedded_model import tokenizer as tok
from embedded_model.corpus import Blocks, blocks
from refine_af.builtin import EOS_ID, PAD_ID

LossOf = Callable[[nn.Module, dict[str, Tensor]], Tensor]
CONTEXT = 2048
EMBEDDINGS = 4096


@dataclass(frozen=True)
class Size:
    """Shape of one embedded model; the head size is always 64."""

    hidden: int
    layers: int
    mlp: int


SIZES = {"tiny": Size(256, 6, 704), "fixture": Size(128, 5, 384)}


@dataclass(frozen=True)
class Plan:
    """How a model is trained; ``steps`` bounds the run when it is not bounded by time."""

    minutes: float
    steps: int | None = None
    batch: int = 16
    length: int = 448
    rate: float = 2e-3
    flat: float = 0.4
    floor: float = 0.02
    warmup: int = 100
    seed: int = 0


def build_model(size: Size, seed: int) -> nn.Module:
    """Make the untrained model."""
    torch.manual_seed(seed)
    config = cast(Any, LlamaConfig)(
        vocab_size=EMBEDDINGS,
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.hidden // 64,
        num_key_value_heads=size.hidden // 64,
        intermediate_size=size.mlp,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
        rms_norm_eps=1e-5,
        attn_implementation="eager",
    )
    model: nn.Module = cast(Any, LlamaForCausalLM)(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            deep = name.endswith(("o_proj.weight", "down_proj.weight"))
            torch.nn.init.normal_(parameter, std=0.02 / (math.sqrt(2 * size.layers) if deep else 1))
    return model


def make_optimizers(model: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    """Use Muon for the hidden matrices (fewer tokens to the same loss) and AdamW for the rest."""
    hidden = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(
            hidden, lr=rate, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


def rate_factor(done: float, plan: Plan, step: int) -> float:
    """Return the share of the full learning rate: warm-up, flat, linear decay to the floor."""
    if step < plan.warmup:
        return (step + 1) / plan.warmup
    if done < plan.flat:
        return 1.0
    return max(plan.floor, 1.0 - (1.0 - plan.floor) * (done - plan.flat) / (1.0 - plan.flat))


def document_mask(document: Tensor) -> Tensor:
    """Turn document numbers [batch, length] into an additive mask [batch, 1, length, length]."""
    length = document.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    allowed = (document[:, :, None] == document[:, None, :]) & causal
    mask = torch.zeros(allowed.shape).masked_fill_(~allowed, torch.finfo(torch.float32).min)
    return mask[:, None]


def weighted_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Return the cross entropy of the next token, weighted by token."""
    with torch.autocast(batch["tokens"].device.type, dtype=torch.bfloat16):
        logits = model(
            input_ids=batch["tokens"],
            attention_mask=batch["mask"],
            position_ids=batch["position"],
            use_cache=False,
        ).logits
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].float().flatten(0, 1), batch["tokens"][:, 1:].flatten(), reduction="none"
    )
    weights = batch["weights"][:, 1:].flatten()
    return (losses * weights).sum() / weights.sum()


def to_batch(found: Blocks, device: str) -> dict[str, Tensor]:
    """Turn packed documents into tensors; the first token of a document is never a target."""
    weights = torch.from_numpy(found.weights * (found.position > 0))
    document = torch.from_numpy(found.document)
    out = {
        "tokens": torch.from_numpy(found.tokens),
        "weights": weights,
        "position": torch.from_numpy(found.position),
        "mask": document_mask(document),
    }
    return {name: tensor.to(device) for name, tensor in out.items()}


class Training:
    """A training run that can be stopped and continued; its state lies in ``folder``."""

    def __init__(
        self, size: Size, plan: Plan, folder: Path, vocabulary: Path, compiled: bool = True
    ) -> None:
        self.plan, self.folder, self.vocabulary = plan, folder, vocabulary
        self._compiled = compiled
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = build_model(size, plan.seed).to(self.device)
        self.optimizers = make_optimizers(self.model, plan.rate)
        self.step, self.tokens, self.spent, self.documents = 0, 0, 0.0, 0
        self.curve: list[dict[str, float]] = []
        self._resume()

    def _resume(self) -> None:
        path = self.folder / "state.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.tokens, self.spent = state["step"], state["tokens"], state["spent"]
        self.curve = state["curve"]

    def save(self) -> None:
        """Write the model in bf16 as others load it, and the state to continue from."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "step": self.step,
            "tokens": self.tokens,
            "spent": self.spent,
            "curve": self.curve,
        }
        torch.save(state, self.folder / "state.tmp")
        (self.folder / "state.tmp").replace(self.folder / "state.pt")
        export(self.model, self.folder / "model", self.vocabulary)
        (self.folder / "curve.json").write_text(
            json.dumps({"plan": asdict(self.plan), "curve": self.curve}, indent=1) + "\n"
        )

    def _done(self) -> float:
        if self.plan.steps is not None:
            return self.step / self.plan.steps
        return self.spent / (60 * self.plan.minutes)

    def run(self, log: Callable[[str], None] = print, save_every: float = 240.0) -> None:
        """Train until the time or the steps of the plan are used up."""
        # A part of the seed of its own for every start: a continued run sees new documents.
        data = blocks(
            tok.load(self.vocabulary),
            self.plan.seed + 1000 * self.step,
            self.plan.length,
            self.plan.batch,
        )
        loss_of: LossOf = torch.compile(weighted_loss) if self._compiled else weighted_loss
        last_save, clock, mean = time.monotonic(), time.monotonic(), 0.0
        while self._done() < 1.0:
            loss = self._one_step(data, loss_of)
            mean = loss if self.step == 1 else 0.98 * mean + 0.02 * loss
            self.spent += time.monotonic() - clock
            clock = time.monotonic()
            if self.step % 50 == 0:
                row = {
                    "step": self.step,
                    "tokens": self.tokens,
                    "seconds": round(self.spent),
                    "loss": round(mean, 4),
                }
                self.curve.append(row)
                log(json.dumps(row))
            if clock - last_save > save_every:
                self.save()
                last_save = clock = time.monotonic()
        self.save()

    def _one_step(self, data: Iterator[Blocks], loss_of: LossOf) -> float:
        factor = rate_factor(self._done(), self.plan, self.step)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.plan.rate * factor
        found = next(data)
        loss = loss_of(self.model, to_batch(found, self.device))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.tokens += int((found.document > 0).sum())
        return float(loss.detach())


def export(model: nn.Module, folder: Path, vocabulary: Path) -> None:
    """Write bf16 safetensors, configuration and tokenizer for ``from_pretrained``."""
    state = {name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()}
    copy = cast(Any, LlamaForCausalLM)(model.config).to(torch.bfloat16)
    copy.load_state_dict(state)
    # Eager attention is a choice of this training, not a property of the model.
    copy.config._attn_implementation = "sdpa"
    copy.generation_config.eos_token_id = EOS_ID
    copy.generation_config.pad_token_id = PAD_ID
    copy.save_pretrained(folder)
    tok.save_pretrained(tok.load(vocabulary), folder, CONTEXT)


def main() -> None:
    """Train one model from the command line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--size", choices=sorted(SIZES), default="tiny")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=448)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--vocabulary", type=Path, required=True)
    args = parser.parse_args()
    plan = Plan(args.minutes, args.steps, args.batch, args.length, rate=args.rate, seed=args.seed)
    Training(SIZES[args.size], plan, args.folder, args.vocabulary).run(
        lambda line: print(line, flush=True)
    )


if __name__ == "__main__":
    main()
