"""What the compiled files say: placement, images, parameters, size, time."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import compiler, components
from kfp.compiler.compiler_utils import KubernetesManifestOptions
from levels import boxes, component_of, levels, tasks_of

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.params import declared
from refine_af.contracts.stage import Stage
from refine_af.pipelines.build import build
from refine_af.pipelines.compiling import compile_request
from refine_af.pipelines.config import PIPELINE_PARAMETERS, load_config, preset_names
from refine_af.pipelines.execute import pipeline_tasks
from refine_af.pipelines.flow import Images
from refine_af.pipelines.tasks import Later, planned
from refine_af.runner import find_stage
from refine_af.self_instruct.params import FORM
from refine_af.stages import STAGES
from refine_af.targets.profile import load_profile

Documents = tuple[dict[str, Any], dict[str, Any]]


def compiled(
    folder: Path,
    profile: str,
    *assignments: str,
    registry: str = "",
    digests: dict[str, str] | None = None,
    preset: str = "default",
) -> Documents:
    target = folder / "pipeline.yaml"
    config = load_config(preset, "").with_values(assignments)
    compile_request(config, profile, Images(registry, "0.1.0", digests or {})).write_ir(target)
    text = target.read_text(encoding="utf-8")
    spec, *platform = yaml.load_all(text, yaml.CSafeLoader)  # ten times as fast
    return spec, platform[0] if platform else {}


def used_stages(preset: str = "default") -> list[Stage]:
    """Return the stages of a preset's pipeline; the registry holds those of others too."""
    names = {task.split(" ")[0] for task in pipeline_tasks(load_config(preset, ""))}
    return [find_stage(name) for name in sorted(names)]


def executors(documents: Documents) -> dict[str, tuple[str, dict[str, Any], dict[str, Any]]]:
    """Return (stage, container, Kubernetes settings) by executor."""
    spec, platform = documents
    extra = platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
    found = {}
    for name, executor in spec["deploymentSpec"]["executors"].items():
        image = executor["container"]["image"]
        stage = image.split("refine-af-")[1].split(":")[0].split("@")[0]
        found[name] = (stage, executor["container"], extra.get("executors", {}).get(name, {}))
    return found


@pytest.mark.parametrize(
    ("preset", "profile"),
    [
        *((preset, profile) for preset in ("default", "teams-rl") for profile in ("a100", "h100")),
        ("qwen2.5-1.5b", "l4"),
        ("teams-rl-quickstart", "l4"),
    ],
)
def test_gpu_stages_have_all_four_and_cpu_stages_none(
    tmp_path: Path, profile: str, preset: str
) -> None:
    rows = executors(compiled(tmp_path, profile, preset=preset))
    assert {stage for stage, _, _ in rows.values()} == {stage.name for stage in used_stages(preset)}
    for stage, container, kubernetes in rows.values():
        accelerator = container["resources"].get("accelerator", {})
        if find_stage(stage).resources.gpu:
            assert accelerator["resourceType"] == "nvidia.com/gpu"
            assert accelerator["resourceCount"] == "1"
            assert kubernetes["nodeSelector"]["labels"]["cloud.google.com/gke-accelerator"]
            assert kubernetes["tolerations"][0]["key"] == "nvidia.com/gpu"
            assert kubernetes["emptyDirMounts"][0]["mountPath"] == "/dev/shm"  # noqa: S108
        else:
            assert accelerator == {}
            assert set(kubernetes) == {"secretAsEnv", "securityContext", "fieldPathAsEnv"}


def test_without_a_gpu_nothing_asks_for_one(tmp_path: Path) -> None:
    for _, container, kubernetes in executors(compiled(tmp_path, "cpu", preset="smoke")).values():
        assert "accelerator" not in container["resources"]
        assert set(kubernetes) == {"secretAsEnv", "securityContext", "fieldPathAsEnv"}


