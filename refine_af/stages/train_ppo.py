"""PPO from automated feedback: the model learns to write better input-output pairs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from refine_af.calls.journalled import JournalledEngine
from refine_af.contracts.errors import ParameterError, missing_library
from refine_af.contracts.jsonl import read_rows
from refine_af.contracts.params import param
from refine_af.contracts.progress import StageProgress
from refine_af.contracts.randomness import sample
from refine_af.contracts.records import Instruction
from refine_af.contracts.stage import (
    Artifact,
    Journal,
    Metrics,
    Progress,
    Resources,
    Stage,
    Task,
)
from refine_af.ppo.instance_reward import InstanceReward
from refine_af.ppo.record import GOLD, check_held_out, watched, write
from refine_af.self_instruct.instance_form import (
    ASKED,
    SPLIT,
    Asked,
    InstanceForm,
    Split,
    style_for,
)
from refine_af.stages.reward_params import RewardParams, open_preset

if TYPE_CHECKING:
    from refine_af.ppo.episodes import Prompt
    from refine_af.ppo.result import EpisodeRow, OnUpdate, PPOResult
    from refine_af.ppo.rollout import RolloutEngine
    from refine_af.ppo.settings import PPOSettings
    from refine_af.processes.group import Processes
    from refine_af.self_instruct.prompts import Layout


class TrainPpoParams(RewardParams):
    """The fields of ``refine_af.ppo.settings.PPOSettings``, and what to train on."""

    model: str = param("builtin:tiny", "Start model: builtin:tiny, a Hub id, a path or a URI.")
    model_digest: str = param("", "Digest or revision of the model, as check_inputs found it.")
    algorithm: Literal["ppo", "rloo", "grpo"] = param(
        "ppo", "ppo is our own; rloo and grpo are TRL's trainers with the same reward."
    )
    style: Asked = param("auto", ASKED)
    split: Split = param("classification", SPLIT, source="Self-Instruct, section 2.3")
    chat: bool = param(False, "Put prompts into the model's chat template.")
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
    lora_rank: int = param(16, "Rank of the adapter; 0 trains the model's own weights.", ge=0)
    lora_targets: str = param(
        "all-linear", "Layers with an adapter: all-linear or a regular expression of their names."
    )
    trained_weights: str = param(
        "", "With lora_rank 0: regular expression of the weights' names; empty trains all."
    )
    lora_alpha: int = param(32, "Scale of the adapter.", ge=1)
    max_kl: float = param(10.0, "Stop above this KL per episode, nats.", gt=0.0)
    whiten: bool = param(True, "Advantages get mean 0 and deviation 1.")
    precision: Literal["float32", "bfloat16"] = param("float32", "Of forward passes.")
    quantization: Literal["none", "nf4"] = param(
        "none", "nf4 loads the base model in 4 bits (bitsandbytes, NVIDIA GPU, with an adapter)."
    )
    rollout: Literal["transformers", "vllm", "vllm_server"] = param(
        "transformers", "Who acts; vllm and vllm_server reload the adapter after each update."
    )
    rollout_url: str = param(
        "", "Address of the server of rollout=vllm_server; it shares TMPDIR.", method=False
    )
    rollout_memory: float = param(
        0.4, "Share of the GPU's memory for rollout=vllm.", method=False, gt=0.0, lt=1.0
    )
    processes: int = param(1, "Processes, one GPU each; 0 takes all GPUs.", method=False, ge=0)
    sharded: bool = param(
        False, "Split the weights over the processes (FSDP) instead of copying.", method=False
    )
    held_out: str = param(
        "",
        "Score that PPO never sees, for alarms: gold (embedded tasks) or a part of a scorer in"
        " reward_extra. Empty: gold for a builtin: model, else none.",
    )
    wandb: str = param("", "Weights & Biases project; nothing is sent when empty.", method=False)
    checkpoint_every: int = param(1, "Updates between checkpoints.", method=False, ge=1)


def run(params: TrainPpoParams, task: Task) -> Metrics:
    """Train, keep every episode, and look for signs of reward hacking."""
    from refine_af.processes.start import started

    _check_together(params)
    place = task.inputs["instructions"]
    episodes: list[EpisodeRow] = []
    track = _tracker(params, task.scratch)

    def hear(row: Mapping[str, float], found: "Sequence[EpisodeRow]") -> None:
        episodes.extend(found)
        track(row)

    with started(params.processes, _help, params, place, task.scratch) as processes:
        result, reward = _train(
            params,
            place,
            task.journal,
            task.outputs["adapter"],
            task.scratch,
            processes,
            hear,
            task.progress,
        )
    held_out = params.held_out or (GOLD if params.model.startswith("builtin:") else "")
    updates = watched(result.metrics, episodes, reward, held_out)
    task.telemetry.update(result.telemetry)
    found = write(updates, episodes, result.stopped, reward.weighed, task)
    return found | {"classification": reward.classification}


def _check_together(params: TrainPpoParams) -> None:
    """Refuse what does not go together, before a model is loaded."""
    if params.algorithm != "ppo":
        wanted = {"rollout": "transformers", "processes": 1, "sharded": False}
        for name, only in wanted.items():
            if getattr(params, name) != only:
                raise ParameterError(
                    f"{name} is {getattr(params, name)!r}; algorithm {params.algorithm} works with"
                    f" {name}={only} alone, so change it or set algorithm to ppo"
                )
    if params.quantization != "none" and (params.sharded or not params.lora_rank):
        raise ParameterError(
            "quantization needs an adapter on whole weights: set lora_rank above 0 and sharded off"
        )
    if params.rollout == "vllm" and params.processes != 1:
        raise ParameterError(
            f"processes is {params.processes}; rollout vllm works in one process. For several,"
            " start a vLLM server and set rollout to vllm_server"
        )
    _settings(params).check_shares(max(params.processes, 1))


def _settings(params: TrainPpoParams) -> "PPOSettings":
    from refine_af.ppo.settings import PPOSettings

    names = {field for field in PPOSettings.__dataclass_fields__ if hasattr(params, field)}
    values = {name: getattr(params, name) for name in names}
    return PPOSettings(**values, stop=_form(params).stop)


def _form(params: TrainPpoParams) -> InstanceForm:
    """Return how the model is asked; an action is one instance.

    Input first, it is ``Input: ...`` and ``Output: ...``; output first, for classification, it is
    a class label and then an input that has it.
    """
    return InstanceForm(style_for(params.style, params.model), instances=1)


def _help(processes: "Processes", params: TrainPpoParams, place: Path, scratch: Path) -> None:
    """Train as a helper of the process that holds the journal."""
    from refine_af.storage.journal import MemoryJournal

    quiet = StageProgress("train_ppo")  # helpers report nothing
    _train(params, place, MemoryJournal(), scratch / "helper", scratch, processes, None, quiet)


def _train(
    params: TrainPpoParams,
    instructions: Path,
    journal: Journal,
    output: Path,
    scratch: Path,
    processes: "Processes",
    on_update: "OnUpdate | None",
    progress: Progress,
) -> "tuple[PPOResult, InstanceReward]":
    from refine_af.engines.models import load_model
    from refine_af.ppo.episodes import Prompt

    rows = _chosen(params, instructions)
    settings = _settings(params)
    model, tokenizer = load_model(params.model, quantization=params.quantization)
    scorer = open_preset(params)
    check_held_out(params.held_out, scorer)
    form = _form(params)
    asked = processes.from_main(
        _layouts(params, rows, model, tokenizer, journal, progress) if processes.main else {}
    )
    texts = {row.id: row.instruction for row in rows}
    reward = InstanceReward(scorer, texts, form, asked, processes)
    prompts = [Prompt(row.id, form.prompt(row.instruction, asked[row.id])) for row in rows]
    shared: dict[str, Any] = {
        "progress": progress,
        "output": output,
        "on_update": on_update,
    }
    if params.algorithm != "ppo":
        from refine_af.ppo.critic_free import train_critic_free

        result = train_critic_free(
            params.algorithm,
            model,
            tokenizer,
            prompts,
            reward,
            settings,
            base_name=params.model,
            **shared,
        )
        return result, reward
    from refine_af.ppo.policy import Policy
    from refine_af.ppo.trainer import train

    result = train(
        Policy(model, settings, base_name=params.model),
        tokenizer,
        prompts,
        reward,
        settings,
        journal=journal,
        rollout=_rollout(params, tokenizer, prompts, settings, scratch),
        processes=processes,
        **shared,
    )
    return result, reward


def _layouts(
    params: TrainPpoParams,
    rows: list[Instruction],
    model: Any,  # noqa: ANN401  a transformers model
    tokenizer: Any,  # noqa: ANN401  a transformers tokenizer
    journal: Journal,
    progress: Progress,
) -> "dict[str, Layout]":
    """Return which part each instruction's instances begin with, as the start model says."""
    from refine_af.engines.transformers_text import TransformersText
    from refine_af.self_instruct.task_kinds import layouts

    task = Task({}, {}, journal, progress, Path())  # neither calls nor telemetry are kept
    engine = JournalledEngine(
        lambda: TransformersText.wrap(model, tokenizer, chat=params.chat), task, "kinds"
    )
    found = layouts(rows, params.split, _form(params).style, engine, params.seed)
    engine.finish()
    return found


