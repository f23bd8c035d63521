"""The trained policy on disk, as any engine loads it."""

import json
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

from refine_af.engines.stopping import save_end_tokens, set_end_tokens
from refine_af.ppo.policy import Policy
from refine_af.processes.group import whole


def save_trained(
    policy: Policy,
    tokenizer: Any,  # noqa: ANN401  a transformers tokenizer
    target: Path,
    *,
    main: bool = True,
) -> None:
    """Write the policy to ``target``; every process of a sharded one must call it, one writes."""
    adapted = isinstance(policy.model, PeftModel)
    weights = None
    if policy.sharded or (not adapted and policy.model.dtype != policy.start_dtype):
        weights = {
            name: _saved(whole(value.detach()), policy, adapted=adapted)
            for name, value in policy.model.named_parameters()
            if value.requires_grad or not adapted
        }
    if main:
        save_model(policy.model, tokenizer, target, weights)
        if not adapted:
            _say_dtype(target / "config.json", policy.start_dtype)


def _say_dtype(path: Path, dtype: torch.dtype) -> None:
    """Write the precision of the file's weights into it; transformers takes the model's own."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config["dtype"] = str(dtype).removeprefix("torch.")
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _saved(value: Tensor, policy: Policy, *, adapted: bool) -> Tensor:
    """Return a weight for the file: of a whole model in the precision that the model came in."""
    return value.cpu() if adapted else value.to("cpu", policy.start_dtype)


def save_model(
    model: Any,  # noqa: ANN401  a transformers or PEFT model
    tokenizer: Any,  # noqa: ANN401
    target: Path,
    weights: dict[str, Tensor] | None = None,
) -> None:
    """Write an adapter as a PEFT directory, or a full model with its tokenizer.

    The same weights give the same bytes: PEFT writes the names of the adapted layers in the order
    of a hash set and adds a page that names no training, so names are sorted and the page goes.
    ``generation_config.json`` says which tokens end an answer.

    Args:
        model: The trained model.
        tokenizer: Of the model.
        target: The directory.
        weights: Trained weights by name where the model's own are sharded.
    """
    target.mkdir(parents=True, exist_ok=True)
    set_end_tokens(model, tokenizer)
    if not isinstance(model, PeftModel):
        model.save_pretrained(target, state_dict=weights)
        tokenizer.save_pretrained(target)
        return
    model.save_pretrained(str(target), save_embedding_layers=False, state_dict=weights)
    save_end_tokens(model, target)
    (target / "README.md").unlink()
    path = target / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
