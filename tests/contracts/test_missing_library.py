"""A library that is not there is named, with what to install; a module of ours is a bug."""

import subprocess
import sys
from pathlib import Path

import pytest

from refine_af.contracts.errors import MissingLibraryError, missing_library
from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.records import Instruction

WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {library!r}:
            raise ModuleNotFoundError("No module named " + repr({library!r}), name={library!r})

sys.meta_path.insert(0, Absent())
from refine_af.cli import main

main()
"""
"""The command line on a machine where one library is not installed."""


def message(error: ImportError) -> str:
    return str(missing_library(error, "the page", "install it"))


@pytest.mark.parametrize(
    ("stage", "given", "library"),
    [
        ("generate-responses", "instructions", "torch"),
        ("generate-responses", "instructions", "safetensors"),
        ("generate-responses", "instructions", "tokenizers"),
        ("train-sft", "instances", "trl"),
        ("train-operator-policy", "seeds", "torch"),
    ],
)
def test_a_stage_names_the_library_that_is_missing(
    stage: str, given: str, library: str, tmp_path: Path
) -> None:
    write_rows(tmp_path / "rows", [Instruction.make("Sum it up.", (), 0, 0, 0)])
    command = [sys.executable, "-c", WITHOUT.format(library=library), stage, f"--{given}"]
    done = subprocess.run(
        [*command, str(tmp_path / "rows"), "--outputs-dir", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.rstrip("\n").rpartition("\n")[2]
    assert f" needs {library}, which is not installed here; pip install" in last
    assert "refine-af[train]" in last
    assert done.returncode == MissingLibraryError.exit_code
    assert "Traceback" not in done.stderr


def test_a_library_that_is_there_and_broken_says_how() -> None:
    error = ImportError("cannot import name 'x'\nfrom 'fast'", name="fast")
    assert message(error) == (
        "the page needs fast, which cannot be imported here (cannot import name 'x' from 'fast');"
        " install it"
    )


def test_the_library_behind_a_failed_import_is_named() -> None:
    outer = ModuleNotFoundError("Could not import module 'Model'")
    outer.__cause__ = ModuleNotFoundError("No module named 'inner'", name="inner")
    assert message(outer) == "the page needs inner, which is not installed here; install it"


def test_a_module_of_this_package_is_a_bug() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"refine_af\.gone"):
        message(ModuleNotFoundError("No module named 'refine_af.gone'", name="refine_af.gone"))
