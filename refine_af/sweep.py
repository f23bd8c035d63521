"""``refine-af sweep``: a grid of trainings on the same prompts, merged into one table.

Each cell trains (or, for ``best_of_n``, selects), writes one instance per prompt and scores them
with the whole preset, also where a term was switched off in training. Totals count from the
untrained model of the same seed and preset, in its deviations, so cells compare. Cells are tasks
with a journal: run the command again and finished ones cost nothing.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal, get_args

from refine_af.contracts.errors import ParameterError, nearest
from refine_af.contracts.jsonl import read_rows, write_rows
from refine_af.contracts.progress import StageProgress
from refine_af.contracts.records import Instance, Instruction
from refine_af.feedback.presets import find_preset
from refine_af.runner import find_stage, run_stage
from refine_af.self_instruct.params import FORM
from refine_af.statistics import students_t

Algorithm = Literal["start", "ppo", "rloo", "grpo", "best_of_n"]
START: Algorithm = "start"
MEASURES = ("total", "gold", "gold_gain", "parseable", "words", "kl", "alarms")
STAGES = ("train_ppo", "generate_instances", "score_rewards")
ASKING = ("train_ppo", "generate_instances")
SHARED = ("model", "model_digest", *FORM)
"""Parameters of :data:`ASKING` that are the same: given to one, they are the other's too."""


@dataclass(frozen=True, slots=True)
class Grid:
    """What is varied.

    Attributes:
        seeds: Of each setting; intervals are over them.
        rewards: Presets.
        algorithms: Trainers, and ``best_of_n``.
        ablate: Whether each term of a preset is also switched off, one at a time.
        samples: The n of ``best_of_n``.
    """

    seeds: tuple[int, ...]
    rewards: tuple[str, ...]
    algorithms: tuple[Algorithm, ...]
    ablate: bool = False
    samples: int = 4

    def __post_init__(self) -> None:
        known: list[str] = list(get_args(Algorithm))
        for name in map(str, self.algorithms):
            if name not in known:
                raise ParameterError(
                    f"unknown algorithm {name!r};{nearest(name, known)} choose from"
                    f" {', '.join(known)}"
                )
        for name, values in (("seeds", self.seeds), ("rewards", self.rewards)):
            if not values or len(set(values)) != len(values):
                raise ParameterError(f"{name} are {list(values)}; give at least one, each once")

    def cells(self) -> Iterator["Cell"]:
        """Return the cells in the order of the table; the start model's come first."""
        for reward in self.rewards:
            terms = ["", *find_preset(reward).weights] if self.ablate else [""]
            terms = terms if len(terms) > 2 else [""]  # a rule of one term cannot lose it
            for seed in self.seeds:
                yield Cell(seed, reward, "", START)
            for dropped in terms:
                for algorithm in self.algorithms:
                    if algorithm != START:
                        yield from (Cell(seed, reward, dropped, algorithm) for seed in self.seeds)


@dataclass(frozen=True, slots=True)
class Cell:
    """One training: ``dropped`` is the term of the preset that is off, if any."""

    seed: int
    reward: str
    dropped: str
    algorithm: Algorithm

    @property
    def name(self) -> str:
        """Return the cell's folder."""
        reward = self.reward.replace(":", "_") + (f"-{self.dropped}" if self.dropped else "")
        return f"{reward}/{self.algorithm}/seed{self.seed}"


