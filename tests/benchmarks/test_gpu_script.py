"""The script for the day that a GPU can be had runs on any machine, in toy sizes."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def test_the_parts_run_and_the_file_holds_what_they_found(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command = [sys.executable, str(SCRIPT), "--tiny", "--out", str(out)]
    done = subprocess.run(
        [*command, "--parts", "memory", "ppo", "sft", "nf4"], capture_output=True, text=True
    )
    found = json.loads(out.read_text())
    assert list(found) == ["memory", "ppo", "sft", "nf4"]
    memory = found["memory"]["found"]
    assert memory["recomputed"]["tokens"] == 2 * 30
    assert 0 < memory["recomputed"]["formula_gib"] < 2 * memory["kept"]["formula_gib"]
    assert found["ppo"]["found"]["action_tokens_per_second"] > 0
    assert len(found["sft"]["found"]["lora"]["losses"]) == 2
    # without a GPU this part ends, says why, and leaves the others' numbers alone
    assert "needs an NVIDIA GPU" in found["nf4"]["said"]
    assert done.returncode == 1


def test_a_part_ends_at_its_limit(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command = [sys.executable, str(SCRIPT), "--tiny", "--out", str(out), "--minutes", "0.2"]
    subprocess.run([*command, "--parts", "memory", "ppo"], capture_output=True, text=True)
    found = json.loads(out.read_text())
    assert "found" in found["memory"] or "limit" in found["memory"]["ended"]
    assert "no time was left" in found["ppo"]["ended"] or "limit" in found["ppo"]["ended"]
