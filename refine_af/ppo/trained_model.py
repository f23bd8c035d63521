"""The trained policy on disk, as any engine loads it."""

import json
from pathlib import Path
from typing import Any

from refine_af.ppo.policy import Policy


def save_trained(policy: Policy, tokenizer: Any, target: Path) -> None:  # noqa: ANN401
    """Write the adapter as a PEFT directory, or the full model with its tokenizer.

    The same weights give the same bytes: PEFT writes the names of the adapted layers in the order
    of a hash set and adds a page that names no training, so names are sorted and the page goes.
    """
    target.mkdir(parents=True, exist_ok=True)
    if policy.reference is not None:
        policy.model.save_pretrained(target)
        tokenizer.save_pretrained(target)
        return
    policy.model.save_pretrained(target, save_embedding_layers=False)
    (target / "README.md").unlink()
    path = target / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
