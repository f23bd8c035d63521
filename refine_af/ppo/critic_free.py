"""RLOO and GRPO on TRL's trainers: the same prompts, reward and outputs as PPO, no value head.

Both score several actions of one prompt against each other. TRL writes, reads and steps; this
module gives it the prompts of each update in PPO's order, calls the reward once per rollout, and
turns TRL's logs into PPO's numbers. A killed run starts anew: TRL's loop keeps no rollout.

Source: Ahmadian et al. 2024 (arXiv 2402.14740), RLOO; Shao et al. 2024 (arXiv 2402.03300), GRPO.
"""

import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from datasets import Dataset, disable_progress_bars
from transformers import GenerationConfig, PrinterCallback, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_config import RLOOConfig
from trl.trainer.rloo_trainer import RLOOTrainer

from refine_af.contracts.errors import DataError
from refine_af.contracts.stage import Progress
from refine_af.engines.stopping import end_tokens, read_answer, set_end_tokens
from refine_af.ppo.activations import is_recomputed
from refine_af.ppo.episodes import Episode, Feedback, Prompt, Reward, check_prompts, score
from refine_af.ppo.metrics import describe_texts
from refine_af.ppo.params import PPOParams
from refine_af.ppo.policy import HALF, adapter_config, layer_shape, train_weights
from refine_af.ppo.result import SAMPLES, EpisodeRow, OnUpdate, PPOResult
from refine_af.ppo.rewards import against_siblings
from refine_af.ppo.rollout import encode_prompts
from refine_af.ppo.schedule import prompts_of
from refine_af.ppo.trained_model import save_model

Algorithm = Literal["rloo", "grpo"]
TRAINERS: dict[Algorithm, tuple[Any, Any]] = {
    "rloo": (RLOOTrainer, RLOOConfig),
    "grpo": (GRPOTrainer, GRPOConfig),
}
_SPREAD_FLOOR = 1e-4
"""Added to a group's standard deviation; TRL's value."""


def train_critic_free(
    model: Any,  # noqa: ANN401  a transformers causal LM
    tokenizer: Any,  # noqa: ANN401
    prompts: Sequence[Prompt],
    reward: Reward,
    settings: PPOParams,
    *,
    algorithm: Algorithm,
    progress: Progress,
    output: Path,
    base_name: str = "",
    on_update: OnUpdate | None = None,
) -> PPOResult:
    """Train ``model`` in place and save it to ``output``.

    Parameters mean what they mean for PPO; those of the value head, ``lam``, ``gamma``, ``whiten``
    and ``kl_target`` have no counterpart. ``kl_coefficient`` is TRL's ``beta``: of the sequence
    reward (RLOO), of each token's loss (GRPO); at 0 no KL is known, so ``max_kl`` cannot stop.

    Raises:
        ParameterError: For unusable prompts.
        DataError: When the reward is not usable or a loss is not finite.
    """
    check_prompts(prompts)
    longest = getattr(model.config, "max_position_embeddings", None)
    rows = encode_prompts(tokenizer, prompts, longest, settings)
    states = {prompt.id: (prompt, row) for prompt, row in zip(prompts, rows, strict=True)}
    ends = end_tokens(model, tokenizer)
    record = _Record(algorithm, tokenizer, ends, states, reward, settings, progress, on_update)
    if not settings.lora_rank:
        train_weights(model, settings.trained_weights)
    set_end_tokens(model, tokenizer)  # TRL stops where the generation config says
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder, _plain_sampling(model):
        trainer = _trainer(model, prompts, record, folder)
        trainer.train()
    if base_name and settings.lora_rank:
        trainer.model.peft_config["default"].base_model_name_or_path = base_name
    save_model(trainer.model, tokenizer, output)
    return PPOResult(record.metrics, record.samples(), output, record.stopped, record.telemetry)


@contextmanager
def _plain_sampling(model: Any) -> Iterator[None]:  # noqa: ANN401  a transformers causal LM
    """Take everything but the end tokens from the model's generation config in here.

    TRL sets temperature, top-p, top-k and the penalty for repetition; whatever else that config
    holds (``min_p``, ``typical_p``, n-grams that may not repeat), transformers would apply, and
    actions would come from another distribution than the one that is trained.
    """
    own = model.generation_config
    kept = ("bos_token_id", "eos_token_id", "pad_token_id")
    plain = {name: getattr(own, name) for name in kept}
    model.generation_config = GenerationConfig(**plain)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        model.generation_config = own


