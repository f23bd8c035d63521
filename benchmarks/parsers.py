"""What reading a model's answers costs, here and in another checkout of this repository.

    python benchmarks/parsers.py --data DIR [--against CHECKOUT] [--repeats 7]

Answers are made of DIR's ``dedup/instructions_20k.jsonl.gz``: lists of seven instructions, blocks
of two examples, single pairs, and lines of class labels. Both checkouts read the same answers in
processes of their own that take turns; the fastest of each counts, since other work on the machine
only slows. The ratio is ours by theirs.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

READ = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from refine_af.self_instruct.parse_instances import parse_instances
from refine_af.self_instruct.parse_instructions import parse_instructions
def timed(read, answers):
    start = time.process_time()
    for answer in answers:
        read(answer)
    return (time.process_time() - start) / len(answers) * 1e6
readers = {
    "list of seven instructions": lambda answer: parse_instructions(answer, "stop"),
    "two examples": lambda answer: parse_instances(answer, "stop", "input_first"),
    "one pair": lambda answer: parse_instances(answer, "stop", "input_first"),
    "two class labels": lambda answer: parse_instances(answer, "stop", "output_first"),
}
answers = json.load(open(sys.argv[2]))
best = {form: min(timed(read, answers[form]) for _ in range(5)) for form, read in readers.items()}
print(json.dumps(best))
"""
PIECES = 7


def made_answers(data: Path) -> dict[str, list[str]]:
    """Return 2,000 answers of each form."""
    rows = gzip.decompress((data / "dedup" / "instructions_20k.jsonl.gz").read_bytes())
    texts = [json.loads(row)["text"] for row in rows.split(b"\n") if row]
    lists = [
        "\n".join(
            text if not place else f"{place + 9}. {text}"
            for place, text in enumerate(texts[first : first + PIECES])
        )
        for first in range(0, 2_000 * PIECES, PIECES)
    ]
    fours = [texts[first : first + 4] for first in range(0, 8_000, 4)]
    return {
        "list of seven instructions": lists,
        "two examples": [
            f"Example 1\nInput: {a}\nOutput: {b}\n\nExample 2\nInput: {c}\nOutput: {d}"
            for a, b, c, d in fours
        ],
        "one pair": [f"Input: {a}\nOutput: {b}" for a, b, _, _ in fours],
        "two class labels": [
            f"Class label: {a.split()[0]}\n{b}\nClass label: {c.split()[0]}\nInput: {d}"
            for a, b, c, d in fours
        ],
    }


def microseconds(checkout: Path, file: Path) -> dict[str, float]:
    """Return the time that one answer of each form takes."""
    command = [sys.executable, "-c", READ, str(checkout), str(file)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=file.parent)
    times: dict[str, float] = json.loads(done.stdout)
    return times


def main() -> None:
    """Print microseconds per answer, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the shared data's folder")
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    sides = [Path(__file__).resolve().parent.parent]
    if options.against:
        sides.append(options.against.resolve())
    best: list[dict[str, float]] = [{} for _ in sides]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answers.json"
        file.write_text(json.dumps(made_answers(options.data)), encoding="utf-8")
        for _ in range(options.repeats):
            for side, times in zip(sides, best, strict=True):
                for form, spent in microseconds(side, file).items():
                    times[form] = min(spent, times.get(form, spent))
    for form, ours in best[0].items():
        theirs = f" | {best[1][form]:.2f} | {ours / best[1][form]:.2f}" if options.against else ""
        print(f"{form} | {ours:.2f}{theirs}")


if __name__ == "__main__":
    main()