def test_parameters_of_the_form_are_described_in_order(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path, "a100")
    form = spec["root"]["inputDefinitions"]["parameters"]
    # the API sorts the names, so the form's order is theirs
    assert sorted(form) == list(form)
    for name, text in PIPELINE_PARAMETERS.items():
        assert form[name]["description"] == text


def test_ppo_and_writing_ask_in_one_form(tmp_path: Path) -> None:
    def asked(*assignments: str) -> list[dict[str, Any]]:
        tasks = tasks_of(compiled(tmp_path, "a100", *assignments)[0]).values()
        return [
            {
                name: given["runtimeValue"]["constant"]
                for name, given in task["inputs"]["parameters"].items()
                if name in FORM and "runtimeValue" in given  # chat comes from the run otherwise
            }
            for task in tasks
            if task["taskInfo"]["name"].startswith(("train_ppo", "generate_instances"))
        ]

    assert asked() == [{}, {}, {}]  # the stages' default, which is the same
    for stage in ("train_ppo", "generate_instances"):
        assert (
            asked(f"{stage}.style=plain", f"{stage}.chat=yes", f"{stage}.split=none")
            == [{"style": "plain", "chat": "yes", "split": "none"}] * 3
        )
    with pytest.raises(ParameterError, match=r"train_ppo.style is 'plain', .* set one of them"):
        asked("train_ppo.style=plain", "generate_instances.style=few_shot")


def test_repeated_arms_and_sizes_add_tasks_only_when_asked_for(tmp_path: Path) -> None:
    def tasks(*assignments: str) -> dict[str, dict[str, Any]]:
        spec, _ = compiled(tmp_path, "a100", *assignments)
        return {name: task.get("inputs", {}) for name, task in tasks_of(spec).items()}

    def constant(inputs: dict[str, Any], name: str) -> object:
        return inputs["parameters"].get(name, {}).get("runtimeValue", {}).get("constant")

    plain = tasks("arms=rl,baseline")
    asked = tasks("arms=rl,baseline,best_of_n,baseline_b", "sizes=500,1000")
    assert not any("baseline_b" in name or "500" in name for name in plain)
    extra = {f"train_sft ({arm} {rows})" for arm in ("rl", "baseline") for rows in (500, 1000)}
    assert extra <= set(asked)
    assert constant(asked["train_sft (rl 500)"], "rows") == 500
    assert constant(asked["train_sft (baseline_b)"], "replicate") == 1
    assert constant(asked["generate_instances (baseline_b)"], "replicate") == 1
    assert constant(asked["train_sft (baseline)"], "replicate") is None
    for arm in ("rl", "baseline_b"):
        matched = asked[f"train_sft ({arm})"]["artifacts"]
        assert {"match", "match_2", "match_3"} <= set(matched)
    read = {
        origin["taskOutputArtifact"]["outputArtifactKey"]
        for origin in asked["report"]["artifacts"].values()
    }
    arms = ("rl", "baseline", "best_of_n", "baseline_b")
    sizes = [f"evaluate_{arm}_{rows}" for arm in ("rl", "baseline") for rows in (500, 1000)]
    parts = ["dedup_filter", "evaluate_start", *sizes, *(f"evaluate_{arm}" for arm in arms)]
    assert read == {f"{part}_records" for part in parts}


@pytest.mark.parametrize(
    "assignments", [("sizes=10,5",), ("sizes=1,2,3,4,5",), ("arms=rl,baseline_b",)]
)
def test_wrong_sizes_and_a_repetition_of_nothing_are_refused(assignments: tuple[str, ...]) -> None:
    with pytest.raises(ParameterError, match=r"sizes|baseline_b"):
        load_config("default", "").with_values(assignments)


def test_arms_and_shards_are_tasks_with_names_for_people(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path, "a100", "arms=rl,baseline,best_of_n", "shards=2")
    names = set(tasks_of(spec))
    assert {"train_ppo", "evaluate (start)", "train_sft (best_of_n)"} <= names
    assert {"generate_instructions (shard 0)", "generate_instructions (shard 1)"} <= names