def _trainer(
    model: Any,  # noqa: ANN401  a transformers causal LM
    prompts: Sequence[Prompt],
    record: "_Record",
    folder: str,
) -> Any:  # noqa: ANN401  TRL's
    settings = record.settings
    kind, configuration = TRAINERS[record.algorithm]
    given = _arguments(record.algorithm, settings, folder)
    given["gradient_checkpointing"] = _is_recomputed(model, record)
    trainer = kind(
        model=model,
        reward_funcs=record.score,
        args=configuration(**given),
        train_dataset=_rows(prompts, settings),
        processing_class=record.tokenizer,
        callbacks=[record],
        peft_config=adapter_config(settings) if settings.lora_rank else None,
    )
    # TRL would encode names of control tokens in a prompt as control tokens.
    trainer._tokenize_prompts = record.encoded
    trainer.remove_callback(PrinterCallback)
    return trainer


def _is_recomputed(model: Any, record: "_Record") -> bool:  # noqa: ANN401  a transformers causal LM
    """Return whether layers are computed twice, by PPO's rule."""
    settings = record.settings
    longest = max(len(row) for _, row in record.states.values()) + settings.max_new_tokens
    half = settings.precision == "bfloat16" or model.dtype in HALF
    shape = layer_shape(model.config.get_text_config())
    return is_recomputed(shape, settings.microbatch * longest, half=half)


def _steps(settings: PPOParams) -> int:
    """Return the optimizer steps of one update."""
    return settings.episodes_per_update // settings.minibatch * settings.epochs


def _rows(prompts: Sequence[Prompt], settings: PPOParams) -> Dataset:
    """Return the ids of the prompts of each update, in PPO's order; TRL repeats them."""
    chosen = [
        prompt
        for update in range(1, settings.updates + 1)
        for prompt in prompts_of(prompts, update, settings)[0][:: settings.episodes_per_prompt]
    ]
    ids = [prompt.id for prompt in chosen]
    return Dataset.from_dict({"prompt": ids, "prompt_id": ids})


