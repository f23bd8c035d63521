"""Cases of public bug reports, each through the command line and each by itself.

The small inputs lie in the folder ``cases`` beside REFINE_AF_TEST_DATA; tests of each kind, with
inputs of their own, stand where the kind belongs.
"""

import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from refine_af.cli import main
from refine_af.contracts.jsonl import read_rows
from refine_af.contracts.records import Seed
from refine_af.self_instruct.parse_instructions import parse_instructions
from refine_af.storage.manifest import digest_directory

DATA = os.environ.get("REFINE_AF_TEST_DATA")
CASES = Path(DATA).parent / "cases" if DATA else Path("nowhere")
pytestmark = pytest.mark.skipif(
    not CASES.is_dir(), reason="REFINE_AF_TEST_DATA has no folder 'cases' beside it"
)
SEEDS = {
    "alpaca_bom.jsonl": 1,
    "alpaca_null_input.jsonl": 2,
    "array.json": 2,
    "bom.jsonl": 2,
    "extra_instance_key.jsonl": 2,
    "null_input.jsonl": 1,
    "seeds.jsonl.gz": 2,
    "sharegpt.jsonl": 1,
    "cols_extra_parents.jsonl": 1,
}
PLAIN = "{{ instruction }}{% if input %}\n\n{{ input }}{% endif %}"


@pytest.fixture(scope="module")
def kinds() -> Any:  # noqa: ANN401  a module of the data
    spec = importlib.util.spec_from_file_location("made_kinds", CASES / "tiny_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ingest(folder: Path, seeds: Path) -> int:
    return main(["seed-ingest", "--seeds-uri", str(seeds), "--outputs-dir", str(folder)])


@pytest.mark.parametrize(("name", "count"), SEEDS.items())
def test_rows_as_people_have_them_are_seeds(name: str, count: int, tmp_path: Path) -> None:
    assert ingest(tmp_path, CASES / name) == 0
    assert len(read_rows(tmp_path / "seeds", Seed)) == count


def test_an_integer_of_4400_digits_is_named_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (CASES / "hugeint.sh").read_text(encoding="utf-8")
    row = text.split("print('")[1].split("'+'9'")[0].replace('\\"', '"') + "9" * 4400 + "}"
    (tmp_path / "hugeint.jsonl").write_text(row, encoding="utf-8")
    assert ingest(tmp_path / "out", tmp_path / "hugeint.jsonl") == 65
    assert "an integer has more than 4300 digits; write it as text" in capsys.readouterr().err


@pytest.mark.parametrize("index", [0, 1])
def test_a_list_with_a_preamble_and_other_marks_is_read(index: int) -> None:
    text = json.loads((CASES / "instruction_completions.json").read_text(encoding="utf-8"))[index]
    wanted = [
        "Write a short poem about the sea in autumn.",
        "Explain how a bicycle stays upright.",
        "List five uses for old newspapers.",
        "Name three rivers of Europe please.",
    ]
    pieces = parse_instructions(text, "stop")
    assert [piece.text for piece in pieces if not piece.reason] == wanted[: 2 if index == 0 else 4]
    assert [piece.reason for piece in pieces if piece.reason] == ["chatter"] * (index == 0)


def train(folder: Path, model: Path, rows: str, *options: str) -> Path:
    values = {"instances": CASES / rows, "model": model, "outputs-dir": folder, "device": "cpu"}
    values |= {"batch-size": 2, "max-length": 200}
    given = [f"--{name}={value}" for name, value in values.items()]
    assert main(["train-sft", *given, *options]) == 0
    return folder / "adapter"


def scores(folder: Path, model: Path, adapter: Path, tasks: str, *options: str) -> dict[str, float]:
    values = {"model": model, "adapter": adapter, "tasks-uri": CASES / tasks, "max-tokens": 60}
    values |= {"outputs-dir": folder}
    given = [f"--{name}={value}" for name, value in values.items()]
    assert main(["evaluate", *given, *options]) == 0
    found: dict[str, float] = json.loads((folder / "metrics").read_text(encoding="utf-8"))
    return found


LEARN = ("--method=full", "--max-steps=120", "--learning-rate=0.005")


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("qwen-base-chatml", "two_rows_instances.jsonl"),
        ("qwen-think", "two_rows_instances.jsonl"),
        ("llama2-chat", "html_row_instances.jsonl"),
    ],
)
def test_a_chat_model_learns_its_rows_and_stops(
    kind: str,
    rows: str,
    kinds: Any,  # noqa: ANN401
    tmp_path: Path,
) -> None:
    kinds.make(kind, tmp_path / kind)
    tuned = train(tmp_path / "tuned", tmp_path / kind, rows, "--template=chat", *LEARN)
    tasks = "html_task.jsonl" if rows.startswith("html") else "two_tasks.jsonl"
    options = ("--chat=yes", f"--prompt={PLAIN}")
    found = scores(tmp_path / "scores", tmp_path / kind, tuned, tasks, *options)
    assert found["rouge_l"] == 100.0
    assert found["exact_match"] == 100.0


def test_a_model_that_was_replaced_in_place_is_trained_again(
    kinds: Any,  # noqa: ANN401
    tmp_path: Path,
) -> None:
    for kind in ("llama", "gpt2"):
        kinds.make(kind, tmp_path / kind)
    mine = tmp_path / "mine"
    digests = []
    for kind in ("llama", "gpt2"):
        shutil.rmtree(mine, ignore_errors=True)
        shutil.copytree(tmp_path / kind, mine)
        work = f"--work-dir={tmp_path / 'work'}"
        options = ("--max-steps=1", work)
        tuned = train(tmp_path / f"of-{kind}", mine, "two_rows_instances.jsonl", *options)
        digests.append(digest_directory(tuned))
    assert digests[0] != digests[1]


def test_a_model_that_was_converted_since_is_evaluated(
    kinds: Any,  # noqa: ANN401
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kinds.make("bin-only", tmp_path / "model")
    command = ["evaluate", f"--model={tmp_path / 'model'}", "--max-tokens=8"]
    command += [f"--tasks-uri={CASES / 'two_tasks.jsonl'}", f"--outputs-dir={tmp_path / 'scores'}"]
    command += [f"--work-dir={tmp_path / 'work'}"]
    assert main(command) == 65
    assert "safetensors" in capsys.readouterr().err
    kinds.make("llama", tmp_path / "model")
    (tmp_path / "model" / "pytorch_model.bin").unlink()
    assert main(command) == 0
