"""What we write for a cluster, read as its API server reads it and checked by its definitions."""

from pathlib import Path

import pytest
from crds import problems, read_as_kubernetes_does

from refine_af.generate import ROOT
from refine_af.pipelines.argo import write_argo
from refine_af.pipelines.compiling import compile_request
from refine_af.pipelines.config import load_config
from refine_af.pipelines.estimate import estimates_on
from refine_af.pipelines.flow import Images
from refine_af.targets.profile import load_profile, profile_names

ARGO = "argo-crds"
KFP = "kfp-crds"
SHIPPED = sorted((ROOT / "manifests" / "argo").glob("*/*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_argo_takes_the_shipped_files(path: Path) -> None:
    for document in read_as_kubernetes_does(path.read_text(encoding="utf-8")):
        assert problems(document, ARGO) == []


FITTING = [
    (preset, profile)
    for preset in ("quickstart", "teams-rl-quickstart", "default", "teams-rl")
    for profile in profile_names()
    if all(item.fits for item in estimates_on(load_config(preset, ""), load_profile(profile)))
]


@pytest.mark.parametrize(("preset", "profile"), FITTING)
def test_argo_and_kfp_take_every_preset_on_every_profile_that_it_fits(
    preset: str, profile: str, tmp_path: Path
) -> None:
    made = compile_request(load_config(preset, ""), profile, Images("r", "1"), notify=True)
    write_argo(made, tmp_path, "x")
    made.write_manifest(tmp_path / "kfp.yaml", "x")
    for path, name in (
        (tmp_path / "templates.yaml", ARGO),
        (tmp_path / "workflow.yaml", ARGO),
        (tmp_path / "kfp.yaml", KFP),
    ):
        for document in read_as_kubernetes_does(path.read_text(encoding="utf-8")):
            assert problems(document, name) == []


def test_a_number_where_a_string_must_be_is_found() -> None:
    document = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "a"},
        "spec": {"templates": [{"name": "a", "inputs": {"parameters": [{"name": "a"}]}}]},
    }
    assert problems(document, ARGO) == []
    parameter = document["spec"]["templates"][0]["inputs"]["parameters"][0]  # type: ignore[index]
    (text,) = read_as_kubernetes_does("default: 1e-05")
    parameter |= text
    assert "1e-05 is not of type 'string'" in str(problems(document, ARGO))
    parameter |= {"default": "1", "defualt": "1"}
    assert "defualt" in str(problems(document, ARGO))
