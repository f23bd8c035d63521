"""The form of a run: the main knob of each stage, typed, and proved before anything runs."""

import json
from pathlib import Path
from typing import Any

import pytest
from argo_machines import Processes
from argo_repository import S3Repository
from argo_run import Cluster, load
from levels import tasks_of
from servers import BUCKET

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.params import scalar_type
from refine_af.generate import ROOT
from refine_af.pipelines.argo import dag_template, write_argo
from refine_af.pipelines.compiling import Compiled, compile_request
from refine_af.pipelines.config import PIPELINE_PARAMETERS, load_config, preset_names
from refine_af.pipelines.flow import Images
from refine_af.runner import find_stage, run_stage
from refine_af.stages.form import KNOBS

KFP_TYPES = {"NUMBER_INTEGER": int, "NUMBER_DOUBLE": float, "STRING": str, "BOOLEAN": bool}


def made(preset: str, *assignments: str) -> Compiled:
    config = load_config(preset, "").with_values(assignments)
    return compile_request(config, "h100", Images("", "1"))


def form_in(compiled: Compiled) -> dict[str, Any]:
    return dict(compiled.spec["root"]["inputDefinitions"]["parameters"])


def inputs_in(compiled: Compiled) -> dict[str, dict[str, Any]]:
    tasks = tasks_of(compiled.spec)
    return {name: task["inputs"]["parameters"] for name, task in tasks.items()}


def test_every_knob_names_a_parameter_and_one_of_check_inputs() -> None:
    checked = find_stage("check_inputs").params.model_fields
    for knob in KNOBS:
        kinds = {
            scalar_type(find_stage(stage).params.model_fields[name].annotation)
            for stage, name in knob.targets
        }
        assert kinds == {scalar_type(checked[knob.name].annotation)}


@pytest.mark.parametrize("preset", preset_names())
def test_the_presets_values_are_the_forms_defaults(preset: str) -> None:
    config = load_config(preset, "")
    compiled = made(preset)
    form, inputs = form_in(compiled), inputs_in(compiled)
    assert set(PIPELINE_PARAMETERS) <= set(form)
    assert {"lora_rank", "sft_steps", "instances", "max_rouge_l"} <= set(form)
    for knob in KNOBS:
        if knob.name not in form:
            continue
        assert form[knob.name]["description"] == knob.summary
        for stage, name in knob.targets:
            field = find_stage(stage).params.model_fields[name]
            wanted = config.stages.get(stage, {}).get(name, field.default)
            for task, given in inputs.items():
                if task.split(" ")[0] == stage:
                    assert form[knob.name]["defaultValue"] == wanted
                    assert given[name] == {"componentInputParameter": knob.name}
                    kind = KFP_TYPES[form[knob.name]["parameterType"]]
                    assert kind is scalar_type(field.annotation)
        assert inputs["check_inputs"][knob.name] == {"componentInputParameter": knob.name}


def test_a_knob_whose_stages_differ_is_left_out() -> None:
    compiled = made("smoke", "train_ppo.reward=balanced")
    assert "reward" not in form_in(compiled)
    inputs = inputs_in(compiled)
    assert inputs["train_ppo"]["reward"]["runtimeValue"]["constant"] == "balanced"
    assert inputs["score_rewards (rl)"]["reward"]["runtimeValue"]["constant"] == "embedded"


def test_argo_has_the_same_form() -> None:
    compiled = made("default")
    rows = dag_template(compiled, "x")["spec"]["arguments"]["parameters"]
    assert {row["name"] for row in rows} == {"registry", *form_in(compiled)}
    values = {row["name"]: row.get("value") for row in rows}
    assert values["updates"] == "200"
    assert values["max_rouge_l"] == "0.7"


def check(folder: Path, **values: Any) -> None:  # noqa: ANN401  parameters of check_inputs
    """Run check_inputs with the settings of the preset smoke and a form."""
    (given,) = (item for name, item in inputs_in(made("smoke")).items() if name == "check_inputs")
    settings = given["settings"]["runtimeValue"]["constant"]
    stages = json.loads(settings)["stages"]
    assert {"train_ppo", "train_sft"} <= set(stages)
    form = {name: item["defaultValue"] for name, item in form_in(made("smoke")).items()}
    params = {
        name: source.get("runtimeValue", {}).get("constant", form.get(name))
        for name, source in given.items()
        if name not in ("label", "work_dir")
    }
    stage = find_stage("check_inputs")
    outputs = {item.name: str(folder / item.name) for item in stage.written}
    run_stage("check_inputs", inputs={}, outputs=outputs, params=params | values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"updates": 0}, r"train_ppo\.updates is 0"),
        ({"instructions": -5}, r"generate_instructions\.target is -5"),
        ({"lora_rank": 0}, r"train_sft\.lora_rank is 0"),
        ({"sft_steps": -1}, r"train_sft\.max_steps is -1"),
        ({"instances": 0}, r"instances is 0"),
        ({"max_rouge_l": 1.5}, r"dedup_filter\.max_rouge_l is 1\.5"),
        ({"episodes": 1}, r"train_ppo\.episodes_per_update is 1"),
        ({"reward": "paer"}, "is 'paer'"),
    ],
)
def test_a_value_out_of_range_stops_the_first_task(
    values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match=message):
        check(tmp_path, **values)


def test_the_presets_own_values_pass(tmp_path: Path) -> None:
    check(tmp_path)
    assert (tmp_path / "manifest").is_file()


def test_argo_refuses_a_submitted_value_at_once(tmp_path: Path, s3_root: str) -> None:
    write_argo(made("smoke"), tmp_path, "x")
    cluster = Cluster(
        load(tmp_path / "templates.yaml"), S3Repository(BUCKET), Processes(), tmp_path / "pods"
    )
    (workflow,) = load(tmp_path / "workflow.yaml")
    done = cluster.submit(workflow, "x-form", {"registry": "r", "updates": "0"})
    assert done.attempts == {"check-inputs": [64]}
    assert "train_ppo.updates is 0" in done.failures[0]["message"]


def test_the_page_names_every_field() -> None:
    page = (ROOT / "pipelines" / "README.md").read_text(encoding="utf-8")
    for knob in KNOBS:
        targets = ", ".join(f"`{stage}.{name}`" for stage, name in knob.targets)
        assert f"| `{knob.name}` | {targets} |" in page
