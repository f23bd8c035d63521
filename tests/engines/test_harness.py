"""lm-evaluation-harness on the test model, with a task file whose data is local."""

import importlib.util
import json
from pathlib import Path

import pytest

from refine_af.contracts.errors import MissingLibraryError, ParameterError
from refine_af.contracts.jsonl import write_rows
from refine_af.engines.harness import harness_scores
from refine_af.runner import run_stage

INSTALLED = importlib.util.find_spec("lm_eval") is not None
needs_harness = pytest.mark.skipif(not INSTALLED, reason="lm-eval is not installed")

TASK = """
task: own_choice
dataset_path: json
dataset_kwargs:
  data_files: {data}
test_split: train
output_type: multiple_choice
doc_to_text: "Question: {{{{question}}}} Answer:"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{label}}}}"
metric_list:
  - metric: acc
metadata:
  version: 3.0
"""


def own_task(folder: Path) -> Path:
    rows = [
        {"question": f"Which word {n}?", "choices": ["red", "blue"], "label": n % 2}
        for n in range(8)
    ]
    write_rows(folder / "rows.jsonl", [dict(row) for row in rows])
    (folder / "own.yaml").write_text(TASK.format(data=folder / "rows.jsonl"), encoding="utf-8")
    return folder / "own.yaml"


@needs_harness
def test_the_harness_answers_under_its_own_names_beside_our_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "harness").mkdir()
    instances = [{"id": "i0", "input": "x", "output": ["yes"]}]
    ours = {"Definition": ["Say yes."], "Categories": ["Word Analogy"], "Instances": instances}
    (tmp_path / "task1.json").write_text(json.dumps(ours), encoding="utf-8")
    metrics = run_stage(
        "evaluate",
        inputs={},
        outputs={name: str(tmp_path / name) for name in ("predictions", "scores")},
        params={
            "model": "builtin:fixture",
            "tasks_uri": str(tmp_path / "task1.json"),
            "max_tokens": 4,
            "lm_eval": str(own_task(tmp_path / "harness")),
        },
    )
    found = json.loads((tmp_path / "scores").read_text(encoding="utf-8"))["lm_eval"]
    assert found["harness"].startswith("lm-eval 0.")
    own = found["tasks"]["own_choice"]
    assert (own["version"], own["n_shot"], own["instances"]) == (3.0, 0, 8)
    assert 0.0 <= own["metrics"]["acc,none"] <= 1.0
    assert metrics["lm_eval_own_choice_acc_none"] == own["metrics"]["acc,none"]


@needs_harness
def test_unknown_tasks_are_named() -> None:
    with pytest.raises(ParameterError, match="unknown task no_such_task"):
        harness_scores(
            "no_such_task", "transformers", "builtin:fixture", None, batch_size=1, seed=1
        )


def test_an_engine_without_a_model_here_is_refused() -> None:
    with pytest.raises(ParameterError, match="transformers or vllm"):
        harness_scores("arc_easy", "openai", "m", None, batch_size=1, seed=1)


@pytest.mark.skipif(INSTALLED, reason="lm-eval is installed")
def test_without_the_harness_the_extra_is_named() -> None:
    with pytest.raises(MissingLibraryError, match="refine-af\\[lm-eval\\]"):
        harness_scores("arc_easy", "transformers", "builtin:fixture", None, batch_size=1, seed=1)
