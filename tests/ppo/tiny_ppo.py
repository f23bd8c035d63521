"""A PPO run small enough for tests: letters as tokens, a random Llama, a reward one can count."""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import PrivateAttr
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from refine_af.contracts.progress import StageProgress
from refine_af.contracts.stage import Journal
from refine_af.ppo.episodes import Episode, Feedback, Prompt, Reward
from refine_af.ppo.params import PPOParams
from refine_af.ppo.policy import Policy
from refine_af.ppo.result import OnUpdate, PPOResult
from refine_af.ppo.trainer import train
from refine_af.ppo.transformers_rollout import TransformersRollout

LETTERS = "abcdefghijklmnopqrstuvwxyz .:"
PROMPTS = [
    Prompt(f"p{number}", text)
    for number, text in enumerate(["count:", "sort the words:", "a b c:", "name one:", "x"])
]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Return one token per character, and an end token."""
    words = {"<unk>": 0, "<eos>": 1} | {letter: 2 + at for at, letter in enumerate(LETTERS)}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))  # noqa: S106  no password
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=inner,
        eos_token="<eos>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
    )


def tiny_model(seed: int = 0, **changes: Any) -> LlamaForCausalLM:  # noqa: ANN401
    """Return a random Llama of about 20,000 parameters."""
    config = {
        "vocab_size": 2 + len(LETTERS),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 128,
        "bos_token_id": 1,
        "eos_token_id": 1,
        "pad_token_id": None,
        "initializer_range": 0.2,
        "tie_word_embeddings": False,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(LlamaConfig(**(config | changes)))  # type: ignore[no-untyped-call]


class StoppingParams(PPOParams):
    """Parameters whose actions end at given texts, as those of the stage do."""

    _stop: tuple[str, ...] = PrivateAttr(())

    @property
    def stop(self) -> tuple[str, ...]:
        """Return the texts."""
        return self._stop

    def ending(self, stop: tuple[str, ...]) -> Self:
        """Return the same with actions that end at ``stop``."""
        self._stop = stop
        return self


def tiny_settings(stop: tuple[str, ...] = (), **changes: Any) -> PPOParams:  # noqa: ANN401
    """Return settings of a run of a few seconds."""
    values: dict[str, Any] = {
        "updates": 4,
        "episodes_per_update": 8,
        "minibatch": 4,
        "microbatch": 3,
        "epochs": 2,
        "learning_rate": 1e-3,
        "max_new_tokens": 10,
        "lora_rank": 4,
        "warmup_updates": 2,
        "max_kl": 100.0,
        "entropy_coefficient": 0.01,
        "kl_target": 2.0,
        "rollout_batch": 8,
    }
    return StoppingParams.parse(values | changes).ending(stop)


def letter_share(episodes: Sequence[Episode], letter: str = "e") -> list[Feedback]:
    """Return ten times the share of one letter, 0 for an empty action."""
    shares = [10 * one.action.count(letter) / max(1, len(one.action)) for one in episodes]
    return [
        Feedback(share, {"share": share, "length": float(len(one.action))}, bool(one.action))
        for share, one in zip(shares, episodes, strict=True)
    ]


class CentredShare:
    """The share of a letter less the running mean of all shares so far: it keeps statistics."""

    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def __call__(self, episodes: Sequence[Episode]) -> list[Feedback]:
        """Score, and count the scores in."""
        found = letter_share(episodes)
        self.total += sum(one.total for one in found)
        self.count += len(found)
        mean = self.total / self.count
        return [Feedback(one.total - mean, one.parts, one.parseable) for one in found]

    def get_state(self) -> dict[str, Any]:
        """Return sum and number of the scores."""
        return {"total": self.total, "count": self.count}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to them."""
        self.total, self.count = state["total"], state["count"]


def run(
    journal: Journal,
    output: Path,
    settings: PPOParams,
    *,
    reward: Reward | None = None,
    model: LlamaForCausalLM | None = None,
    prompts: Sequence[Prompt] = PROMPTS,
    on_update: OnUpdate | None = None,
) -> PPOResult:
    """Train a tiny model from the start, or on from what the journal has."""
    tokenizer = tiny_tokenizer()
    return train(
        Policy(model or tiny_model(), settings, base_name="tiny"),
        tokenizer,
        prompts,
        reward or CentredShare(),
        settings,
        journal=journal,
        progress=StageProgress("train_ppo"),
        rollout=TransformersRollout(tokenizer, settings),
        output=output,
        on_update=on_update,
    )


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file of a directory by name."""
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def main() -> None:
    """Run as a process that may be killed: work directory, output directory, settings in JSON."""
    from refine_af.storage.entry import Identity
    from refine_af.storage.journal import open_journal

    torch.set_num_threads(1)
    work, output, changes = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    identity = Identity(stage="train_ppo", params=changes, inputs={}, code="test")
    with open_journal(work, identity) as journal:
        result = run(journal, output, tiny_settings(**changes))
    (output / "metrics.json").write_text(json.dumps(result.metrics))


if __name__ == "__main__":
    main()
