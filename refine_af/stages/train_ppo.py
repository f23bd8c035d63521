"""PPO from automated feedback: the model learns to write better input-output pairs."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refine_af.calls.journalled import JournalledEngine
from refine_af.calls.spending import Counted
from refine_af.contracts.errors import missing_library
from refine_af.contracts.jsonl import read_rows
from refine_af.contracts.params import param, rule
from refine_af.contracts.progress import StageProgress
from refine_af.contracts.randomness import sample
from refine_af.contracts.records import Instruction
from refine_af.contracts.stage import (
    Artifact,
    Metrics,
    Resources,
    Stage,
    Task,
)
from refine_af.engines.opening import open_engine
from refine_af.engines.params import EngineParams
from refine_af.engines.scorers.opening import open_reward
from refine_af.engines.text import TextEngine
from refine_af.feedback.indicators import TextIndicators
from refine_af.feedback.params import SCORER_PARTS, RewardParams
from refine_af.feedback.reward import RAW
from refine_af.ppo.instance_reward import InstanceReward
from refine_af.ppo.params import PPOParams
from refine_af.ppo.record import GOLD, check_held_out, watched, write
from refine_af.self_instruct.params import InstanceFormParams

if TYPE_CHECKING:
    from refine_af.ppo.episodes import Prompt
    from refine_af.ppo.policy import Policy
    from refine_af.ppo.result import EpisodeRow, OnUpdate, PPOResult
    from refine_af.ppo.rollout import RolloutEngine
    from refine_af.processes.group import Processes
    from refine_af.self_instruct.prompts import Layout


class TrainPPOParams(RewardParams, InstanceFormParams, PPOParams):
    """PPO, its reward, the form of the prompts, and what to train on."""

    prompts: int = param(
        4000, "Instructions to act on, drawn at random; 0 takes all.", ge=0, counts_rows=True
    )
    held_out: str = param(
        "",
        "Score that PPO never sees, for alarms: gold (embedded tasks) or a part of a scorer in"
        " reward_extra. Empty: gold for a builtin: model, else none.",
    )
    wandb: str = param("", "Weights & Biases project; nothing is sent when empty.", method=False)

    @property
    def stop(self) -> tuple[str, ...]:
        """Return the texts that end an action: it is one instance.

        Input first, it is ``Input: ...`` and ``Output: ...``; output first, for classification,
        it is a class label and then an input that has it.
        """
        return self.form(self.model, chat=self.asks_by_chat).stop

    @rule("held_out")
    def held_out_is_not_rewarded(self) -> str:
        """The held-out score is measured and no term of the reward."""
        parts = [part for name in self.scorers for part in SCORER_PARTS.get(name, ())]
        parts += [*TextIndicators.part_names, RAW]
        known = all(name in SCORER_PARTS for name in self.scorers)
        others = [part for part in parts if part not in self.preset.weights]
        if self.held_out in ("", GOLD, *others):
            return ""
        if self.held_out not in self.preset.weights and not known:
            return ""  # perhaps a part of the user's function; its parts are known when it is open
        return (
            f"it must be gold or a part that is measured and not weighed: {', '.join(others)}."
            " Name its scorer in reward_extra"
        )


def run(params: TrainPPOParams, task: Task) -> Metrics:
    """Train, keep every episode, and look for signs of reward hacking."""
    from refine_af.processes.start import started

    path = task.inputs["instructions"]
    episodes: list[EpisodeRow] = []
    track = _tracker(params, task.scratch)

    def on_update(row: Mapping[str, float], new_episodes: "Sequence[EpisodeRow]") -> None:
        episodes.extend(new_episodes)
        track(row)

    output = task.outputs["adapter"]
    with started(params.processes, _train_rank, params, path, task.scratch) as processes:
        result, reward = _train(params, path, task, output, processes, on_update)
    held_out = params.held_out or (GOLD if params.model.startswith("builtin:") else "")
    updates = watched(result.metrics, episodes, reward, held_out)
    task.telemetry.update(result.telemetry)
    metrics = write(updates, episodes, result.stopped, reward.weighed, task)
    return metrics | {"classification": reward.classification}


def _train_rank(processes: "Processes", params: TrainPPOParams, path: Path, scratch: Path) -> None:
    """Train as a rank above 0; rank 0 holds the journal and reports."""
    from refine_af.storage.journal import MemoryJournal

    task = Task({}, {}, MemoryJournal(), StageProgress("train_ppo"), scratch)
    _train(params, path, task, scratch / f"rank-{processes.rank}", processes, None)


def _train(
    params: TrainPPOParams,
    instructions: Path,
    task: Task,
    output: Path,
    processes: "Processes",
    on_update: "OnUpdate | None",
) -> "tuple[PPOResult, InstanceReward]":
    from refine_af.engines.models import load_model, resolve_model
    from refine_af.ppo.episodes import Prompt

    rows = _chosen(params, instructions)
    folder = processes.once_per_node(lambda: str(resolve_model(params.model)))  # one download
    where = _before_sharding() if params.sharded else {}
    model, tokenizer = load_model(folder, quantization=params.quantization, **where)
    scorer = open_reward(params, partial(_judge, task))
    check_held_out(params.held_out, scorer)
    policy = _sharded_policy(model, params, processes) if params.sharded else None
    form = params.form(params.model, chat=params.asks_by_chat)
    asked = _layouts(params, rows, policy or model, tokenizer, task, processes)
    texts = {row.id: row.instruction for row in rows}
    reward = InstanceReward(scorer, texts, form, asked, processes)
    prompts = [Prompt(row.id, form.prompt(row.instruction, asked[row.id])) for row in rows]
    shared: dict[str, Any] = {"progress": task.progress, "output": output, "on_update": on_update}
    if params.algorithm != "ppo":
        from refine_af.ppo.critic_free import train_critic_free

        shared |= {"algorithm": params.algorithm, "base_name": params.model}
        return train_critic_free(model, tokenizer, prompts, reward, params, **shared), reward
    from refine_af.ppo.policy import Policy
    from refine_af.ppo.trainer import train

    shared |= {"journal": task.journal, "processes": processes}
    shared["rollout"] = _rollout(params, tokenizer, prompts, task.scratch)
    policy = policy or Policy(model, params, base_name=params.model)
    result = train(policy, tokenizer, prompts, reward, params, **shared)
    return result, reward


def _judge(task: Task, engine: EngineParams) -> TextEngine:
    """Return a judge whose tokens and money stand in the task's telemetry, those of rank 0."""
    return Counted(open_engine(engine), task.telemetry, engine.money)


