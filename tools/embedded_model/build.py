"""Rebuild everything embedded from the repository alone: ``make builtin-model``."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from embedded_model import card, corpus, eval_tasks, measure, pretrain, tokenizer, train_reward
from refine_af import builtin
from refine_af.builtin import PATHS
from refine_af.builtin.skills.registry import HELD_OUT, TRAINED

README = Path(builtin.__file__).parent / "README.md"
MEASUREMENTS = PATHS["tiny"].parent / "measurements.json"
VOCABULARY_DOCUMENTS = 40_000
# Steps, not minutes: the same data and schedule on any machine.
PLANS = {
    "fixture": pretrain.Plan(0.0, steps=700, batch=16),
    "tiny": pretrain.Plan(0.0, steps=2000, batch=9),
}


def train_model(name: str, work: Path) -> None:
    """Train one model in ``work``, or continue it there, and put it in its place."""
    run = pretrain.Training(pretrain.SIZES[name], PLANS[name], work / name, work / "vocabulary")
    run.run(lambda line: print(line, flush=True))
    publish(name, work / name)


def publish(name: str, folder: Path) -> None:
    """Copy a trained model with its loss curve into the package."""
    target = PATHS[name]
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted((folder / "model").iterdir()):
        shutil.copyfile(path, target / path.name)
    shutil.copyfile(folder / "curve.json", target / "curve.json")


def measure_all(reward: dict[str, dict[str, float]], each: int, seed: int) -> dict[str, Any]:
    """Measure both models; the tables per skill are of the larger one."""
    models = {name: measure.Generator(PATHS[name]) for name in ("tiny", "fixture")}
    tiny = models["tiny"]
    new_words = measure.held_out_examples(TRAINED, each, seed)
    new_skills = measure.held_out_examples(HELD_OUT, 2 * each, seed)
    return {
        "models": {name: measure.overview(model, seed=seed) for name, model in models.items()},
        "reward": reward,
        "curves": {
            name: json.loads((PATHS[name] / "curve.json").read_text())["curve"] for name in models
        },
        "skills": {
            "trained skills in held-out wordings": measure.answer_table(tiny, new_words),
            "held-out skills": measure.answer_table(tiny, new_skills),
        },
    }


def finish(seed: int, each: int = 20) -> None:
    """Train the reward on the trained model, write the tasks, measure, and fill the card."""
    reward = train_reward.train(PATHS["tiny"], PATHS["tiny-reward"], train_reward.Plan(), seed)
    eval_tasks.write(PATHS["tasks"], seed)
    found = measure_all(reward, each, seed)
    MEASUREMENTS.write_text(json.dumps(found, indent=1) + "\n")
    card.write(README, MEASUREMENTS)


def main() -> None:
    """Rebuild tokenizer, models, reward, evaluation tasks and the numbers of the card."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("build/builtin"))
    parser.add_argument("--only-finish", action="store_true", help="the models are trained already")
    args = parser.parse_args()
    if not args.only_finish:
        vocabulary = args.work / "vocabulary"
        if not (vocabulary / tokenizer.FILE).exists():
            tokenizer.build(vocabulary, corpus.texts(args.seed, 0, VOCABULARY_DOCUMENTS))
        for name in ("fixture", "tiny"):
            train_model(name, args.work)
    finish(args.seed)


if __name__ == "__main__":
    main()
