"""Estimates the GPU memory and hours of a preset by formula.

Legend: P parameters, L layers, h hidden size, i intermediate size, V vocabulary, A weights of the
adapter, B sequences at once, S tokens of a sequence, K bytes of the KV cache of one token.

Memory of an update is fitted to counts of the real modules at full size (``refine_af.ppo
.activations``, ``benchmarks/ppo_memory.py``); memory of writing and all hours are formulas that
nobody has measured. Time: training 6 P a token with recomputation (2 forward, 2 recomputed, 2
backward through frozen weights; 8 where all weights train) at 35 % of the GPU's peak; reading a
prompt 2 P a token at the same share; writing is bound by memory: B tokens cost one pass over the
weights and B S K at 60 % of the bandwidth, B being what 90 % of the GPU holds, at most 256.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

from refine_af.contracts.errors import ParameterError
from refine_af.pipelines.bounds import model_calls, resolved
from refine_af.pipelines.config import Backbone, RunConfig
from refine_af.ppo.activations import LayerShape, is_recomputed, update_bytes
from refine_af.runner import find_stage

GIB = 1024.0**3
TRAINING_SHARE = 0.35
BANDWIDTH_SHARE = 0.6
MEMORY_SHARE = 0.9
"""Share of a GPU's memory that may be planned with: its context and what the allocator cannot use
again take the rest. Presets of 1 to 2 B are held to 0.85 by a test."""
AT_ONCE = 256
"""Most sequences that are written side by side (vLLM's default)."""

PROMPT_TOKENS = {"few_shot": 756, "plain": 120}
"""Of an instance prompt with LLaMA's tokenizer, by style; counted."""
ROW_TOKENS = 200
"""Assumed mean of a training row."""
PREFILL_TOKENS = 16384
"""Prompt tokens that the rollout reads at a time (engines/decode.py)."""
LOGIT_TILE = 4096 * 32768
"""Logits that fine-tuning makes at a time: tokens times words (TRL's ``add_fused_lm_head``)."""

TEST_INSTANCES = 119 * 100
_PUBLISHED = 1.4e9 + 0.77e9
SCORER_PARAMETERS = {
    "instructmining": _PUBLISHED,
    "no_und": _PUBLISHED,
    "balanced": _PUBLISHED,
    "reward_model": 1.4e9,
}
"""By reward preset: a 1.4 B reward model and UniEval on T5-large; others load no model."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """Peak bfloat16 operations a second without sparsity, bytes a second, and bytes."""

    peak: float
    bandwidth: float
    memory: float


GPUS = {
    "l4": Gpu(121e12, 300e9, 24 * GIB),
    "a100-40": Gpu(312e12, 1555e9, 40 * GIB),
    "a100": Gpu(312e12, 2039e9, 80 * GIB),
    "h100": Gpu(989e12, 3350e9, 80 * GIB),
}
"""By kind, as the maker states."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One task.

    Attributes:
        task: Stage and arm.
        memory_gib: Of one GPU, GiB.
        hours: On its GPUs; None where they are too small.
        cure: Parameters to change where the GPU is too small.
    """

    task: str
    memory_gib: float
    hours: float | None
    cure: str


def estimates(config: RunConfig, kind: str, gpus: int = 1) -> list[Estimate]:
    """Return one estimate per GPU task; nothing for a preset without a backbone or GPU facts.

    Args:
        config: Of the run.
        kind: Of the GPU, a key of :data:`GPUS`.
        gpus: Of one task; parameters say how many of them a stage uses.
    """
    if config.backbone is None or kind not in GPUS or config.pipeline != "refine-af":
        return []
    calls = model_calls(config)
    made = _Estimator(config, config.backbone, GPUS[kind], gpus)
    result = [
        made.writing("generate_instructions", *calls["generate_instructions"])
    ] * config.shards
    if "train_ppo" in calls:
        result.append(made.ppo(*calls["train_ppo"]))
    for arm in config.arms:
        name = f"generate_instances ({arm})"
        result.append(made.writing(name, *calls[name]))
        result.append(made.tuning(f"train_sft ({arm})"))
    answers = TEST_INSTANCES * made.value("evaluate", "max_tokens")
    for name in [*map(str, config.arms), "start"]:
        result.append(made.writing(f"evaluate ({name})", TEST_INSTANCES, answers))
    return result


class _Estimator:
    def __init__(self, config: RunConfig, model: Backbone, gpu: Gpu, gpus: int) -> None:
        self._config, self._model, self._gpu, self._gpus = config, model, gpu, gpus
        self._shape = LayerShape(model.layers, model.hidden, model.intermediate)
        self._rate = TRAINING_SHARE * gpu.peak
        self._bytes = BANDWIDTH_SHARE * gpu.bandwidth
        self._memory = MEMORY_SHARE * gpu.memory
        self._values: dict[str, dict[str, Any]] = {}

    def value(self, stage: str, name: str) -> Any:  # noqa: ANN401  any scalar
        if stage not in self._values:
            self._values[stage] = resolved(self._config, find_stage(stage))
        return self._values[stage][name]

    def writing(self, task: str, requests: int, tokens: int) -> Estimate:
        """Return the estimate of a text engine's task: the least that works."""
        stage = task.split(" ")[0]
        shares = self.value(stage, "tensor_parallel_size")
        length = self._prompt_tokens(stage) + tokens / max(requests, 1)
        memory = (self._weights(2) + length * self._cache()) / shares
        return self._estimate(
            task,
            memory,
            lambda: self._write_seconds(requests, tokens, length, shares),
            f"{stage}.tensor_parallel_size={2 * shares} on a profile with as many GPUs",
        )

    def tuning(self, task: str) -> Estimate:
        """Return the estimate of a fine-tuning."""
        method = self.value("train_sft", "method")
        processes = self._processes("train_sft")
        rows = self.value("generate_instructions", "target") * self._config.shards
        tokens = rows * ROW_TOKENS * self.value("train_sft", "epochs")
        read = self._rows_at_once(processes) * self.value("train_sft", "max_length")
        recomputed = self.value("train_sft", "gradient_checkpointing")
        half = self.value("train_sft", "dtype") != "float32"
        memory = self._trained(method == "full", self.value("train_sft", "lora_rank"), copy=False)
        if method != "full":
            memory += self._nf4() if method == "qlora" else self._weights(2 if half else 4)
        dropout = method != "full" and self.value("train_sft", "lora_dropout") > 0
        memory += update_bytes(self._shape, read, half=half, recomputed=recomputed, dropout=dropout)
        memory += (2 if half else 4) * LOGIT_TILE
        each = 8 if method == "full" else 6
        seconds = each * self._model.parameters * tokens / self._rate / processes
        pieces = self.value("train_sft", "batch_size") // self._rows_at_once(processes)
        cure = f"train_sft.gradient_accumulation={2 * pieces * processes}, or method=qlora"
        return self._estimate(task, memory, lambda: seconds, cure)

    def _rows_at_once(self, processes: int) -> int:
        """Return the rows of one forward pass of a process."""
        batch = self.value("train_sft", "batch_size")
        pieces = self.value("train_sft", "gradient_accumulation")
        pieces = pieces or max(processes, -(-batch // 16))
        return max(1, int(batch // pieces))

    def ppo(self, episodes: int, tokens: int) -> Estimate:
        """Return the estimate of PPO: acting, scoring, optimisation; one copy of the weights."""
        processes = self._processes("train_ppo")
        shares = processes if self.value("train_ppo", "sharded") else 1
        length = self._prompt_tokens("train_ppo") + tokens / episodes
        scorers = 2 * SCORER_PARAMETERS.get(self.value("train_ppo", "reward"), 0.0)
        still = self._ppo_weights() / shares + scorers
        memory = still + max(self._acting(length, still), self._improving(length))
        read = episodes * length
        # Reference and old policy once, 2 P a token each; then every pass of the optimiser.
        passes = 4 + self._passes(length) * self.value("train_ppo", "epochs")
        work = read * (passes * self._model.parameters + scorers)
        return self._estimate(
            "train_ppo",
            memory,
            lambda: (
                (self._write_seconds(episodes, tokens, length, 1) + work / self._rate) / processes
            ),
            self._ppo_cure(),
        )

    def _ppo_cure(self) -> str:
        given = {
            name: self.value("train_ppo", name)
            for name in ("microbatch", "quantization", "sharded")
        }
        cures = [f"train_ppo.microbatch={given['microbatch'] // 2}"] * (given["microbatch"] > 1)
        cures += ["quantization=nf4"] * (given["quantization"] == "none" and not given["sharded"])
        cures += ["rollout_batch=8"] * (self.value("train_ppo", "rollout") == "transformers")
        return ", or ".join(cures)

    def _ppo_weights(self) -> float:
        """Return weights, gradients and moments."""
        rank = self.value("train_ppo", "lora_rank")
        whole = not rank and not self.value("train_ppo", "trained_weights")
        if whole:
            return self._trained(True, 0, copy=True)
        half = self.value("train_ppo", "precision") == "bfloat16"
        if self.value("train_ppo", "quantization") == "nf4":
            frozen = self._nf4()
        else:
            frozen = self._weights(2 if half else 4)
        return (frozen if rank else 2 * frozen) + self._trained(False, rank, copy=False)

    def _trained(self, whole: bool, rank: int, *, copy: bool) -> float:
        """Return 4 bytes each for weight, gradient and two moments, 2 for autocast's copy."""
        if not whole:
            return 18 * self._adapter(rank)
        return (18 + 4 * copy) * self._model.parameters

    def _improving(self, length: float) -> float:
        """Return what forward and backward pass of a microbatch hold."""
        tokens = int(self._microbatch() * length)
        half = self.value("train_ppo", "precision") == "bfloat16"
        recomputed = is_recomputed(self._shape, tokens, half=half)
        return update_bytes(self._shape, tokens, half=half, recomputed=recomputed)

    def _passes(self, length: float) -> int:
        """Return the operations of one optimiser pass by parameter and token."""
        tokens = int(self._microbatch() * length)
        half = self.value("train_ppo", "precision") == "bfloat16"
        return 6 if is_recomputed(self._shape, tokens, half=half) else 4

    def _microbatch(self) -> int:
        processes = self._processes("train_ppo")
        share = -(-self.value("train_ppo", "minibatch") // processes)
        return int(min(self.value("train_ppo", "microbatch"), share))

    def _acting(self, length: float, still: float) -> float:
        """Return what a rollout holds besides what stands still."""
        rollout = self.value("train_ppo", "rollout")
        if rollout == "vllm_server":
            return 0.0
        if rollout == "vllm":
            return float(self.value("train_ppo", "rollout_memory") * self._gpu.memory)
        processes = self._processes("train_ppo")
        episodes = -(-self.value("train_ppo", "episodes_per_update") // processes)
        rows = min(self.value("train_ppo", "rollout_batch"), episodes)
        reading = 2 * (4 * self._model.hidden + 3 * self._model.intermediate)
        gathered = 0.0
        if self.value("train_ppo", "sharded"):  # all weights stand whole while tokens are written
            gathered = self._weights(2) * (1 - 1 / processes)
        return float(rows * length * self._cache() + PREFILL_TOKENS * reading + gathered)

    def _processes(self, stage: str) -> int:
        return int(self.value(stage, "processes")) or self._gpus

    def _prompt_tokens(self, stage: str) -> float:
        if stage in ("generate_instances", "train_ppo"):
            style = self.value(stage, "style")
            return PROMPT_TOKENS["plain" if style == "plain" else "few_shot"]
        return PROMPT_TOKENS["few_shot"]

    def _estimate(
        self, task: str, memory: float, seconds: Callable[[], float], cure: str
    ) -> Estimate:
        hours = seconds() / 3600 if memory <= self._memory else None
        return Estimate(task, memory / GIB, hours, cure)

    def _weights(self, width: float) -> float:
        return width * self._model.parameters

    def _nf4(self) -> float:
        """Return 4 bits and a little a weight, but 16 for embedding and output layer."""
        outside = 2 * self._model.vocabulary * self._model.hidden
        matrix = 2 * self._model.hidden * self._model.intermediate  # one at a time, in bfloat16
        return 0.52 * (self._model.parameters - outside) + 2 * outside + matrix

    def _cache(self) -> float:
        return 2 * 2 * self._model.layers * self._model.kv_width

    def _adapter(self, rank: int) -> float:
        """Return the weights of LoRA on every linear layer: r (in + out) each."""
        model = self._model
        attention = 2 * (2 * model.hidden) + 2 * (model.hidden + model.kv_width)
        return rank * model.layers * (attention + 3 * (model.hidden + model.intermediate))

    def _write_seconds(self, requests: int, tokens: int, length: float, shares: int) -> float:
        weights = self._weights(2) / shares
        cache = length * self._cache() / shares
        at_once = max(1, min(AT_ONCE, int((self._memory - weights) / cache)))
        read = length * requests - tokens
        reading = 2 * self._model.parameters * read / self._rate / shares
        return tokens / at_once * (weights + at_once * cache) / self._bytes + reading


def summary_line(config: RunConfig, kind: str, gpus: int = 1) -> str:
    """Return most memory and all hours in one line; empty where there is no estimate."""
    estimated = estimates(config, kind, gpus)
    if not estimated:
        return ""
    memory = max(estimated, key=lambda estimate: estimate.memory_gib)
    needs = f"{memory.memory_gib:.0f} GiB ({memory.task})"
    if any(estimate.hours is None for estimate in estimated):
        return f"on {kind}: does not fit, {needs} are needed; an estimate, not measured"
    hours = sum(estimate.hours or 0.0 for estimate in estimated)
    return f"on {kind}: at most {ceil(hours)} GPU-hours, {needs}; an estimate, not measured"


def refuse_misfit(config: RunConfig, kind: str, gpus: int) -> None:
    """Refuse to compile tasks that do not fit the profile's GPU.

    Raises:
        ParameterError: With each task, what it needs, and what would make it fit.
    """
    misfits = [estimate for estimate in estimates(config, kind, gpus) if estimate.hours is None]
    if not misfits:
        return
    limit = MEMORY_SHARE * GPUS[kind].memory / GIB
    lines = {
        f"{estimate.task} needs {estimate.memory_gib:.0f} GiB (set {estimate.cure})"
        for estimate in misfits
    }
    raise ParameterError(
        f"{kind} has {limit:.0f} GiB to plan with for each of {gpus} GPUs, and by estimate "
        + "; ".join(sorted(lines))
        + "; or choose a profile with a larger GPU"
    )
