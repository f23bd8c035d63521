"""Fine-tune on instances and compare with the start model, task by task.

Steps 4 and 5 of REFINE-AF (arXiv 2505.06548): LoRA on instruction-input-output triplets, then
ROUGE-L on unseen SUPER-NI style tasks; the claim is the share of tasks won, with its interval.
"""

import sys
import tempfile
from pathlib import Path

from refine_af.contracts.progress import StageProgress
from refine_af.contracts.records import Instance, Seed
from refine_af.engines.models import resolve_model
from refine_af.engines.text import Request, Sampling
from refine_af.engines.transformers_text import TransformersText
from refine_af.evaluation.compare import Comparison, compare
from refine_af.evaluation.fairness import Arm, Refusal
from refine_af.evaluation.predictions import score_answer
from refine_af.evaluation.prompts import render_prompt
from refine_af.evaluation.task_sets import load_tasks
from refine_af.evaluation.tasks import TaskSet
from refine_af.sft.params import SFTParams
from refine_af.sft.run import Material, fine_tune
from refine_af.stages.seed_ingest import read_seeds
from refine_af.storage.journal import MemoryJournal
from refine_af.storage.sources import BUILTIN

MODEL = "builtin:tiny"
PROMPT = "alpaca"


def triplets(seeds: list[Seed]) -> list[Instance]:
    """Return instruction, input and output of each seed; a run would write them with PPO."""
    return [
        Instance.make(
            seed.id, seed.instruction, pair.input, pair.output, is_classification=False, sample=0
        )
        for seed in seeds
        for pair in seed.instances[:1]
    ]


def tune(rows: list[Instance], params: SFTParams, folder: Path) -> Path:
    """Train a LoRA adapter on the rows and return its folder."""
    adapter, scratch = folder / "adapter", folder / "scratch"
    scratch.mkdir()
    kept = {"journal": MemoryJournal(), "progress": StageProgress("train_sft"), "scratch": scratch}
    fine_tune(Material(rows, [], []), params, str(resolve_model(MODEL)), adapter, **kept)
    return adapter


def answer(name: str, adapter: Path | None, tasks: TaskSet) -> Arm:
    """Answer every question greedily and score it."""
    engine = TransformersText(MODEL, adapter)
    pairs = [(task, instance) for task in tasks.tasks for instance in task.instances]
    asked = [
        Request(one.id, render_prompt(PROMPT, task.definition, one.input), seed=1)
        for task, one in pairs
    ]
    found = engine.generate(asked, Sampling(max_tokens=32, temperature=0.0, stop=("\n",)))
    return Arm(
        name, [score_answer(*pair, one.text) for pair, one in zip(pairs, found, strict=True)]
    )


def main(steps: int = 10, questions: int = 2) -> Comparison | Refusal:
    """Tune, answer with and without the adapter, and print the comparison."""
    rows = triplets(read_seeds(BUILTIN["builtin:seeds"], "seeds", "Apache-2.0").rows)
    tasks = load_tasks([BUILTIN["builtin:tasks"]], first=questions)
    with tempfile.TemporaryDirectory() as folder:
        adapter = tune(rows, SFTParams(max_steps=steps, batch_size=16), Path(folder))
        result = compare(answer("tuned", adapter, tasks), answer("start", None, tasks), seed=1)
    if isinstance(result, Comparison):  # else a Refusal, which names what makes it unfair
        print(f"tuned wins {result.wins}, ties {result.ties}, loses {result.losses} tasks")
    return result


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
