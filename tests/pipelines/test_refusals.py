"""Wrong values are refused by --dry-run: every range of every stage, and every rule."""

import pytest

from refine_af.cli import main
from refine_af.contracts.errors import ParameterError
from refine_af.contracts.params import Params
from refine_af.pipelines.config import load_config
from refine_af.pipelines.tasks import planned
from refine_af.runner import find_stage
from refine_af.stages import STAGES

PRESETS = ("smoke", "teams-rl-smoke")
RUNS = {
    preset: {task.stage.name for task in planned(load_config(preset, ""))} for preset in PRESETS
}


def refusal(capsys: pytest.CaptureFixture[str], *assignments: str) -> str:
    """Return the one line that --dry-run ends with, on a preset that runs the stage."""
    stage = assignments[0].partition(".")[0]
    preset = "teams-rl-smoke" if stage in RUNS["teams-rl-smoke"] - RUNS["smoke"] else "smoke"
    options = [part for text in assignments for part in ("--set", text)]
    assert main(["run", "--preset", preset, "--dry-run", *options]) == 64
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def outside(params: type[Params], name: str) -> list[float]:
    """Return a value below the range and one above it, where it ends."""
    step = 1 if params.model_fields[name].annotation is int else 0.5
    found: list[float] = []
    for bound in params.model_fields[name].metadata:
        for kind, away in (("ge", -step), ("gt", 0), ("le", step), ("lt", 0)):
            if (end := getattr(bound, kind, None)) is not None:
                found.append(end + away)
    return found


RANGES = [
    (stage.name, name, value)
    for stage in STAGES
    for name in stage.params.model_fields
    for value in outside(stage.params, name)
]


def test_the_walk_has_met_the_ranges() -> None:
    assert len(RANGES) > 150
    assert {stage for stage, _, _ in RANGES} >= {"train_ppo", "train_sft", "embed_texts", "report"}


@pytest.mark.parametrize(("stage", "name", "value"), RANGES)
def test_a_value_outside_its_range_is_refused(
    stage: str, name: str, value: float, capsys: pytest.CaptureFixture[str]
) -> None:
    text = int(value) if find_stage(stage).params.model_fields[name].annotation is int else value
    line = refusal(capsys, f"{stage}.{name}={text}")
    assert line.startswith(f"refine-af: {stage}.{name} is {text}; it must be ")