def _sharded_policy(
    model: Any,  # noqa: ANN401  a transformers model
    params: TrainPPOParams,
    processes: "Processes",
) -> "Policy":
    """Return the policy with its weights split over the processes, each part on its GPU."""
    from refine_af.ppo.policy import Policy
    from refine_af.ppo.sharding import shard

    policy = Policy(model, params, base_name=params.model)
    shard(policy, processes)
    return policy


def _before_sharding() -> dict[str, Any]:
    """Return the options of :func:`load_model` for a model that is sharded afterwards.

    It is loaded into main memory, in the precision of the GPU, and moved and split layer by layer,
    so that no GPU ever holds the whole.
    """
    from refine_af.engines.models import pick_device, pick_dtype

    dtype = pick_dtype("auto", pick_device("auto"))
    return {"device": "cpu", "dtype": str(dtype).removeprefix("torch.")}


def _layouts(
    params: TrainPPOParams,
    rows: list[Instruction],
    model: Any,  # noqa: ANN401  a transformers model, or the policy where it is sharded
    tokenizer: Any,  # noqa: ANN401  a transformers tokenizer
    task: Task,
    processes: "Processes",
) -> "dict[str, Layout]":
    """Return which part each instruction's instances begin with, as the start model says.

    Each process asks about its share. Sharded weights are whole meanwhile, as in a rollout; an
    adapter that is new changes no answer.
    """
    from refine_af.engines.transformers_text import TransformersText
    from refine_af.ppo.policy import Policy
    from refine_af.ppo.sharding import gathered
    from refine_af.self_instruct.task_kinds import layouts

    sharded = model if isinstance(model, Policy) else None
    own = Task({}, {}, task.journal, task.progress, Path())  # neither calls nor telemetry are kept
    asked = sharded.model if sharded else model
    engine = JournalledEngine(
        lambda: TransformersText.wrap(asked, tokenizer, chat=params.asks_by_chat), own, "kinds"
    )
    style = params.form(params.model, chat=params.asks_by_chat).style
    with ExitStack() as state:
        if sharded:
            state.enter_context(gathered(sharded))
            state.enter_context(sharded.autocast())
        mine = layouts(processes.share(rows), params.split, style, engine, params.seed)
    engine.finish()
    numbers = {row.id: number for number, row in enumerate(rows)}
    everyone = processes.gathered({numbers[row]: layout for row, layout in mine.items()})
    return {row.id: everyone[number] for number, row in enumerate(rows)}


