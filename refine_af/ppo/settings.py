"""The settings of a PPO run; the fields of the ``train_ppo`` stage's parameters mirror them."""

import math
from dataclasses import asdict, dataclass
from typing import Literal

from refine_af.contracts.errors import ParameterError

Precision = Literal["float32", "bfloat16"]

# Lowest and highest allowed value, and whether the lowest itself is allowed.
_BOUNDS: dict[str, tuple[float, float, bool]] = {
    "updates": (1, math.inf, True),
    "episodes_per_update": (2, math.inf, True),
    "episodes_per_prompt": (1, math.inf, True),
    "minibatch": (1, math.inf, True),
    "microbatch": (1, math.inf, True),
    "epochs": (1, math.inf, True),
    "learning_rate": (0, 1, False),
    "value_learning_rate": (0, 1, True),
    "clip": (0, 1, False),
    "value_clip": (0, math.inf, True),
    "value_coefficient": (0, math.inf, True),
    "entropy_coefficient": (0, math.inf, True),
    "kl_coefficient": (0, math.inf, True),
    "kl_target": (0, math.inf, True),
    "kl_rate": (0, 1, True),
    "gamma": (0, 1, True),
    "lam": (0, 1, True),
    "max_grad_norm": (0, math.inf, False),
    "warmup_updates": (0, math.inf, True),
    "max_new_tokens": (1, math.inf, True),
    "temperature": (0, math.inf, False),
    "truncation_penalty": (0, math.inf, True),
    "lora_rank": (0, math.inf, True),
    "lora_alpha": (0, math.inf, False),
    "max_kl": (0, math.inf, False),
    "checkpoint_every": (1, math.inf, True),
}