def test_shards_differ_in_their_number_alone(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path, "a100", "shards=2")
    tasks = [
        task["inputs"]["parameters"]
        for name, task in tasks_of(spec).items()
        if name.startswith("generate_instructions")
    ]
    first, second = ({key: str(value) for key, value in task.items()} for task in tasks)
    assert {key for key in first if first[key] != second[key]} == {"shard", "label"}


def test_caching_needs_digests(tmp_path: Path) -> None:
    digest = "sha256:" + "0" * 64
    plain, _ = compiled(tmp_path, "a100")
    assert not any("enableCache" in task["cachingOptions"] for task in tasks_of(plain).values())
    digests = {stage.name: digest for stage in STAGES}
    pinned, _ = compiled(tmp_path, "a100", registry="registry.example/team", digests=digests)
    cached = {
        name.split(" ")[0]
        for name, task in tasks_of(pinned).items()
        if task["cachingOptions"].get("enableCache")
    }
    unpinned = {"train_ppo", "score_rewards"}  # read the reward's models by their names on the Hub
    assert cached == {stage.name for stage in used_stages() if stage.cache} - unpinned
    image = next(iter(pinned["deploymentSpec"]["executors"].values()))["container"]["image"]
    assert image.startswith("registry.example/team/refine-af-")
    assert image.endswith(f"@{digest}")


def test_a_stage_setting_wins_over_a_parameter_of_the_pipeline(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path, "a100", "seed=5", "train_ppo.seed=9", "train_ppo.updates=3")
    given = tasks_of(spec)["train_ppo"]["inputs"]["parameters"]
    assert given["seed"] == {"runtimeValue": {"constant": 9.0}}
    assert spec["root"]["inputDefinitions"]["parameters"]["updates"]["defaultValue"] == 3.0
    assert given["model"] == {"componentInputParameter": "model"}


