"""GPU memory and hours of a preset, by formula: estimates until someone has measured them.

Legend: P parameters, L layers, h hidden size, V vocabulary, r adapter rank, B sequences at once,
S tokens of a sequence, W bytes of the weights, K bytes of the KV cache of one token.

Memory: weights; 16 bytes a trained weight (weight, gradient, two Adam moments, float32); with
gradient checkpointing 2 B S h L for what is kept between layers and 34 B S h inside one
(Korthikanti et al., arXiv 2205.05198, without attention scores); 8 B S V for logits and their
gradient. Generation: W + S K, the least that works; the text engine takes what there is for B.

Time: training 6 P a token with recomputation (2 forward, 2 recomputed, 2 backward through frozen
weights) at 35 % of the GPU's peak; reading a prompt 2 P a token at the same share; writing is bound
by memory: B tokens cost one pass over W + B S K at 60 % of the bandwidth, B being what 90 % of the
GPU holds, at most 256.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from refine_af.pipelines.bounds import model_calls, resolved
from refine_af.pipelines.config import Backbone, RunConfig
from refine_af.runner import find_stage

GIB = 1024.0**3
TRAINING_SHARE = 0.35
BANDWIDTH_SHARE = 0.6
MEMORY_SHARE = 0.9
AT_ONCE = 256
"""Most sequences that are written side by side (vLLM's default)."""

PROMPT_TOKENS = 800
ROW_TOKENS = 200
"""Assumed means: a few-shot prompt, and prompt with completion of a training row."""

TEST_INSTANCES = 119 * 100
SCORER_PARAMETERS = 1.4e9 + 0.77e9
"""The published reward's scorers: a 1.4 B reward model and UniEval on T5-large."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """Peak bfloat16 operations a second without sparsity, bytes a second, and bytes."""

    peak: float
    bandwidth: float
    memory: float


GPUS = {
    "l4": Gpu(121e12, 300e9, 24 * GIB),
    "a100": Gpu(312e12, 2039e9, 80 * GIB),
    "a100-40": Gpu(312e12, 1555e9, 40 * GIB),
    "h100": Gpu(989e12, 3350e9, 80 * GIB),
}
"""By hardware profile, as the maker states."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One task: the GPU memory that it needs in GiB, and hours on one GPU (None: too small)."""

    task: str
    memory_gib: float
    hours: float | None


def estimates(config: RunConfig, profile: str) -> list[Estimate]:
    """Return one estimate per GPU task; nothing for a preset without a backbone or GPU facts."""
    if config.backbone is None or profile not in GPUS:
        return []
    calls = model_calls(config)
    made = _Estimator(config, config.backbone, GPUS[profile])
    requests, tokens = calls["generate_instructions"]
    found = [made.writing("generate_instructions", requests, tokens)] * config.shards
    if "train_ppo" in calls:
        found.append(made.ppo(*calls["train_ppo"]))
    for arm in config.arms:
        name = f"generate_instances ({arm})"
        found.append(made.writing(name, *calls[name]))
        found.append(made.tuning(f"train_sft ({arm})"))
    answers = TEST_INSTANCES * made.value("evaluate", "max_tokens")
    for name in [*map(str, config.arms), "start"]:
        found.append(made.writing(f"evaluate ({name})", TEST_INSTANCES, answers))
    return found


class _Estimator:
    def __init__(self, config: RunConfig, model: Backbone, gpu: Gpu) -> None:
        self._config = config
        self._model = model
        self._rate = TRAINING_SHARE * gpu.peak
        self._bytes = BANDWIDTH_SHARE * gpu.bandwidth
        self._memory = MEMORY_SHARE * gpu.memory

    def value(self, stage: str, name: str) -> Any:  # noqa: ANN401  any scalar
        return resolved(self._config, find_stage(stage))[name]

    def writing(self, task: str, requests: int, tokens: int) -> Estimate:
        """Return the estimate of a text engine's task."""
        each = tokens / max(requests, 1)
        memory = self._weights(2) + (PROMPT_TOKENS + each) * self._cache()
        return self._estimate(task, memory, lambda: self._write_seconds(requests, tokens))

    def tuning(self, task: str) -> Estimate:
        """Return the estimate of a fine-tuning."""
        rows = min(self.value("generate_instructions", "target") * self._config.shards, 10**9)
        tokens = rows * ROW_TOKENS * self.value("train_sft", "epochs")
        batch = self.value("train_sft", "batch_size")
        pieces = self.value("train_sft", "gradient_accumulation")
        at_once = batch // pieces if pieces else min(16, batch)
        memory = self._weights(2) + 16 * self._adapter(self.value("train_sft", "lora_rank"))
        memory += self._activations(at_once, self.value("train_sft", "max_length"))
        return self._estimate(
            task, memory, lambda: 6 * self._model.parameters * tokens / self._rate
        )

    def ppo(self, episodes: int, tokens: int) -> Estimate:
        """Return the estimate of PPO: rollouts, scoring, optimisation; one copy of the weights."""
        length = PROMPT_TOKENS + tokens / episodes
        nf4 = self.value("train_ppo", "quantization") == "nf4"
        width = 0.55 if nf4 else 4 if self.value("train_ppo", "precision") == "float32" else 2
        memory = self._weights(width) + 2 * SCORER_PARAMETERS
        memory += 16 * self._adapter(self.value("train_ppo", "lora_rank"))
        rollout = self.value("train_ppo", "episodes_per_update") * length * self._cache()
        memory += max(rollout, self._activations(self.value("train_ppo", "microbatch"), length))
        read = episodes * length
        # Reference and old policy once, 2 P a token each; then every pass of the optimiser.
        passes = 4 + 6 * self.value("train_ppo", "epochs")
        work = read * (passes * self._model.parameters + 2 * SCORER_PARAMETERS)
        return self._estimate(
            "train_ppo",
            memory,
            lambda: self._write_seconds(episodes, tokens) + work / self._rate,
        )

    def _estimate(self, task: str, memory: float, seconds: Callable[[], float]) -> Estimate:
        hours = seconds() / 3600 if memory <= self._memory else None
        return Estimate(task, memory / GIB, hours)

    def _weights(self, width: float) -> float:
        return width * self._model.parameters

    def _cache(self) -> float:
        return 2 * 2 * self._model.layers * self._model.kv_width

    def _adapter(self, rank: int) -> float:
        """Return the weights of LoRA on every linear layer: r (in + out) each."""
        model = self._model
        attention = 2 * (2 * model.hidden) + 2 * (model.hidden + model.kv_width)
        return rank * model.layers * (attention + 3 * (model.hidden + model.intermediate))

    def _activations(self, at_once: int, length: float) -> float:
        model = self._model
        kept = 2 * model.hidden * model.layers + 34 * model.hidden + 8 * model.vocabulary
        return at_once * length * kept

    def _write_seconds(self, requests: int, tokens: int) -> float:
        length = PROMPT_TOKENS + tokens / max(requests, 1)
        room = (self._memory - self._weights(2)) / (length * self._cache())
        at_once = max(1, min(AT_ONCE, int(room)))
        pass_bytes = self._weights(2) + at_once * length * self._cache()
        reading = 2 * self._model.parameters * PROMPT_TOKENS * requests / self._rate
        return tokens / at_once * pass_bytes / self._bytes + reading


def summary_line(config: RunConfig, profile: str) -> str:
    """Return most memory and all hours in one line; empty where there is no estimate."""
    found = estimates(config, profile)
    if not found:
        return ""
    memory = max(found, key=lambda one: one.memory_gib)
    needs = f"{memory.memory_gib:.0f} GiB ({memory.task})"
    if any(one.hours is None for one in found):
        return f"on {profile}: does not fit, {needs} are needed; an estimate, not measured"
    hours = sum(one.hours or 0.0 for one in found)
    return f"on {profile}: at most {hours:.0f} GPU-hours, {needs}; an estimate, not measured"
