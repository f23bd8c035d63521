"""Every stage as a function: its types are its declaration, rows come in any form."""

import ast
import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import pandas
import pytest

from refine_af import api
from refine_af.api import stages
from refine_af.contracts.errors import ParameterError
from refine_af.contracts.records import Instance, Instruction, Rejected
from refine_af.contracts.stage import Stage
from refine_af.engines.text import Completion, Determinism, Request, Sampling
from refine_af.stages import STAGES
from refine_af.targets.python_stubs import result_name, stubs

STUBS = ast.parse(stubs(STAGES))
TEXTS = ["Sort a list of numbers.", "Sort a list of numbers!", "Name three rivers in Asia."]


class Numbered:
    """Answers every request with a number, and counts what it is asked."""

    determinism: Determinism = "exact"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.open = True

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return the number of each request."""
        assert self.open
        self.asked += [request.prompt for request in requests]
        return [
            Completion(request.id, f"Output: answer {number}", "stop", 1, 2)
            for number, request in enumerate(requests)
        ]

    def describe(self) -> dict[str, str]:
        """Return what provenance says."""
        return {"engine": "numbered", "model": "numbers-1"}

    def close(self) -> None:
        """Remember it."""
        self.open = False


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_function_is_typed_as_it_is_called(stage: Stage) -> None:
    """Names and defaults of the stub are those of the function, and of the stage's declaration."""
    (stub,) = [
        node for node in STUBS.body if isinstance(node, ast.FunctionDef) and node.name == stage.name
    ]
    signature = inspect.signature(getattr(api, stage.name))
    assert [one.arg for one in (*stub.args.args, *stub.args.kwonlyargs)] == list(
        signature.parameters
    )
    defaults = [node and ast.literal_eval(node) for node in stub.args.kw_defaults]
    named = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert defaults == [None if p.default is p.empty else p.default for p in named]
    names = [item.name for item in stage.inputs] + list(stage.params.model_fields)
    assert len(names) == len(set(names)), "an input and a parameter share a name"
    (result,) = [
        node
        for node in STUBS.body
        if isinstance(node, ast.ClassDef) and node.name == result_name(stage)
    ]
    properties = [node.name for node in result.body if isinstance(node, ast.FunctionDef)]
    assert properties == [item.name for item in stage.outputs]
    assert all(hasattr(getattr(stages, result_name(stage)), name) for name in properties)


def test_results_come_apart_and_are_typed() -> None:
    result = api.dedup(TEXTS, max_rouge_l=0.7)
    rejected: api.Table[Rejected] = result.rejected
    kept, dropped = result
    assert [row["instruction"] for row in kept] == [TEXTS[0], TEXTS[2]]
    assert (rejected[0].reason, rejected[0].text) == ("similar", TEXTS[1])
    assert dropped == rejected
    assert result.rows("rejected")[0]["reason"] == "similar"
    assert result.metrics["kept"] == 2


def test_rows_in_every_form_give_the_same(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "a", "instruction": "Sort a list of numbers.", "note": "mine"},
        {"id": "b", "instruction": "Name three rivers in Asia.", "note": None},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    given: list[api.Rows] = [
        rows,
        iter(rows),
        path,
        str(path),
        pandas.DataFrame(rows),
        datasets.Dataset.from_list(rows),
        api.dedup(rows).kept,
    ]
    for form in given:
        assert api.dedup(form).kept == rows
    assert api.dedup(rows, pool=["Sort the list of numbers."]).kept == rows[1:]


def test_tables_keep_every_column() -> None:
    table = api.dedup([{"instruction": "Sort."}, {"instruction": "Name a sea.", "by": "me"}]).kept
    assert set(table.to_pandas().columns) == {"id", "instruction", "by"}
    assert table.to_dataset().column_names == ["id", "instruction", "by"]
    objects = api.dedup(TEXTS).rejected
    assert list(objects.to_pandas()["reason"]) == ["similar"]


