"""Every component from its YAML, used by somebody else's pipeline and run by KFP's local runner."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import components, dsl, local

from refine_af.generate import ROOT, stale
from refine_af.stages import STAGES

FILES = sorted((ROOT / "components").glob("*/component.yaml"))


def test_every_stage_has_its_files() -> None:
    assert [path.parent.name for path in FILES] == sorted(stage.name for stage in STAGES)


def test_derived_files_are_current() -> None:
    assert stale(ROOT) == [], "run make gen"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_a_component_loads_with_the_stages_interface(path: Path) -> None:
    loaded = components.load_component_from_file(str(path))
    stage = next(stage for stage in STAGES if stage.name == path.parent.name)
    wanted = {item.name for item in stage.taken} | set(stage.params.model_fields)
    assert set(loaded.component_spec.inputs or {}) == wanted | {"work_dir", "label"}
    outputs = {item.name for item in stage.written} | ({"metrics"} if stage.records else set())
    assert set(loaded.component_spec.outputs or {}) == outputs


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_a_component_installs_nothing_when_it_starts(path: Path) -> None:
    spec = yaml.safe_load(path.read_text(encoding="utf-8"))
    (executor,) = spec["deploymentSpec"]["executors"].values()
    assert "pip install" not in " ".join(executor["container"]["command"])
    assert executor["container"]["image"].startswith(f"refine-af-{path.parent.name}:")


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # KFP leaves a folder of every task there
    root = tmp_path / "root"
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(root),
        workspace_root=str(tmp_path / "workspace"),
    )
    return root


def test_a_foreign_pipeline_filters_its_own_rows(runner: Path, tmp_path: Path) -> None:
    rows = [
        {"id": "a", "instruction": "Sort the words in the list.", "mine": 1},
        {"id": "b", "instruction": "Sort the words in a list.", "mine": 2},
        {"id": "c", "instruction": "Name three colours.", "mine": 3},
    ]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    dedup = components.load_component_from_file(
        str(ROOT / "components/dedup_filter/component.yaml")
    )

    @dsl.pipeline(name="foreign")  # type: ignore[untyped-decorator]
    def foreign(uri: str) -> dsl.Dataset:
        imported = dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset)
        return dedup(candidates=imported.output, max_rouge_l=0.7).outputs["kept"]

    kept = Path(foreign(uri=str(source)).output.path)
    assert [json.loads(line)["mine"] for line in kept.read_text().splitlines()] == [1, 3]


def test_a_failing_component_says_why(
    runner: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ingest: Any = components.load_component_from_file(
        str(ROOT / "components/seed_ingest/component.yaml")
    )

    @dsl.pipeline(name="foreign")  # type: ignore[untyped-decorator]
    def foreign(uri: str) -> None:
        ingest(seeds_uri=uri)

    with pytest.raises(RuntimeError, match="seed-ingest"):
        foreign(uri=str(tmp_path / "missing.jsonl"))
    assert "missing.jsonl: no such file" in capfd.readouterr().out