@dataclass(frozen=True, slots=True)
class Sweep:
    """Runs cells.

    Attributes:
        instructions: To train on.
        prompts: To write instances for; best none of those trained on.
        folder: Where cells, journals and tables go.
        settings: Parameters by stage (:data:`STAGES`); they win over the cell's own but for what
            the grid varies.
    """

    instructions: Path
    prompts: Path
    folder: Path
    settings: Mapping[str, Mapping[str, Any]]

    def __post_init__(self) -> None:
        for stage, values in self.settings.items():
            if stage not in STAGES:
                raise ParameterError(
                    f"--set {stage}: a sweep runs {', '.join(STAGES)};"
                    f"{nearest(stage, list(STAGES))}"
                )
            for name in values.keys() - find_stage(stage).params.model_fields.keys():
                find_stage(stage).params.parse({name: values[name]}, where=stage)  # refuses it
        for name in SHARED:
            choices = {str(self.settings.get(stage, {}).get(name, "")) for stage in ASKING} - {""}
            if len(choices) > 1:
                raise ParameterError(
                    f"--set gives {' and '.join(ASKING)} a different {name}:"
                    f" {', '.join(sorted(choices))}; both work with the same, so set it once"
                )

    def run(self, grid: Grid) -> list[dict[str, Any]]:
        """Run every cell and return one row each.

        ``cells.jsonl`` and ``table.md`` hold the cells that are done, after each.
        """
        self.check(grid)
        rows: list[dict[str, Any]] = []
        cells, progress = list(grid.cells()), StageProgress("sweep")
        for number, cell in enumerate(cells, start=1):
            progress.say(f"cell {number} of {len(cells)}: {cell.name}")
            rows.append(_with_gain(self._measured(cell, grid.samples), rows))
            write_rows(self.folder / "cells.jsonl", rows)
            (self.folder / "table.md").write_text(table(rows), encoding="utf-8")
            progress.step(number, len(cells), "cells")
        return rows

    def check(self, grid: Grid) -> None:
        """Check the parameters of every cell's tasks before the first one runs.

        Raises:
            ParameterError: As a task would.
        """
        for cell in grid.cells():
            asked = [("generate_instances", self._writing(cell, grid.samples))]
            asked.append(("score_rewards", self._reward(cell)))
            if cell.algorithm in ("ppo", "rloo", "grpo"):
                asked.append(("train_ppo", self._training(cell)))
            for stage, own in asked:
                find_stage(stage).params.parse(self._params(stage, own), where=stage)

    def _writing(self, cell: Cell, samples: int) -> dict[str, Any]:
        """Return how a cell's instances are written; samples to choose from must differ."""
        own: dict[str, Any] = {"seed": cell.seed, "samples": 1, "max_instances": 1}
        if cell.algorithm != "best_of_n":
            return own
        warm = "temperature" in self.settings.get("generate_instances", {})
        return own | {"samples": samples} | ({} if warm else {"temperature": 1.0})

    def _training(self, cell: Cell) -> dict[str, Any]:
        return self._reward(cell) | {"algorithm": cell.algorithm, "seed": cell.seed}

    def _params(self, stage: str, own: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.settings.get(stage, {}), **own, **self._shared(stage)}

    def _measured(self, cell: Cell, samples: int) -> dict[str, Any]:
        cell_folder = self.folder / cell.name
        trained = (
            self._trained(cell, cell_folder) if cell.algorithm in ("ppo", "rloo", "grpo") else {}
        )
        best = cell.algorithm == "best_of_n"
        instances = self._task(
            "generate_instances",
            cell_folder,
            {"instructions": self.prompts, "adapter": cell_folder / "adapter" if trained else None},
            self._writing(cell, samples),
        )["instances"]
        if cell.algorithm != START and not read_rows(instances, Instance):
            return asdict(cell) | self._numbers([]) | trained  # a broken policy is a result too
        if best:
            instances = self._task(
                "score_rewards",
                cell_folder / "selection",
                {"instances": instances},
                self._reward(cell) | {"select": "best_per_instruction"},
            )["scored"]
        start = self.folder / Cell(cell.seed, cell.reward, "", START).name
        reference = None if cell.algorithm == START else start / "scored"
        whole = self._reward(cell) | {"reward_drop": "", "select": "none"}
        scored = self._task(
            "score_rewards", cell_folder, {"instances": instances, "reference": reference}, whole
        )["scored"]
        return asdict(cell) | self._numbers(read_rows(scored, Instance)) | trained

    def _trained(self, cell: Cell, folder: Path) -> dict[str, float]:
        inputs = {"instructions": self.instructions}
        files = self._task("train_ppo", folder, inputs, self._training(cell))
        metrics = json.loads(files["metrics"].read_text(encoding="utf-8"))
        return {"alarms": metrics["alarms"]} | (
            {"kl": metrics["kl_last"]} if "kl_last" in metrics else {}
        )

    def _reward(self, cell: Cell) -> dict[str, Any]:
        """Return what judges; all stages share what was set for the training's reward."""
        shared = {
            name: value
            for name, value in self.settings.get("train_ppo", {}).items()
            if name in find_stage("score_rewards").params.model_fields
        }
        return shared | {"reward": cell.reward, "reward_drop": cell.dropped}

    def _task(
        self, stage: str, folder: Path, inputs: Mapping[str, Path | None], own: Mapping[str, Any]
    ) -> dict[str, Path]:
        files = {item.name: folder / item.name for item in find_stage(stage).outputs}
        files["metrics"] = folder / f"{stage}-metrics.json"
        folder.mkdir(parents=True, exist_ok=True)
        run_stage(
            stage,
            inputs={name: str(path) for name, path in inputs.items() if path is not None},
            outputs={name: str(path) for name, path in files.items()},
            params=self._params(stage, own),
            work_dir=str(self.folder / "work"),
            label=folder.relative_to(self.folder).as_posix(),
        )
        return files

    def _shared(self, stage: str) -> dict[str, Any]:
        """Return what both stages that ask for instances share, if one of them sets it."""
        given = [self.settings.get(asking, {}) for asking in ASKING]
        shared = {name: values[name] for values in given for name in SHARED if name in values}
        return shared if stage in ASKING else {}

    def _numbers(self, rows: Sequence[Instance]) -> dict[str, float]:
        """Return what is measured of a cell's instances; a prompt without one counts as wrong."""
        from refine_af.builtin.gold import gold_score

        prompts = read_rows(self.prompts, Instruction)
        measured = {"parseable": len(rows) / len(prompts)}
        if rows:
            measured["total"] = fmean(row.total or 0.0 for row in rows)
            measured["words"] = fmean(len(row.output.split()) for row in rows)
        checked = [row for row in prompts if gold_score(row.instruction, "", "") is not None]
        gold = [gold_score(row.instruction, row.input, row.output) or 0.0 for row in rows]
        return measured | ({"gold": sum(gold) / len(checked)} if checked else {})


