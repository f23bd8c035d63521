"""Coverage-guided fuzzing with atheris: ``python coverage_guided.py TARGET SECONDS [CORPUS]``.

atheris is in no requirements file; run it in an environment of its own
(``pip install atheris`` beside ``pip install -e .``). Inputs that find new code are added to the
folder CORPUS; a crash is left as ``crash-...`` in the working directory.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["refine_af"]):
    from targets import TARGETS

if __name__ == "__main__":
    name, seconds, *corpus = sys.argv[1:]
    folder = corpus or [str(Path(__file__).parent / "corpus" / name)]
    options = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, *folder], TARGETS[name])
    atheris.Fuzz()