EVOLVE = "evolve_instructions"
RULES: dict[str, tuple[str, ...]] = {
    "EngineParams.endpoint_has_an_address": ("evaluate.engine=openai",),
    "SeedParams.endpoint_has_an_address": (
        "seed_ingest.classification=ask",
        "seed_ingest.engine=openai",
    ),
    "EngineParams.engine_applies_the_adapter": ("evaluate.engine=scripted",),
    "PPOParams.prompts_fill_a_rollout": ("train_ppo.episodes_per_prompt=3",),
    "PPOParams.critic_free_compares_siblings": (
        "train_ppo.algorithm=grpo",
        "train_ppo.episodes_per_prompt=1",
    ),
    "PPOParams.critic_free_runs_alone": ("train_ppo.algorithm=rloo", "train_ppo.processes=4"),
    "PPOParams.critic_free_steps_are_whole": ("train_ppo.algorithm=rloo", "train_ppo.minibatch=3"),
    "PPOParams.processes_share_evenly": ("train_ppo.processes=3",),
    "PPOParams.shards_need_processes": ("train_ppo.sharded=true",),
    "PPOParams.quantized_weights_have_an_adapter": (
        "train_ppo.quantization=nf4",
        "train_ppo.lora_rank=0",
    ),
    "PPOParams.adapter_leaves_weights": ("train_ppo.trained_weights=model.norm.weight",),
    "PPOParams.trained_weights_is_a_pattern": (
        "train_ppo.trained_weights=(",
        "train_ppo.lora_rank=0",
    ),
    "PPOParams.lora_targets_is_a_pattern": ("train_ppo.lora_targets=(",),
    "PPOParams.rollout_reloads_an_adapter": ("train_ppo.rollout=vllm", "train_ppo.lora_rank=0"),
    "PPOParams.vllm_rolls_out_alone": ("train_ppo.rollout=vllm", "train_ppo.processes=2"),
    "PPOParams.vllm_shares_a_node": ("train_ppo.rollout=vllm", "train_ppo.nodes=2"),
    "PPOParams.server_has_an_address": ("train_ppo.rollout=vllm_server",),
    "TrainPPOParams.held_out_is_not_rewarded": ("train_ppo.held_out=reward",),
    "SFTParams.batch_has_equal_pieces": ("train_sft.gradient_accumulation=3",),
    "SFTParams.processes_share_evenly": ("train_sft.processes=3",),
    "SFTParams.qlora_needs_a_gpu": ("train_sft.method=qlora", "train_sft.device=cpu"),
    "RewardRuleParams.preset_exists": ("train_ppo.reward=ballanced",),
    "RewardRuleParams.extra_scorers_exist": ("train_ppo.reward_extra=unievl",),
    "RewardParams.each_part_has_one_scorer": ("train_ppo.reward_extra=reward_model",),
    "RewardParams.judge_is_named": ("score_rewards.reward=judge",),
    "RewardParams.unieval_judges_dialogue": ("train_ppo.unieval=MingZhong/unieval-sum",),
    "RewardParams.guards_leave_room": (
        "train_ppo.guard_max_words=3",
        "train_ppo.guard_min_words=4",
    ),
    "RewardParams.device_exists": ("score_rewards.scorer_device=gpu",),
    "BootstrapParams.machine_written_are_shown": ("generate_instructions.machine_in_context=9",),
    "BootstrapParams.rating_reads_the_model": (
        "generate_instructions.task_rating=pmi",
        "generate_instructions.parity=true",
    ),
    "BootstrapParams.best_are_rated": ("generate_instructions.best_share=0.5",),
    "InstancesParams.samples_differ": (
        "generate_instances.samples=4",
        "generate_instances.temperature=0",
    ),
    "ResponsesParams.samples_differ": (
        "generate_responses.samples=2",
        "generate_responses.temperature=0",
    ),
    "ResponsesParams.some_rows_train": ("generate_responses.held_out_share=0.9",),
    "EvolutionParams.some_length_fits": (f"{EVOLVE}.min_words=100", f"{EVOLVE}.max_words=5"),
    "EvolutionParams.reviewer_has_an_address": (f"{EVOLVE}.reviewer_engine=openai",),
    "EvolveParams.mix_is_readable": ("arms=fixed_mix", f"{EVOLVE}.mix=deepen=1,nosuch=2"),
    "EvolveParams.learned_policy_is_given": (),
    "AnswerParams.escapes_are_readable": ("evaluate.stop=\\",),
    "AnswerParams.prompt_is_a_template": ("evaluate.prompt={{ instruction",),
    "EvaluateParams.harness_runs_the_engine": (
        "evaluate.lm_eval=piqa",
        "evaluate.engine=openai",
        "evaluate.base_url=http://h/v1",
    ),
    "RegisterModelParams.registry_is_an_address": ("register_model.registry=ftp://host",),
    "RegisterModelParams.names_are_folders": ("register_model.name=a/b",),
    "NotifyParams.url_is_an_address": ("notify.url=ftp://host",),
}
"""For each rule of the registry what breaks it; none where only the stage itself can see it."""


def rules() -> dict[str, str]:
    """Return the parameter that each rule of the registry names, by the rule."""
    return {
        method.__qualname__: method.parameter  # type: ignore[attr-defined]
        for stage in STAGES
        for method in stage.params.rules().values()
    }


def test_every_rule_has_a_case() -> None:
    assert set(rules()) == set(RULES)