def _rollout(
    params: TrainPpoParams,
    tokenizer: Any,  # noqa: ANN401  a transformers tokenizer
    prompts: "Sequence[Prompt]",
    settings: "PPOSettings",
    scratch: Path,
) -> "RolloutEngine":
    if params.rollout == "transformers":
        from refine_af.ppo.transformers_rollout import TransformersRollout

        return TransformersRollout(tokenizer, settings)
    from refine_af.ppo.rollout import encode_prompts
    from refine_af.ppo.vllm_rollout import VLLMRollout, VLLMServerRollout

    if params.rollout == "vllm_server":
        return VLLMServerRollout(params.rollout_url, tokenizer, settings, scratch)
    from refine_af.engines.models import resolve_model

    longest = max(map(len, encode_prompts(tokenizer, prompts, None, settings)))
    return VLLMRollout(
        resolve_model(params.model),
        tokenizer,
        settings,
        scratch,
        max_model_len=longest + settings.max_new_tokens,
        gpu_memory_utilization=params.rollout_memory,
    )


def _tracker(params: TrainPpoParams, scratch: Path) -> Callable[[Mapping[str, float]], None]:
    """Return what is told each update's numbers: Weights & Biases when asked for, or nothing."""
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


def _chosen(params: TrainPpoParams, place: Path) -> list[Instruction]:
    rows = read_rows(place, Instruction)
    return sample(rows, params.prompts or len(rows), params.seed, "ppo-choice")


STAGE = Stage(
    name="train_ppo",
    summary="Train the model by PPO from automated feedback to write better instances.",
    params=TrainPpoParams,
    run=run,
    inputs=(Artifact("instructions", "rows", "Instructions to write instances for."),),
    outputs=(
        Artifact("adapter", "model", "The trained policy: PEFT directory, or whole model."),
        Artifact("curves", "rows", "One row of numbers per update."),
        Artifact("episodes", "rows", "Every episode: prompt, action, parts, advantage."),
        Artifact("events", "folder", "The same curves as a TensorBoard event file."),
        Artifact("alarms", "json", "Signs of reward hacking, and why training stopped early."),
    ),
    image="train",
    resources=Resources(cpu="8", memory="48Gi", gpu=True),
    source="REFINE-AF, stage 2; PPO (arXiv 1707.06347); own engine, see refine_af/ppo.",
)