def _arguments(algorithm: Algorithm, settings: PPOParams, folder: str) -> dict[str, Any]:
    steps = _steps(settings)
    return {
        "output_dir": folder,
        "max_steps": settings.updates * steps,
        "generation_batch_size": settings.episodes_per_update,
        "num_generations": settings.episodes_per_prompt,
        "num_iterations": settings.epochs,
        "per_device_train_batch_size": settings.microbatch,
        "gradient_accumulation_steps": settings.minibatch // settings.microbatch,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": settings.warmup_updates * steps,
        "max_grad_norm": settings.max_grad_norm,
        "epsilon": settings.clip,
        "beta": settings.kl_coefficient,
        "max_completion_length": settings.max_new_tokens,
        "temperature": settings.temperature,
        "top_k": 0,
        "top_p": 1.0,
        "shuffle_dataset": False,
        "disable_dropout": True,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "bf16": settings.precision == "bfloat16",
        "use_cpu": not torch.cuda.is_available(),
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


@dataclass
class _Record(TrainerCallback):
    """Records the rows: the reward that TRL calls and the callback that receives its logs."""

    algorithm: Algorithm
    tokenizer: Any
    ends: frozenset[int]
    states: Mapping[str, tuple[Prompt, list[int]]]
    reward: Reward
    settings: PPOParams
    progress: Progress
    on_update: OnUpdate | None
    metrics: list[dict[str, float]] = field(default_factory=list)
    rows: list[list[EpisodeRow]] = field(default_factory=list)
    telemetry: dict[str, float] = field(default_factory=dict)
    stopped: str = ""

    def __post_init__(self) -> None:
        self.__name__ = "reward"  # TRL names its logs by it
        self._logs: list[dict[str, float]] = []
        self._started = time.perf_counter()

    def encoded(self, prompts: Sequence[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """Return the token ids of prompts by their ids, instead of TRL's own encoding."""
        return [list(self.states[name][1]) for name in prompts], None, {}

    def score(
        self,
        completion_ids: Sequence[Sequence[int]],
        prompt_id: Sequence[str],
        **_: Any,  # noqa: ANN401  TRL hands on more than is used here
    ) -> list[float]:
        """Return the totals of one rollout, less the penalty of what was cut off."""
        update = len(self.metrics) + 1
        episodes = [
            self._episode(name, tokens)
            for name, tokens in zip(prompt_id, completion_ids, strict=True)
        ]
        feedback = score(self.reward, episodes, update)
        counts = [len(tokens) for tokens in completion_ids]
        penalty = self.settings.truncation_penalty
        totals = [
            score.total - penalty * (episode.finish == "length")
            for score, episode in zip(feedback, episodes, strict=True)
        ]
        self.metrics.append(
            {"update": float(update), "kl_coefficient": self.settings.kl_coefficient}
            | describe_texts(episodes, feedback, sum(counts) / len(counts))
        )
        self.rows.append(self._episode_rows(update, episodes, feedback, counts, totals))
        self.telemetry["tokens"] = self.telemetry.get("tokens", 0.0) + sum(counts)
        return totals

    def _episode(self, name: str, tokens: Sequence[int]) -> Episode:
        """Return one action, cut at a stop text, which TRL's loop does not know.

        What follows does not change the score, so its expected gradient is zero.
        """
        prompt, before = self.states[name]
        answer = read_answer(self.tokenizer, before, tokens, self.settings.stop)
        ended = answer.stopped or (len(tokens) > 0 and tokens[-1] in self.ends)
        return Episode(name, prompt.text, answer.text, "stop" if ended else "length")

    def _episode_rows(
        self,
        update: int,
        episodes: Sequence[Episode],
        feedback: Sequence[Feedback],
        counts: Sequence[int],
        totals: Sequence[float],
    ) -> list[EpisodeRow]:
        advantages = self._advantages(torch.tensor(totals))
        return [
            EpisodeRow(
                update=update,
                place=index,
                prompt_id=episode.prompt_id,
                action=episode.action,
                finish=episode.finish,
                tokens=counts[index],
                total=score.total,
                parts=score.parts,
                parseable=score.parseable,
                kl=None,
                advantage=advantages[index],
                seed=None,
            )
            for index, (episode, score) in enumerate(zip(episodes, feedback, strict=True))
        ]

    def _advantages(self, totals: torch.Tensor) -> list[float]:
        """Return the advantages of the scores, [B]; RLOO's own also hold the price of KL."""
        group = self.settings.episodes_per_prompt
        if self.algorithm == "rloo":
            rloo: list[float] = against_siblings(totals, group).tolist()
            return rloo
        rows = totals.view(-1, group)
        std = rows.std(1, keepdim=True) + _SPREAD_FLOOR
        grpo: list[float] = ((rows - rows.mean(1, keepdim=True)) / std).flatten().tolist()
        return grpo

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ANN401
        """Record the numbers of one step; after the last step of an update, report the update."""
        if "loss" not in (logs or {}):
            return
        for name in ("loss", "grad_norm"):
            if not math.isfinite(logs[name]):
                raise DataError(
                    f"update {len(self.metrics)}: {name} is {logs[name]}; nothing is saved. Lower"
                    " learning_rate, or load the model in float32"
                )
        self._logs.append(logs)
        if len(self._logs) == _steps(self.settings):
            self._finish_update(control)

    def _finish_update(self, control: Any) -> None:  # noqa: ANN401
        row, steps = self.metrics[-1], self._logs
        first = steps[0]
        row["policy_loss"] = _mean([step["loss"] for step in steps])
        row["gradient_norm"] = _mean([step["grad_norm"] for step in steps])
        row["clip_fraction"] = _mean([step.get("clip_ratio/region_mean", 0.0) for step in steps])
        row["entropy"] = first["entropy"]
        if "kl" in first:  # TRL reports it per token
            row["kl"] = first["kl"] * row["length"]
        self._logs = []
        self.telemetry["seconds"] = time.perf_counter() - self._started
        shown = {
            name: row[name] for name in ("reward_mean", "kl", "entropy", "parseable") if name in row
        }
        self.progress.step(len(self.metrics), self.settings.updates, "updates", **shown)
        if self.on_update is not None:
            self.on_update(row, self.rows[-1])
        if row.get("kl", 0.0) > self.settings.max_kl:
            self.stopped = (
                f"KL {row['kl']:.3g} nats per episode in update {len(self.metrics)} exceeds max_kl"
                f" {self.settings.max_kl:g}"
            )
            self.progress.say(f"stopped: {self.stopped}")
            control.should_training_stop = True

    def samples(self) -> list[EpisodeRow]:
        """Return the first episodes of the first, middle and last update."""
        done = len(self.rows)
        updates = sorted({0, (done + 1) // 2 - 1, done - 1})
        return [row for update in updates for row in self.rows[update][:SAMPLES]]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
