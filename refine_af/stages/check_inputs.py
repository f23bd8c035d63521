"""Checks every input before any GPU is requested, and takes the digests that later tasks expect."""

from collections import deque
from pathlib import Path
from typing import Any

from refine_af import __version__
from refine_af.contracts.content import Content, EngineKind
from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.jsonl import parse_object, write_object
from refine_af.contracts.params import param, same_as
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.engines.params import ModelParams
from refine_af.evaluation.params import TasksParams
from refine_af.evaluation.task_sets import load_tasks
from refine_af.feedback.params import RewardParams, RewardRuleParams
from refine_af.stages.form import KNOBS
from refine_af.stages.seed_ingest import SeedCounts, SeedParams, iter_seeds
from refine_af.storage.manifest import digest_path
from refine_af.storage.sources import fetch_named, fetch_rows_file, fetch_source

PACKAGED_TASKS = "builtin:tasks"


class CheckInputsParams(RewardRuleParams):
    """What the run will read."""

    seeds_uri: str = same_as(SeedParams, "seeds_uri")
    field_map: str = same_as(SeedParams, "field_map")
    model: str = same_as(ModelParams, "model")
    tasks_uri: str = same_as(TasksParams, "tasks_uri")
    expected_tasks: str = param("", "Digest that the tasks must have; empty accepts any.")
    instances: int = same_as(TasksParams, "instances")
    gpt2_tokenizer: str = same_as(TasksParams, "gpt2_tokenizer")
    packaged_tasks: bool = param(
        True, "Evaluation may run on builtin:tasks, which are the embedded model's."
    )
    reward_model: str = same_as(RewardParams, "reward_model")
    unieval: str = same_as(RewardParams, "unieval")
    language_model: str = same_as(RewardParams, "language_model")
    judge: str = same_as(RewardParams, "judge")
    judge_engine: EngineKind = same_as(RewardParams, "judge_engine")
    judge_url: str = same_as(RewardParams, "judge_url")
    operators_uri: str = param(
        "",
        "Textual operations of the second pipeline; empty where none are read.",
        names="operators",
    )
    arms: str = param("rl,baseline", "Trained arms, comma separated; part of the provenance.")
    seed: int = same_as(ModelParams, "seed")
    settings: str = param(
        "",
        "Fields of the form and the values of their stages, as JSON; the form's are laid over.",
        method=False,
    )
    instructions: int = param(15000, "Of the form: new instructions to write.", method=False)
    updates: int = param(200, "Of the form: updates of PPO.", method=False)
    episodes: int = param(64, "Of the form: episodes of each update of PPO.", method=False)
    policy_updates: int = param(20, "Of the form: updates of the operators' policy.", method=False)
    lora_rank: int = param(16, "Of the form: rank of fine-tuning.", method=False)
    sft_steps: int = param(0, "Of the form: steps of fine-tuning.", method=False)
    max_rouge_l: float = param(0.7, "Of the form: similarity of a repeat.", method=False)

    def scorers_params(self) -> RewardParams:
        """Return the parameters of the reward's scorers."""
        names = RewardParams.model_fields.keys() & type(self).model_fields.keys()
        return RewardParams.parse({name: getattr(self, name) for name in names})

    def content(self) -> list[Content]:
        """Return what the values name; of the scorers' models those that the reward reads."""
        read = {item.parameter for item in self.scorers_params().content()}
        models = ("reward_model", "unieval", "language_model", "judge", "judge_url")
        unread = {name for name in models if name not in read}
        return [item for item in super().content() if item.parameter not in unread]


