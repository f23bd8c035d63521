"""The stage as the runner calls it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_sft import instance, save_random_model

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.records import Pair, Seed
from refine_af.runner import run_stage

PARAMS = {"max_steps": 3, "batch_size": 4, "max_length": 256, "lora_rank": 2}


def places(folder: Path, name: str) -> dict[str, str]:
    return {
        item: str(folder / name / item)
        for item in ("adapter", "merged", "history", "used", "metrics")
    }


def rows_of(path: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(path).read_bytes().split(b"\n") if line]


def test_paired_arms_train_on_equal_instructions_and_the_seeds(tmp_path: Path) -> None:
    model = save_random_model(tmp_path / "model")
    write_rows(tmp_path / "rl", [instance(number, "rl") for number in (0, 1, 2, 5)])
    write_rows(tmp_path / "base", [instance(number, "base") for number in (1, 2, 3, 5)])
    pair = (Pair(input="", output="one"),)
    seed = Seed.make("s", "n", "Do it.", pair, False, "CC0-1.0")
    write_rows(tmp_path / "seeds", [seed])
    trained: dict[str, list[tuple[str, ...]]] = {}
    for own, other in (("rl", "base"), ("base", "rl")):
        out = places(tmp_path, own + "-out")
        metrics = run_stage(
            "train_sft",
            inputs={
                "instances": str(tmp_path / own),
                "match": str(tmp_path / other),
                "seeds": str(tmp_path / "seeds"),
            },
            outputs=out,
            params=PARAMS | {"model": str(model), "model_digest": "abc"},
            work_dir=str(tmp_path / "work"),
        )
        used = rows_of(out["used"])
        trained[own] = [tuple(row["parents"]) for row in used if not row["cut"]]  # type: ignore[arg-type]
        assert metrics == json.loads(Path(out["metrics"]).read_text())
        assert (metrics["rows"], metrics["unmatched"], metrics["steps"]) == (4, 1, 3)
        history = rows_of(out["history"])
        assert [row["step"] for row in history] == [1, 2, 3]
        assert history[-1]["loss"] == metrics["final_loss"]
        page = Path(out["adapter"], "README.md").read_text()
        assert "digest `abc`" in page
        assert str(tmp_path / own) not in page
    assert trained["rl"] == trained["base"] == [("ins-1",), ("ins-2",), ("ins-5",), (seed.id,)]


def test_two_processes_train_what_one_trains(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    model = save_random_model(tmp_path / "model")
    write_rows(tmp_path / "rows", [instance(number) for number in range(16)])
    found = {}
    for count in (1, 2):
        out = places(tmp_path, f"out-{count}")
        own = {"model": str(model), "processes": count, "checkpoint_steps": 2, "lora_dropout": 0.0}
        run_stage(
            "train_sft",
            inputs={"instances": str(tmp_path / "rows")},
            outputs=out,
            params=PARAMS | own | {"max_steps": 4, "learning_rate": 0.01},
            work_dir=str(tmp_path / f"work-{count}"),
        )
        weights = load_file(Path(out["adapter"], "adapter_model.safetensors"))
        found[count] = (rows_of(out["history"]), weights)
    for one, two in zip(found[1][0], found[2][0], strict=True):
        assert two["loss"] == pytest.approx(one["loss"], abs=1e-5)
        assert two["tokens"] == one["tokens"]
    for name, weight in found[1][1].items():
        assert abs(weight - found[2][1][name]).max() < 1e-4
        assert weight.any()


def test_an_arm_without_rows_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "none", [])
    with pytest.raises(DataError, match="input 'instances' holds no row"):
        run_stage(
            "train_sft",
            inputs={"instances": str(tmp_path / "none")},
            outputs=places(tmp_path, "out"),
            params=PARAMS,
        )


def test_the_stage_file_loads_no_heavy_library() -> None:
    code = (
        "import sys, refine_af.stages.train_sft\n"
        "heavy = {'torch', 'transformers', 'trl', 'peft', 'datasets'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
