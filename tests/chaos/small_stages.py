"""Every stage on an input of seconds, and the artifacts that they read."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.records import Instance, Instruction
from refine_af.runner import find_stage, run_stage

NEVER = 1e9
MODEL = {"model": "builtin:fixture"}


@dataclass(frozen=True)
class SmallStage:
    """One stage with parameters and input paths that make it end in seconds."""

    stage: str
    params: dict[str, Any]
    inputs: dict[str, str] = field(default_factory=dict)

    def arguments(self, work: str, output: Path) -> dict[str, Any]:
        """Return the keyword arguments of ``run_stage``."""
        names = [item.name for item in find_stage(self.stage).outputs]
        names += ["metrics", "provenance", "telemetry"]
        return {
            "inputs": self.inputs,
            "outputs": {name: str(output / name) for name in names},
            "params": self.params,
            "work_dir": work,
        }


def small_stages(folder: Path) -> list[SmallStage]:
    """Return the stages in the order of the DAG; inputs are written below ``folder``."""
    run_stage("seed_ingest", inputs={}, outputs={"seeds": str(folder / "seeds")}, params={})
    instructions = [
        Instruction.make(f"Write {number} short lines about the word {word}.", (), number, 0, 0)
        for number, word in enumerate(("river", "stone", "lamp", "garden", "bread", "window") * 4)
    ]
    instances = [
        Instance.make(
            row.id, row.instruction, "", f"Line {row.id}.", is_classification=False, sample=0
        )
        for row in instructions
    ]
    write_rows(folder / "instructions", instructions)
    write_rows(folder / "instances", instances)
    seeds, given, pairs = (str(folder / name) for name in ("seeds", "instructions", "instances"))
    ppo = {"updates": 3, "episodes_per_update": 8, "minibatch": 8, "epochs": 1, "lora_rank": 4}
    sft = {"max_steps": 4, "batch_size": 4, "lora_rank": 4, "max_length": 128}
    return [
        SmallStage("check_inputs", MODEL | {"instances": 2, "reward": "embedded"}),
        SmallStage("seed_ingest", {}),
        SmallStage(
            "generate_instructions",
            MODEL | {"target": 24, "round_size": 4, "max_requests": 16, "max_tokens": 48},
            {"seeds": seeds},
        ),
        SmallStage("dedup_filter", {}, {"candidates": given, "pool": seeds}),
        SmallStage(
            "train_ppo",
            MODEL | ppo | {"max_new_tokens": 24, "reward": "embedded", "learning_rate": 1e-3},
            {"instructions": given},
        ),
        SmallStage(
            "generate_instances",
            MODEL | {"style": "plain", "temperature": 1.0, "max_tokens": 32},
            {"instructions": given},
        ),
        SmallStage("score_rewards", {"reward": "embedded"}, {"instances": pairs}),
        SmallStage(
            "train_sft",
            MODEL | sft | {"include_seed_tasks": False, "checkpoint_steps": 1},
            {"instances": pairs},
        ),
        SmallStage("evaluate", MODEL | {"instances": 2, "max_tokens": 8, "prompt": "plain"}),
        *evolution_stages(folder, seeds),
        SmallStage("notify", {}),
        SmallStage(
            "embed_texts", {"model": sentence_model(folder / "encoder")}, {"candidates": given}
        ),
        audit_of(folder, instances),
        SmallStage(
            "register_model",
            {"model_uri": str(folder / "registered")},
            {"adapter": str(folder / "audited" / "adapter")},
        ),
    ]


def sentence_model(folder: Path) -> str:
    """Write an untrained sentence model of two small layers and return its folder."""
    import torch
    from transformers import AutoModel, BertConfig, BertTokenizer

    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "river", "stone", "lamp", "garden"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(vocab=str(folder / "vocab.txt")).save_pretrained(str(folder))
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    AutoModel.from_config(config).save_pretrained(str(folder))  # type: ignore[no-untyped-call]
    return str(folder)


def audit_of(folder: Path, instances: list[Instance]) -> SmallStage:
    """Return the audit of an adapter that was trained on the first half of the instances."""
    half = len(instances) // 2
    write_rows(folder / "members", instances[:half])
    write_rows(folder / "strangers", instances[half:])
    training = SmallStage(
        "train_sft",
        MODEL | {"max_steps": 1, "lora_rank": 4, "max_length": 128, "include_seed_tasks": False},
        {"instances": str(folder / "members")},
    )
    run_stage("train_sft", **training.arguments("", folder / "audited"))
    return SmallStage(
        "audit_privacy",
        MODEL | {"resamples": 100},
        {
            "adapter": str(folder / "audited" / "adapter"),
            "instances": str(folder / "members"),
            "used": str(folder / "audited" / "used"),
            "held_out": str(folder / "strangers"),
        },
    )


def evolution_stages(folder: Path, seeds: str) -> list[SmallStage]:
    """Return the stages of the second pipeline, written to by a script instead of a model."""
    rewrites = [
        f"Compare {count} {topic} by age and size in a table."
        for topic in ("rivers", "birds", "metals", "operas", "islands", "bridges")
        for count in range(3, 9)
    ]
    script = [{"match": "New task:", "text": text} for text in rewrites]
    script += [{"match": "Question:", "text": text} for text in (" Yes", " Yes", " No")]
    script += [{"match": "Output:", "text": " An answer."}]
    script += [{"match": "Instruction:", "text": "Input: a list\nOutput: An answer."}]
    write_rows(folder / "script", script)
    writer = {"engine": "scripted", "style": "plain", "model": str(folder / "script")}
    small = writer | {"steps": 2, "seeds_limit": 24}
    training = {"table_seeds": 12, "held_out": 4, "policy_seeds": 2, "updates": 2, "episodes": 6}
    evolve = SmallStage("evolve_instructions", small | {"policy": "uniform"}, {"seeds": seeds})
    run_stage("evolve_instructions", **evolve.arguments("", folder / "evolved"))
    rows = str(folder / "evolved" / "instructions")
    return [
        SmallStage("train_operator_policy", small | training, {"seeds": seeds}),
        evolve,
        SmallStage("generate_responses", writer, {"instructions": rows}),
        SmallStage("report", {}, {"run": str(_as_a_run(folder))}),
    ]


def _as_a_run(folder: Path) -> Path:
    """Lay out what was evolved as a run does."""
    run = folder / "run"
    shutil.copytree(folder / "evolved", run / "artifacts" / "evolve_instructions-uniform")
    filtered = run / "artifacts" / "dedup_filter-uniform"
    filtered.mkdir()
    shutil.copyfile(folder / "evolved" / "instructions", filtered / "kept")
    return run


class KillServer:
    """The warm process of :mod:`kill_server`."""

    def __init__(self, folder: Path) -> None:
        """Start it; logs, counts and what killed stages leave of temporary files go there."""
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kill_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(folder)},
        )
        assert self._answer() == "ready\n"

    def run(
        self,
        small: SmallStage,
        work: str,
        output: Path,
        environment: dict[str, str],
        *,
        kill_after: int = -1,
        kill_at: float = NEVER,
    ) -> dict[str, float]:
        """Run a stage once; return its exit code (negative: the signal) and seconds."""
        order = {
            "stage": small.stage,
            "arguments": small.arguments(work, output),
            "environment": environment,
            "kill_after": kill_after,
            "kill_at": kill_at,
            "count": str(self.folder / "count"),
            "log": str(self.folder / "log"),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        found: dict[str, float] = json.loads(self._answer())
        return found

    def published(self) -> int:
        """Return the publications of the last run."""
        return int((self.folder / "count").read_text() or 0)

    def log(self) -> str:
        """Return the end of what the runs printed."""
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()