def run(params: CheckInputsParams, task: Task) -> Metrics:
    """Resolve everything to a digest or revision and write the run's manifest."""
    from refine_af.engines.models import model_revision
    from refine_af.engines.scorers.user import UserScorer
    from refine_af.evaluation.gpt2_tokens import track_tokenizer

    _check_settings(params)
    _refuse_packaged_tasks(params)
    for content in params.content():
        if content.kind == "code":
            UserScorer(content.value)  # refuses what cannot be imported
    seeds_path = fetch_rows_file(params.seeds_uri, task.scratch)
    counts = SeedCounts()
    seeds = iter_seeds(seeds_path, params.seeds_uri, "unknown", counts, field_map=params.field_map)
    deque(seeds, maxlen=0)  # reads, keeps nothing
    task.progress.say(counts.said(params.seeds_uri))
    tasks = load_tasks([fetch_source(params.tasks_uri, task.scratch)], first=params.instances)
    task.progress.say(f"{len(tasks.tasks)} evaluation tasks with {tasks.count} instances")
    _check_operators(params, task)
    track_tokenizer(tasks.tasks, fetch_named(params.gpt2_tokenizer, task.scratch))
    if params.expected_tasks not in ("", tasks.digest):
        raise DataError(
            f"{params.tasks_uri}: the digest of its first {params.instances} instances a task is"
            f" {tasks.digest}, expected {params.expected_tasks}; other tasks, or other instances"
        )
    _check_models(params, task)
    facts = {
        "seeds_digest": digest_path(seeds_path),
        "model_digest": model_revision(params.model),
        "tasks_digest": tasks.digest,
    }
    for name, value in facts.items():
        task.outputs[name].write_text(value, encoding="utf-8")
    write_object(task.outputs["manifest"], _manifest(params) | facts)
    return {"seeds": counts.seeds, "tasks": len(tasks.tasks), "task_instances": tasks.count}


def _manifest(params: CheckInputsParams) -> dict[str, Any]:
    return {
        "refine_af": __version__,
        "arms": params.arms.split(","),
        "seeds_uri": _shown(params.seeds_uri),
        "model": _shown(params.model),
        "tasks_uri": _shown(params.tasks_uri),
        "reward": params.reward,
        "seed": params.seed,
    }


def _check_models(params: CheckInputsParams, task: Task) -> None:
    """Refuse a start model or a scorer's model that a later task could not load."""
    from refine_af.engines.models import check_model
    from refine_af.engines.scorers.opening import check_scorers

    check_model(params.model)
    for model in check_scorers(params.scorers_params()):
        task.progress.say(f"scorer {model} can be loaded")


def _refuse_packaged_tasks(params: CheckInputsParams) -> None:
    if not params.packaged_tasks and params.tasks_uri == PACKAGED_TASKS:
        raise ParameterError(
            f"tasks_uri is {PACKAGED_TASKS}, the embedded model's own 40 tasks, and this preset is"
            " measured on SUPER-NI's: git clone https://github.com/allenai/natural-instructions,"
            " then --set tasks_uri=natural-instructions/splits/default/test_tasks.txt (in a bucket"
            " for a cluster); --set check_inputs.packaged_tasks=true takes the small ones"
        )


def _check_settings(params: CheckInputsParams) -> None:
    """Check the values that the form changed against the declarations of their stages."""
    from refine_af.stages import STAGES  # which this stage is one of

    stages = {stage.name: stage for stage in STAGES}
    settings = parse_object(params.settings.encode() or b"{}", "settings")
    for name, values in settings.get("stages", {}).items():
        changed = {
            parameter: getattr(params, knob.name)
            for knob in KNOBS
            for target, parameter in knob.targets
            if target == name and knob.name in settings["fields"]
        }
        stages[name].params.parse(values | changed, where=name)


def _check_operators(params: CheckInputsParams, task: Task) -> None:
    if params.operators_uri:
        from refine_af.evolve.operators import open_operators
        from refine_af.evolve.policies import released_mix

        operators = open_operators(params.operators_uri, task.scratch)
        if "released_mix" in params.arms.split(","):
            released_mix(operators, params.seed)  # refuses operators of other names
        task.progress.say(f"{len(operators.names)} textual operations are readable")


def _shown(uri: str) -> str:
    """Return a URI, or the name of a local path: its folder differs between machines."""
    return uri if ":" in uri else Path(uri).name or uri


STAGE = Stage(
    name="check_inputs",
    summary="Resolve seeds, model and tasks to digests and prove that the run can start.",
    params=CheckInputsParams,
    run=run,
    inputs=(),
    outputs=(
        Artifact("manifest", "json", "What the run reads, with digests.", shown=True),
        Artifact("seeds_digest", "parameter", "sha256 of the seeds."),
        Artifact("model_digest", "parameter", "Digest or revision of the model."),
        Artifact("tasks_digest", "parameter", "Digest of the evaluation tasks."),
    ),
    image="core",
    resources=Resources(cpu="1", memory="2Gi"),
    source="project choice: a wrong input must not cost a GPU hour",
    cache=False,
)