def _rollout(
    params: TrainPPOParams,
    tokenizer: Any,  # noqa: ANN401  a transformers tokenizer
    prompts: "Sequence[Prompt]",
    scratch: Path,
) -> "RolloutEngine":
    if params.rollout == "transformers":
        from refine_af.ppo.transformers_rollout import TransformersRollout

        return TransformersRollout(tokenizer, params)
    from refine_af.ppo.rollout import encode_prompts
    from refine_af.ppo.vllm_rollout import VLLMRollout, VLLMServerRollout

    if params.rollout == "vllm_server":
        return VLLMServerRollout(params.rollout_url, tokenizer, params, scratch)
    from refine_af.engines.models import resolve_model

    longest = max(map(len, encode_prompts(tokenizer, prompts, None, params)))
    return VLLMRollout(
        resolve_model(params.model),
        tokenizer,
        params,
        scratch,
        max_model_len=longest + params.max_new_tokens,
        gpu_memory_utilization=params.rollout_memory,
    )


def _tracker(params: TrainPPOParams, scratch: Path) -> Callable[[Mapping[str, float]], None]:
    """Return the callback for each update's metrics: Weights & Biases if asked for, or a no-op."""
    if not params.wandb:
        return lambda _: None
    try:
        import wandb
    except ImportError as error:
        remedy = (
            "pip install wandb, or leave wandb empty: curves and event files are always written"
        )
        raise missing_library(error, f"wandb={params.wandb!r}", remedy) from None
    tracked = wandb.init(project=params.wandb, config=params.model_dump(), dir=str(scratch))
    return lambda row: tracked.log(dict(row), step=int(row["update"]))


def _chosen(params: TrainPPOParams, path: Path) -> list[Instruction]:
    rows = read_rows(path, Instruction)
    return sample(rows, params.prompts or len(rows), params.seed, "ppo-choice")


STAGE = Stage(
    name="train_ppo",
    summary="Train the model by PPO from automated feedback to write better instances.",
    params=TrainPPOParams,
    run=run,
    inputs=(
        Artifact(
            "instructions", "rows", "Instructions to write instances for.", record=Instruction
        ),
    ),
    outputs=(
        Artifact("adapter", "model", "The trained policy: PEFT directory, or whole model."),
        Artifact("curves", "rows", "One row of numbers per update.", shown=True),
        Artifact(
            "episodes", "rows", "Every episode: prompt, action, parts, advantage.", shown=True
        ),
        Artifact("events", "folder", "The same curves as a TensorBoard event file."),
        Artifact(
            "alarms",
            "json",
            "Signs of reward hacking, and why training stopped early.",
            shown=True,
        ),
    ),
    image="train",
    resources=Resources(cpu="8", memory="48Gi", gpu=True),
    source="REFINE-AF, stage 2; PPO (arXiv 1707.06347); own engine, see refine_af/ppo.",
)