@pytest.mark.parametrize("rule", [rule for rule, case in RULES.items() if case])
def test_a_broken_rule_is_refused(rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    case = RULES[rule]
    stage = next(text.partition(".")[0] for text in case if "." in text.partition("=")[0])
    ordered = sorted(case, key=lambda text: not text.startswith(stage))
    line = refusal(capsys, *ordered)
    parameter = rules()[rule]
    assert line.startswith(f"refine-af: {stage}.{parameter} is "), line


def test_a_learned_policy_comes_as_an_input() -> None:
    params = find_stage(EVOLVE).params.parse({"policy": "learned"})
    params.check_inputs(["seeds", "operator_policy"], where=EVOLVE)
    with pytest.raises(ParameterError, match=r"evolve_instructions\.policy is 'learned'; it needs"):
        params.check_inputs(["seeds"], where=EVOLVE)


@pytest.mark.parametrize(
    "text",
    [
        "Task: {{ instruction }}",
        "[v2] {{ input }}",
        "%x {{ input }}",
        '"{{ input }}',
        "{{input}}: 1",
    ],
)
def test_a_text_is_taken_as_it_stands(text: str) -> None:
    config = load_config("smoke", "").with_values((f"evaluate.prompt={text}",))
    assert config.stages["evaluate"]["prompt"] == text
    assert {task.params.prompt for task in planned(config) if task.stage.name == "evaluate"} == {  # type: ignore[attr-defined]
        text
    }


def test_a_number_is_text_for_a_text_parameter() -> None:
    config = load_config("smoke", "").with_values(("seed_ingest.licence=2024",))
    assert config.stages["seed_ingest"]["licence"] == "2024"


@pytest.mark.parametrize("digits", [17, 4300, 4301])
def test_an_integer_of_any_length_is_refused_in_one_line(
    digits: int, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, f"train_ppo.updates={'9' * digits}")
    assert "train_ppo.updates is" in line
    assert len(line) < 300


def test_a_file_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--preset", "smoke", "--dry-run", "--set", "seeds_uri=nope.jsonl"]) == 64
    assert "seeds_uri is 'nope.jsonl'; nothing is there" in capsys.readouterr().err


def test_a_function_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, "score_rewards.reward=nosuch:fn")
    assert "cannot import nosuch" in line


def test_the_plan_marks_what_differs_from_the_preset(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--set", "arms=rl,baseline,best_of_n", "--set", "train_sft.max_steps=3"]
    assert main(["run", "--preset", "smoke", "--dry-run", *options]) == 0
    first = capsys.readouterr().out
    assert first.count("* max_steps = 3 (preset: 2)") == 2
    assert "generate_instances (best_of_n)           64" in first  # 16 instructions, 4 samples
    assert "* arms = 'rl,baseline,best_of_n' (preset: 'rl,baseline')" in first
    assert main(["run", "--preset", "smoke", "--dry-run", *options]) == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("assignment", "suggestion", "others"),
    [
        ("train_ppo.update=3", "Did you mean 'updates'?", False),
        ("train_ppo.zzzz=3", "allowed: model, model_digest,", True),
        ("sed=3", "Did you mean 'seed'?", True),
    ],
)
def test_a_suggestion_is_not_buried_under_a_long_list(
    assignment: str, suggestion: str, others: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """All names are listed where there are few, or where none is near."""
    line = refusal(capsys, assignment)
    assert suggestion in line
    assert ("allowed:" in line) is others


NUMBERS = [
    (stage.name, name)
    for stage in STAGES
    for name, field in stage.params.model_fields.items()
    if field.annotation in (int, float)
]


@pytest.mark.parametrize(("stage", "name"), NUMBERS)
def test_a_flag_is_no_number(stage: str, name: str) -> None:
    with pytest.raises(ParameterError, match=rf"{stage}\.{name} is true; it must be a number"):
        find_stage(stage).params.parse({name: True}, where=stage)


@pytest.mark.parametrize("text", ["true", "yes", "1:30", "1:30:00"])
def test_what_only_yaml_takes_for_a_number_is_refused(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "evaluate.max_tokens is" in refusal(capsys, f"evaluate.max_tokens={text}")


@pytest.mark.parametrize(
    ("text", "number"), [("010", 10), ("1_000", 1000), (" 12", 12), ("0x10", 16), ("+5", 5)]
)
def test_a_number_means_what_people_read(text: str, number: int) -> None:
    config = load_config("smoke", "").with_values((f"evaluate.max_tokens={text}",))
    value = config.stages["evaluate"]["max_tokens"]
    parsed = find_stage("evaluate").params.parse({"max_tokens": value}, where="evaluate")
    assert parsed.max_tokens == number  # type: ignore[attr-defined]
