"""What a command loads before it does anything: libraries that take seconds only where needed."""

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "transformers", "trl", "peft", "accelerate", "datasets", "pandas", "vllm", "kfp"}
SLOW = {"numpy", "matplotlib", "jinja2", "pyarrow", "huggingface_hub", "rich", "boto3"}
SHOW = """
import json, sys
from refine_af.cli import main
code = main(json.loads(sys.argv[1]))
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"code": code, "loaded": loaded}))
"""


def loaded(*words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", SHOW, json.dumps(words)], capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["code"] == 0
    return set(result["loaded"])


@pytest.mark.parametrize(
    "words",
    [("--help",), ("run", "--help"), ("train-ppo", "--help"), ("export", "--help"), ("--version",)],
    ids=" ".join,
)
def test_help_loads_nothing_that_takes_time(words: tuple[str, ...]) -> None:
    assert loaded(*words) & (HEAVY | SLOW) == set()


def test_a_plan_loads_no_framework() -> None:
    assert loaded("run", "--preset", "quickstart", "--dry-run") & HEAVY == set()


def test_the_python_api_loads_no_framework() -> None:
    code = "import sys, refine_af.api; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY == set()
