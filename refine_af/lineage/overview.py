"""Lists the runs of a folder, and compares two runs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from refine_af.lineage.configuration import configuration, differences
from refine_af.lineage.run import ARTIFACTS, CONFIGURATION, Run
from refine_af.lineage.status import tasks_of


@dataclass(frozen=True, slots=True)
class ArmScores:
    """The report's numbers of one arm; None where the pipeline does not measure it.

    Attributes:
        arm: Its name.
        rouge_l: On the evaluation tasks, 0 to 100.
        exact_match: Likewise.
        reward: Mean total of its instances, standard deviations of the baseline's.
        kept: Instructions after the filter.
        diversity: Mean of 1 - cosine to the nearest other kept instruction.
        per_thousand_calls: Kept instructions per 1,000 model calls.
    """

    arm: str
    rouge_l: float | None = None
    exact_match: float | None = None
    reward: float | None = None
    kept: float | None = None
    diversity: float | None = None
    per_thousand_calls: float | None = None


SCORES = tuple(item.name for item in fields(ArmScores) if item.name != "arm")
"""Numbers of an arm that a comparison shows, where the run has them."""


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run.

    Attributes:
        uri: Where it is.
        preset: Name of the preset; empty where the run does not say.
        model: The start model.
        started: Start of its first task in UTC, ``YYYY-MM-DD HH:MM``; empty before it.
        state: finished, unfinished or failed.
        result: The report's first sentence; empty before the report.
    """

    uri: str
    preset: str
    model: str
    started: str
    state: str
    result: str


def runs_in(folder: Path) -> list[RunLine]:
    """Return the runs directly below a folder, the oldest first."""
    names = (CONFIGURATION, ARTIFACTS)
    paths = [path for path in folder.glob("*") if any((path / name).exists() for name in names)]
    return sorted((run_line(Run(str(path))) for path in paths), key=lambda row: row.started)


def run_line(run: Run) -> RunLine:
    """Return what one line says about a run."""
    config = configuration(run)
    starts = [task.telemetry["started"] for task in run.tries if "started" in task.telemetry]
    first = datetime.fromtimestamp(min(starts), UTC) if starts else None
    return RunLine(
        uri=run.uri,
        preset=str(run.spec.get("preset", "")),
        model=str(config.get("parameters", {}).get("model", "") or run.manifest.get("model", "")),
        started=first.strftime("%Y-%m-%d %H:%M") if first else "",
        state=_state(run),
        result=str(result_of(run).get("answer", "")),
    )


def _state(run: Run) -> str:
    states = {task["state"] for task in tasks_of(run)}
    if "failed" in states:
        return "failed"
    return "finished" if states == {"finished"} else "unfinished"


def result_of(run: Run) -> dict[str, Any]:
    """Return the report's result: answer and numbers by arm; empty before the report."""
    reports = run.of("report")
    return reports[0].json("result") if reports else {}


def arm_scores(run: Run) -> list[ArmScores]:
    """Return the report's numbers by arm; nothing before the report."""
    arms = result_of(run).get("arms", {})
    return [
        ArmScores(arm, **{name: numbers[name] for name in SCORES if name in numbers})
        for arm, numbers in arms.items()
    ]


@dataclass(frozen=True, slots=True)
class RunDifference:
    """Two runs against each other.

    Attributes:
        configuration: First and second value of each parameter that differs.
        scores: First and second value of each arm's numbers, by ``arm, number``; None where a run
            has none.
    """

    configuration: Mapping[str, tuple[Any, Any]]
    scores: Mapping[str, tuple[float | None, float | None]]

    def lines(self) -> list[str]:
        """Return the differences for people."""
        lines = ["configuration" if self.configuration else "configuration: the same"]
        lines += [f"  {name}: {a!r} | {b!r}" for name, (a, b) in self.configuration.items()]
        lines.append("result" if self.scores else "result: neither run has a report")
        return lines + [_score_line(name, *pair) for name, pair in self.scores.items()]


def _score_line(name: str, first: float | None, second: float | None) -> str:
    shown = [f"{value:z.2f}" if value is not None else "-" for value in (first, second)]
    change = f"  ({second - first:+z.2f})" if first is not None and second is not None else ""
    return f"  {name}: {shown[0]} | {shown[1]}{change}"


def compare_runs(first: Run, second: Run) -> RunDifference:
    """Return what differs between two runs in configuration and result."""
    config = differences(configuration(first), configuration(second))
    arms = [result_of(run).get("arms", {}) for run in (first, second)]
    scores = {}
    for arm in dict.fromkeys([*arms[0], *arms[1]]):
        for name in SCORES:
            pair = tuple(values.get(arm, {}).get(name) for values in arms)
            if pair != (None, None):
                scores[f"{arm}, {name}"] = (pair[0], pair[1])
    return RunDifference(config, scores)
