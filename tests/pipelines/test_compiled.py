"""What the compiled files say: placement, images, parameters, size, time."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.compiling import write_ir
from pipelines.config import PIPELINE_PARAMETERS, load_config
from pipelines.flow import Images
from refine_af.contracts.errors import ParameterError
from refine_af.runner import find_stage
from refine_af.stages import STAGES

Documents = tuple[dict[str, Any], dict[str, Any]]


def compiled(
    folder: Path,
    profile: str,
    *assignments: str,
    registry: str = "",
    digests: dict[str, str] | None = None,
) -> Documents:
    target = folder / "pipeline.yaml"
    config = load_config("default", "").with_values(assignments)
    write_ir(config, profile, target, Images(registry, "0.1.0", digests or {}))
    spec, *platform = yaml.safe_load_all(target.read_text(encoding="utf-8"))
    return spec, platform[0] if platform else {}


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


@pytest.mark.parametrize("profile", ["l4", "a100", "h100"])
def test_gpu_stages_have_all_four_and_cpu_stages_none(tmp_path: Path, profile: str) -> None:
    rows = executors(compiled(tmp_path, profile))
    assert {stage for stage, _, _ in rows.values()} == {stage.name for stage in STAGES}
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
            assert kubernetes == {}


def test_without_a_gpu_nothing_asks_for_one(tmp_path: Path) -> None:
    for _, container, kubernetes in executors(compiled(tmp_path, "cpu")).values():
        assert "accelerator" not in container["resources"]
        assert kubernetes == {}


def test_parameters_of_the_form_are_described_in_order(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path, "cpu")
    form = spec["root"]["inputDefinitions"]["parameters"]
    assert set(form) == set(PIPELINE_PARAMETERS)


def test_repeated_arms_and_sizes_add_tasks_only_when_asked_for(tmp_path: Path) -> None:
    def tasks(*assignments: str) -> dict[str, dict[str, Any]]:
        spec, _ = compiled(tmp_path, "cpu", *assignments)
        found = spec["root"]["dag"]["tasks"]
        return {task["taskInfo"]["name"]: task["inputs"] for task in found.values()}

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
    report = asked["report"]
    assert constant(report, "sizes") == "rl:500,baseline:500,rl:1000,baseline:1000"
    assert "predictions_baseline_b" in report["artifacts"]
    assert "predictions_size_4" in report["artifacts"]
    assert "predictions_size_5" not in report["artifacts"]


@pytest.mark.parametrize(
    "assignments", [("sizes=10,5",), ("sizes=1,2,3,4,5",), ("arms=rl,baseline_b",)]
)
def test_wrong_sizes_and_a_repetition_of_nothing_are_refused(assignments: tuple[str, ...]) -> None:
    with pytest.raises(ParameterError, match=r"sizes|baseline_b"):
        load_config("default", "").with_values(assignments)


def test_arms_and_shards_are_tasks_with_names_for_people(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path, "cpu", "arms=rl,baseline,best_of_n", "shards=2")
    names = {task["taskInfo"]["name"] for task in spec["root"]["dag"]["tasks"].values()}
    assert {"train_ppo", "evaluate (start)", "train_sft (best_of_n)"} <= names
    assert {"generate_instructions (shard 0)", "generate_instructions (shard 1)"} <= names


def test_shards_differ_in_their_number_alone(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path, "cpu", "shards=2")
    tasks = [
        task["inputs"]["parameters"]
        for task in spec["root"]["dag"]["tasks"].values()
        if task["taskInfo"]["name"].startswith("generate_instructions")
    ]
    first, second = ({key: str(value) for key, value in task.items()} for task in tasks)
    assert {key for key in first if first[key] != second[key]} == {"shard", "label"}


def test_caching_needs_digests(tmp_path: Path) -> None:
    digest = "sha256:" + "0" * 64
    plain, _ = compiled(tmp_path, "cpu")
    assert not any("enableCache" in task["cachingOptions"] for task in tasks_of(plain))
    digests = {stage.name: digest for stage in STAGES}
    pinned, _ = compiled(tmp_path, "cpu", registry="registry.example/team", digests=digests)
    cached = {
        task["taskInfo"]["name"].split(" ")[0]
        for task in tasks_of(pinned)
        if task["cachingOptions"].get("enableCache")
    }
    assert cached == {stage.name for stage in STAGES if stage.cache}
    image = next(iter(pinned["deploymentSpec"]["executors"].values()))["container"]["image"]
    assert image.startswith("registry.example/team/refine-af-")
    assert image.endswith(f"@{digest}")


def tasks_of(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return list(spec["root"]["dag"]["tasks"].values())


def test_a_stage_setting_wins_over_a_parameter_of_the_pipeline(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path, "cpu", "seed=5", "train_ppo.seed=9", "train_ppo.updates=3")
    ppo = next(task for task in tasks_of(spec) if task["taskInfo"]["name"] == "train_ppo")
    given = ppo["inputs"]["parameters"]
    assert given["seed"] == {"runtimeValue": {"constant": 9.0}}
    assert given["updates"] == {"runtimeValue": {"constant": 3.0}}
    assert given["model"] == {"componentInputParameter": "model"}


def test_the_file_is_small(tmp_path: Path) -> None:
    write_ir(load_config("default", ""), "l4", tmp_path / "pipeline.yaml", Images())
    assert (tmp_path / "pipeline.yaml").stat().st_size < 100_000


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("train_ppo.update=3", "stages.train_ppo.update does not exist; Did you mean 'updates'?"),
        ("train_pp.updates=3", "stages.train_pp does not exist; Did you mean 'train_ppo'?"),
        ("sed=3", "parameters.sed does not exist; Did you mean 'seed'?"),
        ("train_ppo.updates", "write it as stage.param=value"),
        ("shards=99", "shards: Input should be less than or equal to 8"),
    ],
)
def test_a_wrong_key_names_the_nearest(assignment: str, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        load_config("quickstart", "").with_values((assignment,))
    assert message in str(caught.value)


def test_a_value_out_of_range_is_found_before_anything_runs() -> None:
    config = load_config("quickstart", "").with_values(("dedup_filter.max_rouge_l=1.5",))
    with pytest.raises(ParameterError, match=r"dedup_filter.max_rouge_l is 1.5; it must be less"):
        config.check_values()


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
    ]
    code = (
        "import sys, refine_af.cli as c\n"
        "c.main(['train-ppo', '--help'])\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip().endswith("[]")