def test_the_file_is_small(tmp_path: Path) -> None:
    made = compile_request(load_config("default", ""), "a100", Images())
    made.write_ir(tmp_path / "pipeline.yaml")
    # annotations of a run may hold 256 KiB in all; a stage that asks has 17 parameters of engines
    assert (tmp_path / "pipeline.yaml").stat().st_size < 120_000


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("train_ppo.update=3", "stages.train_ppo.update does not exist; Did you mean 'updates'?"),
        ("train_pp.updates=3", "stages.train_pp does not exist; Did you mean 'train_ppo'?"),
        ("sed=3", "parameters.sed does not exist; Did you mean 'seed'?"),
        ("train_ppo.updates", "write it as stage.param=value"),
        ("shards=99", "shards is '99'; it must be less than or equal to 8"),
    ],
)
def test_a_wrong_key_names_the_nearest(assignment: str, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        load_config("quickstart", "").with_values((assignment,))
    assert message in str(caught.value)


def test_a_value_out_of_range_is_found_before_anything_runs() -> None:
    config = load_config("quickstart", "").with_values(("dedup_filter.max_rouge_l=1.5",))
    with pytest.raises(ParameterError, match=r"dedup_filter.max_rouge_l is 1.5; it must be less"):
        planned(config)


def test_a_file_lies_over_the_preset(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("stages: {train_ppo: {updates: 7}}\nparameters: {seed: 3}\n")
    config = load_config("quickstart", str(own))
    assert config.stages["train_ppo"]["updates"] == 7
    assert config.stages["train_ppo"]["reward"] == "embedded"
    assert config.parameters["seed"] == 3


def test_the_registry_and_the_help_load_nothing_heavy() -> None:
    heavy = [
        "torch",
        "transformers",
        "trl",
        "peft",
        "vllm",
        "kfp",
        "datasets",
        "google.cloud",
        "pyarrow",
        "numpy",
        "matplotlib",
        "jinja2",
    ]
    code = (
        "import sys, refine_af.cli as c\n"
        "c.main(['train-ppo', '--help'])\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip().endswith("[]")


def test_a_profile_of_ones_own_reaches_kfps_tasks(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "name: own\nsummary: x\ngpus: 1\nmodel_cache: models\nnode_affinity: "
        "{requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: "
        "[{matchExpressions: [{key: zone, operator: In, values: [a]}]}]}}\n"
    )
    for stage, container, kubernetes in executors(compiled(tmp_path, str(own))).values():
        (mount,) = kubernetes["pvcMount"]
        assert mount["constant"] == "models"
        assert mount["mountPath"] == "/models"
        assert {"name": "HF_HOME", "value": "/models/huggingface"} in container["env"]
        assert ("nodeAffinity" in kubernetes) == find_stage(stage).resources.gpu


def test_every_task_is_tried_again_with_pauses(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path, "a100")
    for task in tasks_of(spec).values():
        assert task["retryPolicy"]["maxRetryCount"] == 2
        assert task["retryPolicy"]["backoffDuration"] == "30s"
        assert task["retryPolicy"]["backoffFactor"] == 2.0
        # counted from the first attempt's start: the default, an hour, ends a long task's retry
        assert task["retryPolicy"]["backoffMaxDuration"] == f"{30 * 24 * 3600}s"


def test_the_report_renders_in_the_ui(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path, "a100")
    outputs = spec["components"]["comp-report"]["outputDefinitions"]["artifacts"]
    kinds = {name: item["artifactType"]["schemaTitle"] for name, item in outputs.items()}
    assert kinds["report"] == "system.HTML"
    assert kinds["summary"] == "system.Markdown"
    assert kinds["metrics"] == "system.Metrics"


def test_the_small_file_is_still_what_kfp_reads(tmp_path: Path) -> None:
    spec, platform = compiled(tmp_path, "a100")
    loaded = components.load_component_from_file(str(tmp_path / "pipeline.yaml"))
    parsed = loaded.pipeline_spec
    assert set(parsed.root.dag.tasks) == set(spec["root"]["dag"]["tasks"])
    assert parsed.root.input_definitions.parameters["seed"].description == "Seed of all randomness."
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    kept = json_format.MessageToDict(loaded.platform_spec)
    assert kept["platforms"]["kubernetes"]["deploymentSpec"]["executors"].keys() == executors.keys()


def test_gitops_objects_hold_the_same_pipeline(tmp_path: Path) -> None:
    made = compile_request(load_config("smoke", ""), "l4", Images("", "1.0_x"))
    made.write_manifest(tmp_path / "ours.yaml", "refine-af-smoke")
    pipeline, version = yaml.safe_load_all((tmp_path / "ours.yaml").read_text(encoding="utf-8"))
    options = KubernetesManifestOptions(
        pipeline_name="refine-af-smoke",
        pipeline_version_name=version["metadata"]["name"],
        include_pipeline_manifest=True,
    )
    compiler.Compiler().compile(
        build(load_config("smoke", ""), load_profile("l4"), Images("", "1.0_x")),
        str(tmp_path / "kfps.yaml"),
        kubernetes_manifest_format=True,
        kubernetes_manifest_options=options,
    )
    theirs = list(yaml.safe_load_all((tmp_path / "kfps.yaml").read_text(encoding="utf-8")))
    for mine, kfps in zip((pipeline, version), theirs, strict=True):
        assert mine["apiVersion"] == kfps["apiVersion"]
        assert mine["kind"] == kfps["kind"]
        assert mine["metadata"] == kfps["metadata"]
        assert set(mine["spec"]) == set(kfps["spec"])
    assert version["spec"]["pipelineName"] == "refine-af-smoke"
    assert version["spec"]["pipelineSpec"] == made.spec
    assert version["spec"]["platformSpec"] == made.platform


def version_of(folder: Path, *assignments: str, tag: str = "1") -> dict[str, Any]:
    config = load_config("smoke", "").with_values(assignments)
    compile_request(config, "cpu", Images("", tag)).write_manifest(folder / "x.yaml", "mine")
    _, version = yaml.safe_load_all((folder / "x.yaml").read_text(encoding="utf-8"))
    return dict(version)


def test_a_versions_name_follows_its_content(tmp_path: Path) -> None:
    first = version_of(tmp_path)
    assert version_of(tmp_path) == first
    names = {first["metadata"]["name"]}
    for changed in (
        version_of(tmp_path, "train_ppo.updates=3"),
        version_of(tmp_path, "seed=2"),
        version_of(tmp_path, tag="2"),
    ):
        names.add(changed["metadata"]["name"])
    assert len(names) == 4
    assert all(re.fullmatch(r"mine-[0-9a-f]{10}", name) for name in names)


@pytest.mark.parametrize("name", ["evol-instruct", "teams-rl-smoke", "teams-rl-controls"])
def test_presets_of_the_second_pipeline_compile_below_the_limit(tmp_path: Path, name: str) -> None:
    compiled(tmp_path, "a100", preset=name)
    assert (tmp_path / "pipeline.yaml").stat().st_size < 200_000


def test_a_share_of_roots_for_a_reference_model_adds_its_training(tmp_path: Path) -> None:
    own = "generate_responses.reference_share=0.1"
    for assignments in ((), (own,)):
        spec, _ = compiled(tmp_path, "a100", *assignments, preset="teams-rl")
        tasks = tasks_of(spec)
        for arm in ("learned", "uniform"):
            given = tasks[f"audit_privacy ({arm})"]["inputs"]["artifacts"]
            assert ("reference" in given) == bool(assignments)
            if assignments:
                trained = tasks[f"train_sft ({arm} reference)"]
                source = trained["inputs"]["artifacts"]["instances"]
                name = f"generate_responses_{arm}_reference_rows"
                assert source == {"componentInputArtifact": name}
                assert trained["inputs"]["parameters"]["template"] == {
                    "runtimeValue": {"constant": "alpaca"}
                }


def test_the_preset_parity_is_the_published_bootstrap() -> None:
    stages = load_config("parity", "").stages
    assert stages["generate_instances"]["presence_penalty"] == 1.5
    given = stages["generate_instructions"]
    published = {"parity": True, "sampling": "self_instruct", "round_size": 5, "in_context": 8}
    assert published.items() <= given.items()
    assert given["machine_in_context"] == 2


def test_an_arm_of_the_other_pipeline_is_refused() -> None:
    with pytest.raises(ParameterError, match="unknown arm 'rl' of the pipeline teams-rl"):
        load_config("teams-rl", "").with_values(("arms=rl",))


@pytest.mark.parametrize("preset", ["quickstart", "teams-rl-smoke"])
def test_the_tasks_digest_reaches_every_task_that_reads_the_tasks(preset: str) -> None:
    readers = {stage.name for stage in STAGES if "tasks_digest" in stage.params.model_fields}
    assert {"dedup_filter", "generate_instances", "evaluate"} <= readers
    spec = compile_request(load_config(preset, ""), "cpu", Images()).spec
    tasks = {name: task for name, task in tasks_of(spec).items() if name.split(" ")[0] in readers}
    assert tasks
    for name, task in tasks.items():
        given = task["inputs"]["parameters"]["tasks_digest"]
        inside = {"producerTask": "check-inputs", "outputParameterKey": "tasks_digest"}
        crossing = {"componentInputParameter": "check_inputs_tasks_digest"}
        assert given in (crossing, {"taskOutputParameter": inside}), name


@pytest.mark.parametrize("preset", preset_names())
def test_every_digest_reaches_every_task_that_reads_its_content(preset: str) -> None:
    """Counted from the declarations: each parameter that names content and has a digest."""
    [checks, *others] = planned(load_config(preset, ""))
    taken = {item.name for item in checks.stage.written if item.kind == "parameter"}
    assert taken == {"seeds_digest", "model_digest", "tasks_digest"}
    readers: dict[str, set[str]] = {}
    for task in others:
        for content in task.params.content():
            digest = declared(task.stage.params.model_fields[content.parameter])["digest"]
            shared = content.parameter in checks.stage.params.model_fields
            if digest and shared:
                assert task.later[digest] == Later(checks.name, digest), (task.name, digest)
                readers.setdefault(digest, set()).add(task.stage.name)
    assert readers.keys() == taken
    assert {"dedup_filter", "evaluate"} <= readers["tasks_digest"]
    assert readers["seeds_digest"] == {"seed_ingest"}
    assert len(readers["model_digest"]) >= 3


@pytest.mark.parametrize(
    ("settings", "cached"),
    [
        ((), False),  # the reward's models by their names on the Hub
        (("score_rewards.reward=embedded",), True),
        (("score_rewards.reward=reward_model", "score_rewards.reward_model=org/model"), False),
        (("score_rewards.reward=reward_model", "score_rewards.reward_model=s3://b/model"), False),
        (
            (
                "score_rewards.reward=reward_model",
                f"score_rewards.reward_model=org/model@{'a1' * 20}",
            ),
            True,
        ),
        (
            ("score_rewards.reward=reward_model", "score_rewards.reward_model=builtin:fixture"),
            True,
        ),
    ],
)
def test_a_task_whose_content_nothing_pins_is_not_cached(
    settings: tuple[str, ...], cached: bool, tmp_path: Path
) -> None:
    digests = {stage.name: "sha256:" + "0" * 64 for stage in STAGES}
    spec, _ = compiled(tmp_path, "a100", *settings, registry="registry.example", digests=digests)
    options = {name: task["cachingOptions"] for name, task in tasks_of(spec).items()}
    scored = [value for name, value in options.items() if name.startswith("score_rewards")]
    assert {value.get("enableCache", False) for value in scored} == {cached}
    assert options["dedup_filter"]["enableCache"]


@pytest.mark.parametrize("preset", preset_names())
def test_each_level_of_the_graph_fits_a_screen(preset: str) -> None:
    spec = compile_request(load_config(preset, ""), "h100", Images(), notify=True).spec
    counts = {path: boxes(spec, dag) for path, dag in levels(spec).items()}
    assert max(counts.values()) <= 32, counts
    assert counts[""] == 2  # the run, and the task that tells how it ended


@pytest.mark.parametrize("preset", ["default", "teams-rl-smoke"])
def test_a_task_gives_a_component_what_it_takes_and_nothing_else(preset: str) -> None:
    spec = compile_request(load_config(preset, ""), "a100", Images()).spec
    given: dict[str, set[str]] = {}
    for dag in levels(spec).values():
        for task in dag["tasks"].values():
            names = given.setdefault(task["componentRef"]["name"], set())
            names.update(task.get("inputs", {}).get("artifacts", {}))
    for name, component in spec["components"].items():
        defined = component.get("inputDefinitions", {}).get("artifacts", {})
        assert set(defined) == given[name], name


def test_an_arm_is_a_box_with_its_name() -> None:
    drawn = levels(compile_request(load_config("default", ""), "a100", Images()).spec)
    names = {
        path: {task["taskInfo"]["name"] for task in dag["tasks"].values()}
        for path, dag in drawn.items()
    }
    assert names[""] == {
        "prepare", "rl: PPO and data", "baseline: data", "rl: model", "baseline: model", "start",
        "report",
    }  # fmt: skip
    learning = {"train_ppo", "generate_instances (rl)", "score_rewards (rl)"}
    assert names["rl-ppo-and-data"] == learning
    assert not [path for path in names if "train_ppo" in names[path] and "ppo" not in path]


def test_what_learns_in_the_second_pipeline_is_a_box_of_its_own() -> None:
    drawn = levels(compile_request(load_config("teams-rl", ""), "a100", Images()).spec)
    names = {
        path: {task["taskInfo"]["name"] for task in dag["tasks"].values()}
        for path, dag in drawn.items()
    }
    assert "operator policy: RL" in names[""]
    assert names["operator-policy-rl"] == {"train_operator_policy"}


@pytest.mark.parametrize(
    "values",
    [
        ("shards=4", "sizes=100,200"),
        *[(f"shards={count}",) for count in range(2, 9)],
        ("arms=rl,baseline,best_of_n,baseline_b",),
    ],
)
def test_more_arms_sizes_and_shards_stay_readable(values: tuple[str, ...]) -> None:
    made = compile_request(load_config("default", "").with_values(values), "a100", Images())
    counts = {path: boxes(made.spec, dag) for path, dag in levels(made.spec).items()}
    assert max(counts.values()) <= 32, counts
    components = made.spec["components"].values()
    labels = [item["executorLabel"] for item in components if "executorLabel" in item]
    assert sorted(labels) == sorted(made.spec["deploymentSpec"]["executors"])  # each its own


def test_a_tasks_key_is_its_own_on_all_levels() -> None:
    """KFP puts the artifacts of a task into a folder of that name."""
    spec = compile_request(load_config("teams-rl", ""), "a100", Images()).spec
    keys = [
        key
        for dag in levels(spec).values()
        for key, task in dag["tasks"].items()
        if "dag" not in component_of(spec, task)
    ]
    assert len(keys) == len(set(keys))
    assert {"train-sft-learned", "train-sft-uniform"} <= set(keys)


def test_a_model_is_registered_where_the_configuration_says_where(tmp_path: Path) -> None:
    uri = "register_model.model_uri=s3://b/models"
    assert "register_model" not in tasks_of(compiled(tmp_path, "a100")[0])
    spec, _ = compiled(tmp_path, "a100", uri)
    given = spec["root"]["dag"]["tasks"]["register-model"]["inputs"]
    assert given["parameters"]["arm"] == {"runtimeValue": {"constant": "rl"}}
    origin = given["artifacts"]["adapter"]["taskOutputArtifact"]
    assert origin == {"producerTask": "rl-model", "outputArtifactKey": "train_sft_rl_adapter"}
    assert given["artifacts"]["result"]["taskOutputArtifact"]["producerTask"] == "report"
    assert boxes(spec, spec["root"]["dag"]) <= 32
    other, _ = compiled(tmp_path, "a100", uri, "register_model.arm=uniform", preset="teams-rl")
    assert "register_model" in tasks_of(other)
    with pytest.raises(ParameterError, match=r"register_model\.arm is 'no'; the run tunes rl"):
        compiled(tmp_path, "a100", uri, "register_model.arm=no")


@pytest.mark.parametrize("preset", ["smoke", "teams-rl-smoke"])
def test_seeds_are_asked_about_on_a_cluster_by_an_endpoint_alone(preset: str) -> None:
    """The image of seed_ingest has no library of a model."""
    asking = load_config(preset, "").with_values(("seed_ingest.classification=ask",))
    with pytest.raises(ParameterError, match=r"set seed_ingest\.engine=openai"):
        compile_request(asking, "cpu", Images("", "0.1.0"))
    endpoint = ("seed_ingest.engine=openai", "seed_ingest.base_url=http://models/v1")
    compiled = compile_request(asking.with_values(endpoint), "cpu", Images("", "0.1.0"))
    (seeds,) = [
        task
        for dag in levels(compiled.spec).values()
        for name, task in dag["tasks"].items()
        if name == "seed-ingest"
    ]
    assert "model_digest" in seeds["inputs"]["parameters"]
