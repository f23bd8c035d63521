"""What is rated: the answers of a run's arms, or prediction files that are named one by one."""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from refine_af.contracts.errors import DataError, ParameterError, nearest
from refine_af.contracts.jsonl import read_rows
from refine_af.contracts.records import Prediction
from refine_af.evaluation.task_sets import load_tasks
from refine_af.evaluation.tasks import EvaluationTask
from refine_af.lineage.run import Run, open_run
from refine_af.storage.sources import fetch_source

Arms = Mapping[str, Sequence[Prediction]]


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers by arm, and where the tasks are that they answer."""

    tasks_uri: str
    arms: Arms


def answers_of_run(uri: str, arms: Sequence[str], tasks_uri: str) -> Answers:
    """Return a run's answers.

    Args:
        uri: Path or URI of the run.
        arms: Which arms, in this order; none takes every arm of the run, the untuned start model
            last.
        tasks_uri: Where the tasks are; empty takes the URI that the run read them from.

    Raises:
        ParameterError: For an arm that the run does not have.
        DataError: When the run has evaluated nothing.
    """
    run = open_run(uri)
    evaluated = {task.label: rows.path for task, rows in run.files("predictions", "evaluate")}
    if not evaluated:
        raise DataError(f"{uri}: no predictions in it; the run has not come to its evaluation")
    known = _in_order(run, list(evaluated))
    for arm in arms:
        if arm not in evaluated:
            raise ParameterError(
                f"--arm {arm!r}: the run has no such arm;{nearest(arm, known)} arms:"
                f" {', '.join(known)}"
            )
    chosen = list(arms) or known
    stated = run.of("evaluate")[0].params.get("tasks_uri", "")
    return Answers(
        tasks_uri or str(stated), {arm: read_rows(evaluated[arm], Prediction) for arm in chosen}
    )


def _in_order(run: Run, labels: list[str]) -> list[str]:
    """Return arms in the order of the run's configuration, others behind them."""
    stated = [str(arm) for arm in run.manifest.get("arms", [])]
    return sorted(labels, key=lambda arm: (stated.index(arm) if arm in stated else 99, arm))


def answers_of_files(named: Sequence[str], tasks_uri: str) -> Answers:
    """Return the answers of files given as ``ARM=FILE``.

    Raises:
        ParameterError: For another form, an arm named twice, or a file that is not there.
    """
    arms: dict[str, list[Prediction]] = {}
    for text in named:
        arm, equals, path = text.partition("=")
        if not equals or not arm or arm in arms:
            raise ParameterError(f"--predictions {text!r}: write it as ARM=FILE, each arm once")
        arms[arm] = read_rows(existing(path), Prediction)
    return Answers(tasks_uri, arms)


def questions_of(answers: Answers, first: int) -> list[EvaluationTask]:
    """Return the tasks with their first instances; 0 takes as many as the arms answered.

    Raises:
        ParameterError: When the tasks' folder is not there.
    """
    if not first:
        counts = Counter(row.task for rows in answers.arms.values() for row in rows)
        first = max(counts.values(), default=1) // max(1, len(answers.arms))
    uri = answers.tasks_uri
    if ":" not in uri and not Path(uri).exists():
        raise ParameterError(f"the tasks were read from {uri}, which is not here; give --tasks URI")
    with tempfile.TemporaryDirectory() as scratch:
        return list(load_tasks([fetch_source(uri, Path(scratch))], first=first).tasks)


def existing(name: str) -> Path:
    """Return a path.

    Raises:
        ParameterError: When there is no such file.
    """
    if not Path(name).is_file():
        raise ParameterError(f"{name}: no such file")
    return Path(name)