@dataclass(frozen=True, slots=True)
class PPOSettings:
    """How PPO trains. Defaults are project choices (starting values) unless a source is named.

    Attributes:
        updates: Updates of the whole run: one rollout and its optimisation each.
        episodes_per_update: Episodes of one rollout (the batch of PPO).
        episodes_per_prompt: Episodes of one prompt in a rollout; it must divide
            ``episodes_per_update``. Above 1, each score is measured against the mean of the other
            episodes of its prompt, which takes the difficulty of prompts out of the advantages
            (leave-one-out baseline, Ahmadian et al. 2024, arXiv 2402.14740).
        minibatch: Episodes of one optimiser step.
        microbatch: Most episodes in one forward pass. It bounds memory; the gradient is the same
            up to float rounding.
        epochs: Passes over the episodes of one rollout (TRL: 4).
        learning_rate: Of the policy's weights, after warm-up; AdamW without weight decay.
        value_learning_rate: Of the value head; 0 takes 0.1 / H, at which one step moves a value
            by about 0.1 reward units whatever the width of the model.
        clip: Epsilon of the clipped policy objective (Schulman et al. 2017: 0.2).
        value_clip: Most that a value may move from its old one, in reward units; 0 does not clip.
        value_coefficient: Weight of the value loss; small, because the trunk is shared (TRL: 0.1).
        entropy_coefficient: Weight of the entropy bonus.
        kl_coefficient: Price of one nat of KL to the start model, in reward units (TRL: 0.05).
        kl_target: KL per episode in nats that the coefficient is steered to; 0 keeps it fixed.
        kl_rate: K_beta of the adaptive controller (Ziegler et al. 2019: 0.1).
        gamma: Discount of rewards.
        lam: Lambda of generalised advantage estimation.
        max_grad_norm: Largest L2 norm of one step's gradient.
        warmup_updates: Updates over which the learning rates rise linearly; constant afterwards.
        max_new_tokens: Longest action.
        temperature: Of sampling and of every log-probability: the trained policy is the tempered
            one.
        truncation_penalty: Subtracted from the score of an action that was cut off.
        lora_rank: Rank of the adapter; 0 trains the model's own weights.
        lora_targets: Which layers get the adapter: ``all-linear`` (all but the output layer), or
            a regular expression that a module's whole name must match, as PEFT reads it. Few
            layers, near the output, learn from fewer episodes: each further weight adds as much
            noise to a step as any other.
        trained_weights: With ``lora_rank`` 0, a regular expression that the whole name of a
            weight must match to be trained, such as ``model.norm.weight``; empty trains all.
        lora_alpha: Scale of the adapter: its output counts ``lora_alpha / lora_rank`` times.
        max_kl: Training stops after a rollout whose KL per episode exceeds this many nats.
        whiten: Whether advantages get mean 0 and deviation 1 over the rollout's real tokens.
        detach_value: Whether the value loss trains the value head only, not the trunk.
        precision: ``bfloat16`` runs forward passes under autocast; weights stay as loaded.
        sharded: Whether the processes share the weights (FSDP) instead of holding a copy each.
        chat: Whether each prompt is the user's turn in the model's chat template.
        stop: Texts that end an action as the end token does. Their tokens are the policy's and
            are trained on; the reward reads the text before them.
        checkpoint_every: Updates between checkpoints; it changes no result.
        seed: Of prompts' order, episodes, minibatches and the adapter's start.
    """

    updates: int = 200
    episodes_per_update: int = 64
    episodes_per_prompt: int = 1
    minibatch: int = 8
    microbatch: int = 8
    epochs: int = 4
    learning_rate: float = 1e-5
    value_learning_rate: float = 0.0
    clip: float = 0.2
    value_clip: float = 0.2
    value_coefficient: float = 0.1
    entropy_coefficient: float = 0.0
    kl_coefficient: float = 0.05
    kl_target: float = 0.0
    kl_rate: float = 0.1
    gamma: float = 1.0
    lam: float = 0.95
    max_grad_norm: float = 1.0
    warmup_updates: int = 5
    max_new_tokens: int = 256
    temperature: float = 1.0
    truncation_penalty: float = 0.0
    lora_rank: int = 16
    lora_targets: str = "all-linear"
    trained_weights: str = ""
    lora_alpha: int = 32
    max_kl: float = 10.0
    whiten: bool = True
    detach_value: bool = False
    precision: Precision = "float32"
    sharded: bool = False
    chat: bool = False
    stop: tuple[str, ...] = ()
    checkpoint_every: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            ParameterError: With the name, what was found and what is allowed.
        """
        for name, (low, high, inclusive) in _BOUNDS.items():
            value = getattr(self, name)
            above = value >= low if inclusive else value > low
            if not (math.isfinite(value) and above and value <= high):
                opening = "[" if inclusive else "("
                closing = f"{high:g}]" if math.isfinite(high) else "infinity)"
                raise ParameterError(
                    f"{name} is {value!r}; it must be in {opening}{low:g}, {closing}"
                )
        if self.episodes_per_update % self.episodes_per_prompt:
            raise ParameterError(
                f"episodes_per_prompt is {self.episodes_per_prompt}; it must divide"
                f" episodes_per_update, which is {self.episodes_per_update}"
            )
        if self.trained_weights and self.lora_rank:
            raise ParameterError(
                f"trained_weights is {self.trained_weights!r} and lora_rank {self.lora_rank}; an"
                " adapter leaves the model's weights as they are: set lora_rank to 0, or choose its"
                " layers with lora_targets"
            )
        if self.precision not in ("float32", "bfloat16"):
            raise ParameterError(f"precision is {self.precision!r}; allowed: bfloat16, float32")

    def identity(self) -> dict[str, object]:
        """Return what a checkpoint must agree on: all but the run's length, saving and place."""
        values = asdict(self)
        del values["updates"], values["checkpoint_every"], values["sharded"]
        values["stop"] = list(self.stop)  # as JSON gives it back
        return values

    def check_shares(self, processes: int) -> None:
        """Refuse steps that would leave a process with more forward passes than another.

        Raises:
            ParameterError: Naming the setting to change.
        """
        if processes == 1:
            return
        for name, of in (("minibatch", processes), ("episodes_per_update", self.minibatch)):
            if getattr(self, name) % of:
                raise ParameterError(
                    f"{name} is {getattr(self, name)}; with {processes} processes it must be a"
                    f" multiple of {of}"
                )

    def rate_factor(self, update: int) -> float:
        """Return the share of the learning rates that applies in ``update``, from 1."""
        return 1.0 if update >= self.warmup_updates else update / self.warmup_updates