def _with_gain(row: dict[str, Any], before: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the row with its gold above that of the start model of the same seed and preset.

    Both answered the same prompts, so the difference spreads far less over seeds than gold does.
    """
    key = (START, row["reward"], row["seed"])
    for start in before:
        if (start["algorithm"], start["reward"], start["seed"]) == key and "gold" in start:
            return row | {"gold_gain": row["gold"] - start["gold"]}
    return row


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a Markdown table, one line per setting: means over seeds with 95 % t-intervals."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["reward"], row["dropped"], row["algorithm"]), []).append(row)
    shown = [name for name in MEASURES if any(name in row for row in rows)]
    lines = [
        "| reward | without | algorithm | seeds | " + " | ".join(shown) + " |",
        "| --- " * (4 + len(shown)) + "|",
    ]
    for (reward, dropped, algorithm), members in groups.items():
        values = [mean_with_interval([m[name] for m in members if name in m]) for name in shown]
        facts = [reward, dropped, algorithm, str(len(members)), *values]
        lines.append("| " + " | ".join(facts) + " |")
    return "\n".join(lines) + "\n"


def mean_with_interval(values: Sequence[float]) -> str:
    """Return ``mean (low to high)``, the 95 % t-interval; the mean alone for one value."""
    if not values:
        return ""
    if len(values) == 1:
        return _number(values[0])
    freedom = len(values) - 1
    t = students_t(freedom)
    mean, half = fmean(values), t * stdev(values) / len(values) ** 0.5
    return f"{_number(mean)} ({_number(mean - half)} to {_number(mean + half)})"


def _number(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # + 0.0: rounding noise below zero is no "-0.000"