def test_a_file_of_rows_may_be_given_as_rows() -> None:
    """Where a parameter names a file, as ``seeds_uri`` does."""
    alpaca = [{"instruction": "Name a sea.", "input": None, "output": "The Red Sea."}]
    (seed,) = api.seed_ingest(seeds_uri=alpaca).seeds
    assert seed.instances[0].output == "The Red Sea."


def test_outputs_are_kept_where_they_are_wanted(tmp_path: Path) -> None:
    result = api.dedup(TEXTS, output_dir=tmp_path / "out")
    assert result.outputs["kept"] == tmp_path / "out" / "kept"
    assert (tmp_path / "out" / "provenance").is_file()


def test_an_engine_of_the_callers_answers_and_stays_open(tmp_path: Path) -> None:
    engine = Numbered()
    rows = [Instruction.make(text, (), 0, place, 0) for place, text in enumerate(TEXTS)]
    result = api.generate_instances(rows, engine=engine, split="none", output_dir=tmp_path)
    instances: api.Table[Instance] = result.instances
    assert [row.output for row in instances] == ["answer 0", "answer 1", "answer 2"]
    assert len(engine.asked) == 3
    assert engine.open
    provenance = json.loads((tmp_path / "provenance").read_text(encoding="utf-8"))
    assert provenance["params"]["engine"] == "given"
    assert provenance["params"]["model"] == "numbers-1"
    assert provenance["determinism"] == "exact"
    telemetry = json.loads((tmp_path / "telemetry").read_text(encoding="utf-8"))
    assert telemetry["engines"]["calls"] == engine.describe()


def test_another_engine_is_another_journal(tmp_path: Path) -> None:
    class Other(Numbered):
        def describe(self) -> dict[str, str]:
            return {"engine": "numbered", "model": "numbers-2"}

    asked = []
    for engine in (Numbered(), Numbered(), Other()):
        api.generate_instances(TEXTS[:1], engine=engine, split="none", work_dir=tmp_path)
        asked.append(len(engine.asked))
    assert asked == [1, 0, 1]


def test_every_stage_that_asks_takes_an_engine() -> None:
    engines = [Numbered() for _ in range(4)]
    api.generate_responses(TEXTS, engine=engines[0])
    api.evaluate(instances=1, engine=engines[1])
    api.generate_instructions(
        api.seed_ingest().seeds, target=1, max_requests=2, max_empty_rounds=1, engine=engines[2]
    )
    seed = {"instruction": "Name a sea.", "output": "The Red Sea."}
    api.seed_ingest(seeds_uri=[seed], classification="ask", engine=engines[3])
    assert [len(engine.asked) > 0 for engine in engines] == [True] * 4
    taking = [
        s.name for s in STAGES if "engine" in inspect.signature(getattr(api, s.name)).parameters
    ]
    assert len(taking) == 7, "the four above, generate_instances, and two that evolve"


def test_an_engine_is_refused_where_it_cannot_answer(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot apply the input 'adapter'"):
        api.generate_instances(TEXTS, adapter=tmp_path, engine=Numbered())
    with pytest.raises(ParameterError, match="no input or parameter 'engine'"):
        api.dedup_filter(TEXTS, engine=Numbered())  # type: ignore[call-arg]


def test_names_and_values_are_checked_as_on_the_command_line() -> None:
    with pytest.raises(ParameterError, match="max_rouge_l"):
        api.dedup(["Sort."], max_rouge_l=7.0)
    with pytest.raises(ParameterError, match="'max_rouge'; Did you mean 'max_rouge_l'"):
        api.dedup(["Sort."], max_rouge=0.7)  # type: ignore[call-arg]
    with pytest.raises(ParameterError, match="no output 'keep'; Did you mean 'kept'"):
        api.dedup(["Sort a list."]).rows("keep")
    with pytest.raises(ParameterError, match="a row is int"):
        api.dedup([1])  # type: ignore[list-item]
