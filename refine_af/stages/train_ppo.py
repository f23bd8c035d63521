"""PPO from automated feedback: the model learns to write better input-output pairs."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any, Literal

from refine_af.contracts.jsonl import read_rows, write_rows
from refine_af.contracts.params import param
from refine_af.contracts.randomness import sample
from refine_af.contracts.records import Instruction
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.feedback.interface import Scored, Triplet
from refine_af.feedback.reward import Reward
from refine_af.self_instruct.parse_instances import parse_plain
from refine_af.self_instruct.prompts import render
from refine_af.stages.reward_params import RewardParams, open_preset

if TYPE_CHECKING:
    from refine_af.ppo.episodes import Episode, Feedback, Prompt
    from refine_af.ppo.result import EpisodeRow


class TrainPpoParams(RewardParams):
    """The fields of ``refine_af.ppo.settings.PPOSettings``, and what to train on."""

    model: str = param("builtin:tiny", "Start model: builtin:tiny, a Hub id, a path or a URI.")
    model_digest: str = param("", "Digest or revision of the model, as check_inputs found it.")
    seed: int = param(1, "Seed of all randomness.")
    prompts: int = param(4000, "Instructions to act on, drawn at random; 0 takes all.", ge=0)
    updates: int = param(200, "Rollouts, each with its optimisation.", ge=1)
    episodes_per_update: int = param(64, "Episodes of one rollout.", ge=2)
    episodes_per_prompt: int = param(
        1,
        "Episodes of one prompt; above 1 each is scored against the mean of its siblings.",
        source="RLOO (2402.14740)",
        ge=1,
    )
    minibatch: int = param(8, "Episodes of one optimiser step.", ge=1)
    microbatch: int = param(8, "Most episodes in one forward pass; bounds memory.", ge=1)
    epochs: int = param(4, "Passes over the episodes of a rollout.", source="TRL", ge=1)
    learning_rate: float = param(1e-5, "Of the policy's weights.", gt=0.0, le=1.0)
    value_learning_rate: float = param(0.0, "Of the value head; 0 takes 0.1 / hidden size.", ge=0.0)
    clip: float = param(0.2, "Epsilon of the policy objective.", source="PPO (1707.06347)", gt=0.0)
    value_clip: float = param(0.2, "Most that a value may move; 0 does not clip.", ge=0.0)
    value_coefficient: float = param(0.1, "Weight of the value loss.", source="TRL", ge=0.0)
    entropy_coefficient: float = param(0.0, "Weight of the entropy bonus.", ge=0.0)
    kl_coefficient: float = param(0.05, "Price of one nat of KL.", source="TRL", ge=0.0)
    kl_target: float = param(0.0, "KL per episode to steer to, nats; 0 keeps the price.", ge=0.0)
    gamma: float = param(1.0, "Discount.", source="TRL", ge=0.0, le=1.0)
    lam: float = param(0.95, "Lambda of GAE.", source="TRL", ge=0.0, le=1.0)
    max_grad_norm: float = param(1.0, "Largest gradient norm of a step.", gt=0.0)
    warmup_updates: int = param(5, "Updates over which the learning rate rises.", ge=0)
    max_new_tokens: int = param(256, "Longest action, tokens.", ge=1)
    temperature: float = param(1.0, "Of sampling.", gt=0.0)
    truncation_penalty: float = param(0.0, "Taken from a cut-off action's reward.", ge=0.0)
    lora_rank: int = param(16, "Rank of the adapter; 0 trains every weight.", ge=0)
    lora_alpha: int = param(32, "Scale of the adapter.", ge=1)
    max_kl: float = param(10.0, "Stop above this KL per episode, nats.", gt=0.0)
    whiten: bool = param(True, "Advantages get mean 0 and deviation 1.")
    precision: Literal["float32", "bfloat16"] = param("float32", "Of forward passes.")
    checkpoint_every: int = param(1, "Updates between checkpoints.", method=False, ge=1)


class InstanceReward:
    """Scores episodes as instances; an action that holds none gets the reward's floor."""

    def __init__(self, reward: Reward, instructions: dict[str, str]) -> None:
        """Score with ``reward``; ``instructions`` holds the text by prompt id."""
        self._reward = reward
        self._instructions = instructions

    def __call__(self, episodes: "Sequence[Episode]") -> "list[Feedback]":
        """Return one feedback per episode, in order."""
        from refine_af.ppo.episodes import Feedback

        rows = [self.instance(one.prompt_id, one.action, one.finish) for one in episodes]
        return [
            Feedback(scored.total, dict(scored.parts), row is not None)
            for row, scored in zip(rows, self._scores(rows), strict=True)
        ]

    def _scores(self, rows: Sequence[Triplet | None]) -> list[Scored]:
        return self._reward.score(rows)

    def instance(self, prompt_id: str, action: str, finish: str) -> Triplet | None:
        """Return the instance that an action holds; none when it was cut off or has no form."""
        pair = parse_plain(action) if finish == "stop" else None
        if pair is None:
            return None
        return Triplet(self._instructions[prompt_id], pair.input, pair.output)

    @property
    def weighed(self) -> list[str]:
        """Return the parts that the preset weighs."""
        return list(self._reward.preset.weights)

    def get_state(self) -> dict[str, Any]:
        """Return the reward's running statistics."""
        return self._reward.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to a state of :meth:`get_state`."""
        self._reward.set_state(state)


def run(params: TrainPpoParams, task: Task) -> Metrics:
    """Train, keep every episode, and look for signs of reward hacking."""
    from refine_af.engines.models import load_model
    from refine_af.ppo.policy import Policy
    from refine_af.ppo.settings import PPOSettings
    from refine_af.ppo.trainer import train
    from refine_af.ppo.transformers_rollout import TransformersRollout

    instructions = _chosen(params, task)
    names = {field for field in PPOSettings.__dataclass_fields__ if hasattr(params, field)}
    settings = PPOSettings(**{name: getattr(params, name) for name in names})
    model, tokenizer = load_model(params.model)
    reward = InstanceReward(open_preset(params), {row.id: row.instruction for row in instructions})
    episodes: list[EpisodeRow] = []
    result = train(
        Policy(model, settings, base_name=params.model),
        tokenizer,
        [_prompt(row) for row in instructions],
        reward,
        settings,
        journal=task.journal,
        progress=task.progress,
        rollout=TransformersRollout(tokenizer, settings),
        output=task.outputs["adapter"],
        on_episodes=lambda _update, rows: episodes.extend(rows),
    )
    updates = _watched(result.metrics, episodes, reward, gold=_embedded(params))
    task.telemetry.update(result.telemetry)
    return _write(updates, episodes, result.stopped, reward.weighed, task)


def _embedded(params: TrainPpoParams) -> bool:
    return params.model.startswith("builtin:")


def _chosen(params: TrainPpoParams, task: Task) -> list[Instruction]:
    rows = read_rows(task.inputs["instructions"], Instruction)
    count = params.prompts or len(rows)
    return sample(rows, count, params.seed, "ppo-choice")


def _prompt(row: Instruction) -> "Prompt":
    from refine_af.ppo.episodes import Prompt

    return Prompt(row.id, render("instance_input_first", instruction=row.instruction))


def _watched(
    metrics: list[dict[str, float]],
    episodes: "list[EpisodeRow]",
    reward: InstanceReward,
    *,
    gold: bool,
) -> list[dict[str, float]]:
    """Return the rows with what the alarms watch beside them.

    ``keyword_rise`` is the rise of the word that spreads most. ``held_out`` is the share of right
    answers, by a scorer that no reward sees; only the embedded model's tasks have one.
    """
    from refine_af.feedback.keywords import keyword_rises

    instances: list[list[Triplet]] = [[] for _ in metrics]
    judged: list[list[float]] = [[] for _ in metrics]
    for row in episodes:
        held = reward.instance(row.prompt_id, row.action, row.finish)
        if held is not None:
            instances[row.update - 1].append(held)
        score = _gold(held) if gold else None
        if score is not None:
            judged[row.update - 1].append(score)
    rises = keyword_rises(instances)
    return [
        row | _column("keyword_rise", rise) | _spread("held_out", scores)
        for row, rise, scores in zip(metrics, rises, judged, strict=True)
    ]


def _gold(held: Triplet | None) -> float | None:
    from refine_af.builtin.gold import gold_score

    return 0.0 if held is None else gold_score(*held)


def _column(name: str, value: float | None) -> dict[str, float]:
    return {} if value is None else {name: value}


def _spread(name: str, values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    return {name: fmean(values), f"{name}_sd": pstdev(values)}


def _write(
    updates: list[dict[str, float]],
    episodes: "list[EpisodeRow]",
    stopped: str,
    weighed: list[str],
    task: Task,
) -> Metrics:
    from refine_af.feedback.alarms import find_alarms, unwatched

    write_rows(task.outputs["curves"], updates)
    write_rows(task.outputs["episodes"], [asdict(row) for row in episodes])
    alarms = [asdict(alarm) for alarm in find_alarms(updates, weighed=weighed)]
    for alarm in alarms:
        task.progress.say(f"alarm: {alarm['message']}")
    found = {"stopped": stopped, "alarms": alarms, "unwatched": unwatched(updates)}
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    task.outputs["alarms"].write_text(text, encoding="utf-8")
    first, last = updates[0], updates[-1]
    return {
        "updates": len(updates),
        "episodes": len(episodes),
        "reward_first": first["reward_mean"],
        "reward_last": last["reward_mean"],
        "parseable_last": last["parseable"],
        "kl_last": last["kl"],
        "alarms": len(alarms),
    }


STAGE = Stage(
    name="train_ppo",
    summary="Train the model by PPO from automated feedback to write better instances.",
    params=TrainPpoParams,
    run=run,
    inputs=(Artifact("instructions", "rows", "Instructions to write instances for."),),
    outputs=(
        Artifact("adapter", "model", "The trained policy as a PEFT directory."),
        Artifact("curves", "rows", "One row of numbers per update."),
        Artifact("episodes", "rows", "Every episode: prompt, action, parts, advantage."),
        Artifact("alarms", "json", "Signs of reward hacking, and why training stopped early."),
    ),
    image="train",
    resources=Resources(cpu="8", memory="48Gi", gpu=True),
    source="REFINE-AF, stage 2; PPO (arXiv 1707.06347); own engine, see refine_af/ppo.",
)
