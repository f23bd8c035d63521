"""The components keep the rules of the catalogue kubeflow/pipelines-components."""

import re
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from refine_af.stages import STAGES

ROOT = Path(__file__).parent.parent.parent / "components"
NAMES = [stage.name for stage in STAGES]
NEEDED = {"name", "stability", "dependencies", "lastVerified"}
ALLOWED = NEEDED | {"tags", "ci", "links", "managed", "description"}
VERSION = re.compile(r"(==|>=|<=|~=)?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


@pytest.mark.parametrize("name", NAMES)
def test_metadata_has_the_catalogues_keys_and_no_other(name: str) -> None:
    entry = yaml.safe_load((ROOT / name / "metadata.yaml").read_text(encoding="utf-8"))
    assert entry.keys() >= NEEDED
    assert entry.keys() <= ALLOWED
    assert entry["name"] == name
    assert entry["stability"] in {"alpha", "beta", "stable"}
    assert isinstance(entry["lastVerified"], str), "quoted, or YAML reads a date"
    assert datetime.fromisoformat(entry["lastVerified"]).tzinfo is not None
    assert set(entry["dependencies"]) <= {"kubeflow", "external_services"}
    kubeflow = entry["dependencies"]["kubeflow"]
    assert "Pipelines" in [item["name"] for item in kubeflow]
    assert all(VERSION.fullmatch(item["version"]) for item in kubeflow)
    assert all(isinstance(tag, str) for tag in entry["tags"])


@pytest.mark.parametrize("name", NAMES)
def test_a_component_has_owners_and_a_page_and_can_be_imported_from_its_package(name: str) -> None:
    owners = yaml.safe_load((ROOT / name / "OWNERS").read_text(encoding="utf-8"))
    assert owners["approvers"]
    assert (ROOT / name / "README.md").read_text(encoding="utf-8").startswith(f"# {name}\n")
    module = __import__(f"components.{name}", fromlist=[name])
    assert getattr(module, name).component_spec.name == name.replace("_", "-")
