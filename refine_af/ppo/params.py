"""Parameters of the policy's training; defaults without a source are our own starting values."""

import re
from typing import Literal

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.params import param, rule
from refine_af.engines.params import ModelParams
from refine_af.processes.params import ProcessesParams

Algorithm = Literal["ppo", "rloo", "grpo"]
Precision = Literal["float32", "bfloat16"]


class PPOParams(ProcessesParams, ModelParams):
    """PPO and its critic-free variants on actions of text."""

    algorithm: Algorithm = param(
        "ppo", "ppo is our own; rloo and grpo are TRL's trainers with the same reward."
    )
    updates: int = param(200, "Rollouts, each with its optimisation.", ge=1, counts_rows=True)
    episodes_per_update: int = param(64, "Episodes of one rollout.", ge=2)
    episodes_per_prompt: int = param(
        1,
        "Episodes of one prompt; above 1 each is scored against the mean of its siblings, which"
        " takes the difficulty of prompts out of the advantages.",
        source="leave-one-out baseline, RLOO (2402.14740)",
        ge=1,
    )
    minibatch: int = param(8, "Episodes of one optimiser step.", ge=1)
    microbatch: int = param(8, "Most episodes in one forward pass; bounds memory.", ge=1)
    epochs: int = param(4, "Passes over the episodes of a rollout.", source="TRL", ge=1)
    learning_rate: float = param(
        1e-5, "Of the policy's weights, after warm-up; AdamW without weight decay.", gt=0.0, le=1.0
    )
    value_learning_rate: float = param(
        0.0,
        "Of the value head; 0 takes 0.1 / hidden size: a step moves a value by about 0.1.",
        ge=0.0,
        le=1.0,
    )
    clip: float = param(
        0.2, "Epsilon of the policy objective.", source="PPO (1707.06347)", gt=0.0, le=1.0
    )
    value_clip: float = param(
        0.2, "Most that a value may move, in reward units; 0 does not clip.", ge=0.0
    )
    value_coefficient: float = param(
        0.1, "Weight of the value loss; small, because the trunk is shared.", source="TRL", ge=0.0
    )
    entropy_coefficient: float = param(0.0, "Weight of the entropy bonus.", ge=0.0)
    kl_coefficient: float = param(
        0.05, "Price of one nat of KL to the start model, in reward units.", source="TRL", ge=0.0
    )
    kl_target: float = param(0.0, "KL per episode to steer to, nats; 0 keeps the price.", ge=0.0)
    kl_rate: float = param(
        0.1,
        "Gain of the controller that steers to kl_target.",
        source="Ziegler et al. (1909.08593), K_beta",
        ge=0.0,
        le=1.0,
    )
    gamma: float = param(1.0, "Discount.", source="TRL", ge=0.0, le=1.0)
    lam: float = param(0.95, "Lambda of GAE.", source="TRL", ge=0.0, le=1.0)
    max_grad_norm: float = param(1.0, "Largest gradient norm of a step.", gt=0.0)
    warmup_updates: int = param(
        5, "Updates over which the learning rates rise; constant afterwards.", ge=0
    )
    max_new_tokens: int = param(256, "Longest action, tokens.", ge=1)
    temperature: float = param(
        1.0, "Of sampling and of every log-probability: the tempered policy is trained.", gt=0.0
    )
    truncation_penalty: float = param(0.0, "Taken from a cut-off action's reward.", ge=0.0)
    lora_rank: int = param(16, "Rank of the adapter; 0 trains the model's own weights.", ge=0)
    lora_targets: str = param(
        "all-linear",
        "Layers with an adapter: all-linear (all but the output layer) or a regular expression of"
        " whole module names. Few layers near the output learn from fewer episodes.",
    )
    trained_weights: str = param(
        "", "With lora_rank 0: regular expression of the weights' names; empty trains all."
    )
    lora_alpha: int = param(
        32, "Scale of the adapter: its output counts lora_alpha / lora_rank times.", ge=1
    )
    max_kl: float = param(10.0, "Stop above this KL per episode, nats.", gt=0.0)
    whiten: bool = param(True, "Advantages get mean 0 and standard deviation 1.")
    detach_value: bool = param(False, "The value loss trains the value head alone.")
    precision: Precision = param(
        "float32",
        "Of products in forward passes of a model in float32; one in half precision, as on a GPU,"
        " runs in its own. What is trained is float32 in any case.",
    )
    quantization: Literal["none", "nf4"] = param(
        "none", "nf4 loads the base model in 4 bits (bitsandbytes, NVIDIA GPU, with an adapter)."
    )
    rollout: Literal["transformers", "vllm", "vllm_server"] = param(
        "transformers", "Who acts; vllm and vllm_server reload the adapter after each update."
    )
    rollout_url: str = param(
        "",
        "Address of the server of rollout=vllm_server; it shares TMPDIR.",
        method=False,
        names="endpoint",
    )
    rollout_memory: float = param(
        0.4, "Share of the GPU's memory for rollout=vllm.", method=False, gt=0.0, lt=1.0
    )
    rollout_batch: int = param(
        64,
        "rollout=transformers: episodes written at once; bounds the memory of keys and values.",
        ge=1,
    )
    importance_cap: float = param(
        2.0,
        "Largest importance weight of an action that another engine drew; 0 weighs none.",
        source="truncated importance sampling: Ionides 2008; IMPALA (1802.01561), section 4.1",
        ge=0.0,
    )
    sharded: bool = param(
        False, "Split the weights over the processes (FSDP) instead of copying.", method=False
    )
    checkpoint_every: int = param(1, "Updates between checkpoints.", method=False, ge=1)

    @property
    def stop(self) -> tuple[str, ...]:
        """Return the texts that end an action as the end token does.

        Their tokens are the policy's and are trained on; the reward reads the text before them.
        """
        return ()

    def rate_factor(self, update: int) -> float:
        """Return the share of the learning rates that applies in ``update``, from 1."""
        return 1.0 if update >= self.warmup_updates else update / self.warmup_updates

    def identity(self) -> dict[str, object]:
        """Return the parameters that a checkpoint must agree on: those that change rows.

        The number of updates may differ; the model is compared by its weights.
        """
        names = PPOParams.model_fields.keys() - {"updates", "model", "model_digest"}
        values = {name: value for name, value in self.method_values().items() if name in names}
        return values | {"stop": list(self.stop)}

    @rule("episodes_per_prompt")
    def prompts_fill_a_rollout(self) -> str:
        """A rollout consists of whole groups of episodes."""
        if self.episodes_per_update % self.episodes_per_prompt:
            return f"it must divide episodes_per_update, which is {self.episodes_per_update}"
        return ""

    @rule("episodes_per_prompt")
    def critic_free_compares_siblings(self) -> str:
        """RLOO and GRPO compare an action with others of its prompt."""
        if self.algorithm != "ppo" and self.episodes_per_prompt < 2:
            return f"algorithm {self.algorithm} compares actions of one prompt: set 2 or more"
        return ""

    @rule("algorithm")
    def critic_free_runs_alone(self) -> str:
        """TRL's trainers run in one process and with their own generation."""
        wanted = {"rollout": "transformers", "processes": 1, "nodes": 1, "sharded": False}
        for name, only in wanted.items():
            if self.algorithm != "ppo" and getattr(self, name) != only:
                return (
                    f"it works with {name}={only} alone, found {getattr(self, name)!r}; change that"
                    " or set algorithm to ppo"
                )
        return ""

    @rule("minibatch")
    def critic_free_steps_are_whole(self) -> str:
        """TRL divides episodes into whole steps and whole forward passes."""
        if self.algorithm == "ppo":
            return ""
        if self.episodes_per_update % self.minibatch:
            return (
                f"for {self.algorithm} it must divide episodes_per_update,"
                f" {self.episodes_per_update}"
            )
        if self.minibatch % self.microbatch:
            return f"for {self.algorithm} it must be a multiple of microbatch, {self.microbatch}"
        return ""

    @rule("minibatch")
    def processes_share_evenly(self) -> str:
        """All processes have equally many forward passes."""
        self.check_shares(self.ranks)
        return ""

    def check_shares(self, processes: int) -> None:
        """Refuse steps that so many processes cannot share evenly.

        Raises:
            ParameterError: Naming what to change.
        """
        shares = (self.minibatch, processes), (self.episodes_per_update, self.minibatch)
        if processes > 1 and any(whole % part for whole, part in shares):
            raise ParameterError(
                f"minibatch is {self.minibatch}; with {processes} processes it must be a multiple"
                f" of {processes} and divide episodes_per_update, {self.episodes_per_update}"
            )

    @rule("sharded")
    def shards_need_processes(self) -> str:
        """Sharding needs several processes."""
        if self.sharded and self.processes == 1 and self.nodes == 1:
            return "it splits weights over processes, and processes is 1; set more, or 0"
        return ""

    @rule("quantization")
    def quantized_weights_have_an_adapter(self) -> str:
        """4-bit weights can be neither trained nor sharded."""
        if self.quantization == "none":
            return ""
        if not self.lora_rank:
            return "it needs an adapter, and lora_rank is 0: set lora_rank above 0"
        return "it needs whole weights: set sharded to false" if self.sharded else ""

    @rule("trained_weights")
    def adapter_leaves_weights(self) -> str:
        """An adapter leaves the model's weights as they are."""
        if self.trained_weights and self.lora_rank:
            return (
                f"it needs lora_rank 0, found {self.lora_rank}: set that, or choose the adapter's"
                " layers with lora_targets"
            )
        return ""

    @rule("trained_weights")
    def trained_weights_is_a_pattern(self) -> str:
        """``trained_weights`` is a regular expression."""
        return _bad_pattern(self.trained_weights)

    @rule("lora_targets")
    def lora_targets_is_a_pattern(self) -> str:
        """``lora_targets`` is a regular expression, or all-linear."""
        return _bad_pattern(self.lora_targets)

    @rule("rollout")
    def rollout_reloads_an_adapter(self) -> str:
        """The engine vLLM receives each update as an adapter."""
        if self.rollout != "transformers" and not self.lora_rank:
            return "it reloads an adapter after each update, and lora_rank is 0: set it above 0"
        return ""

    @rule("rollout")
    def vllm_rolls_out_alone(self) -> str:
        """The engine vLLM in the trainer's process serves that process only."""
        if self.rollout == "vllm" and self.processes != 1:
            return (
                f"it works in one process, and processes is {self.processes}; start a vLLM server"
                " and set rollout to vllm_server"
            )
        return ""

    @rule("rollout")
    def vllm_shares_a_node(self) -> str:
        """The engine vLLM reads the adapter from a folder that the trainer writes."""
        if self.rollout != "transformers" and self.nodes != 1:
            return f"it works on one node, and nodes is {self.nodes}; set rollout to transformers"
        return ""

    @rule("rollout_url")
    def server_has_an_address(self) -> str:
        """``vllm_server`` needs an address."""
        web = self.rollout_url.startswith(("http://", "https://"))
        if self.rollout == "vllm_server" and not web:
            return "rollout vllm_server needs an address such as http://localhost:8000"
        return ""


def _bad_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        return f"it is not a valid regular expression ({error}); correct it"
    return ""
