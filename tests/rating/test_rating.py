"""Rating sheets there and back, agreement by hand, and a judge that is asked in both orders."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from refine_af import cli
from refine_af.contracts.errors import DataError, DependencyError
from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.records import Prediction
from refine_af.engines.text import Completion, Determinism, Request, Sampling
from refine_af.evaluation.task_sets import load_tasks
from refine_af.evaluation.tasks import EvaluationTask, TaskInstance
from refine_af.rating.agreement import agreement
from refine_af.rating.judge import judge
from refine_af.rating.pages import sheet_csv, sheet_html
from refine_af.rating.ratings import read_key, read_ratings, result
from refine_af.rating.sheet import Item, make_sheet
from refine_af.statistics import cohens_kappa, spearman

HOSTILE = ('=HYPERLINK("http://x","y")', "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "\uff1d1")


def task(name: str) -> EvaluationTask:
    instance = TaskInstance(f"{name}-0", "an input", ("gold",))
    return EvaluationTask(name, "Mail", f"Do {name}.", "default", (instance,))


def prediction(name: str, answer: str) -> Prediction:
    return Prediction(
        id=f"{name}{answer}",
        task=name,
        category="Mail",
        instance=f"{name}-0",
        prediction=answer,
        references=("gold",),
        rouge_l=0.0,
        exact_match=0.0,
    )


TASKS = [task(f"t{number}") for number in range(12)]
ARMS = {
    arm: [prediction(item.name, f"{arm} wrote {item.name}") for item in TASKS]
    for arm in ("rl", "baseline")
}


def test_sheet_holds_every_answer_once_in_an_order_that_hides_the_arm() -> None:
    items = make_sheet(TASKS, ARMS, seed=3)
    assert sorted(item.answer for item in items) == sorted(
        row.prediction for rows in ARMS.values() for row in rows
    )
    arms = [item.arm for item in items]
    assert arms != sorted(arms)
    assert "rl" in arms[:8]
    assert "baseline" in arms[:8]
    assert make_sheet(TASKS, ARMS, seed=3) == items
    assert [item.id for item in make_sheet(TASKS, ARMS, seed=4)] != [item.id for item in items]
    page = sheet_csv(items) + sheet_html(items)
    assert '"baseline"' not in page.replace("baseline wrote", "")


def test_a_sample_takes_whole_questions() -> None:
    items = make_sheet(TASKS, ARMS, seed=3, count=5)
    assert len(items) == 10
    assert len({item.task for item in items}) == 5


def test_an_arm_without_an_answer_is_refused() -> None:
    with pytest.raises(DataError, match="arm 'rl' has no answer to instance 't11-0'"):
        make_sheet(TASKS, {"rl": ARMS["rl"][:-1]}, seed=1)


def test_no_cell_is_a_formula_and_no_text_is_markup() -> None:
    texts = [*HOSTILE, "<script>x</script>", "a\u202eb"]
    items = [Item(f"q{n}", text, text, text, "t", "i", "rl") for n, text in enumerate(texts)]
    rows = list(csv.reader(io.StringIO(sheet_csv(items), newline="")))
    assert rows[0] == ["item", "instruction", "input", "answer", "rating", "comment"]
    for row in rows[1 : len(HOSTILE) + 1]:
        assert all(cell.startswith("'") for cell in row[1:4])
    page = sheet_html(items)
    assert page.count("<script>") == 1
    assert "\u202e" not in page


def test_kappa_of_the_textbook_example() -> None:
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: observed 0.7, chance 0.5
    first = ["y"] * 25 + ["n"] * 25
    second = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert cohens_kappa(first, second) == pytest.approx(0.4)
    assert cohens_kappa(["y", "y"], ["y", "y"]) is None


def test_spearman_by_hand_with_ties() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1.0)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    # ranks 1.5 1.5 3 against 1 2 3: cross 1.5, spreads 1.5 and 2
    assert spearman([5, 5, 9], [1, 2, 3]) == pytest.approx(1.5 / (1.5 * 2) ** 0.5)
    assert spearman([1, 1], [1, 2]) is None


def test_agreement_joins_good_levels() -> None:
    found = agreement(list("AABBCD"), list("ABABDC"))
    assert found.items == 6
    assert found.equal == pytest.approx(2 / 6)
    assert found.kappa_good == pytest.approx(1.0)


def write_rated(path: Path, rows: Sequence[tuple[str, str]], separator: str = ",") -> Path:
    lines = [separator.join(("rating", "item")), *(separator.join((b, a)) for a, b in rows)]
    path.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8")
    return path


def test_there_and_back_through_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        {
            "id": name,
            "motivation_app": "Mail",
            "instruction": f"Do {name}.",
            "instances": [{"input": "", "output": "gold"}],
        }
        for name in ("t0", "t1", "t2")
    ]
    write_rows(tmp_path / "tasks.jsonl", lines)
    for arm, rows in ARMS.items():
        write_rows(tmp_path / arm, rows[:3])
    named = [f"--predictions={arm}={tmp_path / arm}" for arm in ARMS]
    words = ["rating-sheet", "--tasks", str(tmp_path / "tasks.jsonl"), *named]
    assert cli.main([*words, "--output", str(tmp_path / "sheet")]) == 0
    key = read_key(tmp_path / "sheet" / "key.json")
    level = {("rl", "t0"): "A", ("rl", "t1"): "B", ("rl", "t2"): "C"}
    level |= {("baseline", "t0"): "C", ("baseline", "t1"): "B", ("baseline", "t2"): "D"}
    ann = [(item, level[row["arm"], row["task"]]) for item, row in key.items()]
    ben = [
        (item, one if row["task"] != "t2" else "")
        for (item, one), row in zip(ann, key.values(), strict=True)
    ]
    write_rated(tmp_path / "ann.csv", ann)
    write_rated(tmp_path / "ben.csv", ben, ";")
    capsys.readouterr()
    words = ["read-ratings", "--key", str(tmp_path / "sheet" / "key.json")]
    assert cli.main([*words, str(tmp_path / "ann.csv"), str(tmp_path / "ben.csv")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "human ratings"
    assert found["rated"] == {"ann": 6, "ben": 4}
    assert found["arms"]["rl"]["ratings"] == {"A": 2, "B": 2, "C": 1, "D": 0}
    assert found["arms"]["rl"]["share_a_b"] == 0.8
    pair = found["pairs"]["baseline against rl"]
    assert pair == {"wins": 0, "ties": 1, "losses": 2, "not_rated_alike": 0}
    assert found["agreement"]["ann and ben"]["kappa"] == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item,rating\nq1,E\n", "answer 1: rating 'E'; it must be A, B, C, D or empty"),
        ("item,rating\nq9,A\n", "item 'q9' is not in the key"),
        ("item,rating\nq1,A\nq1,A\n", "answer 2: item 'q1' occurs twice"),
        ("name,rating\nq1,A\n", "'item' and 'rating' are needed"),
    ],
)
def test_wrong_ratings_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_ratings(tmp_path / "r.csv", {"q1": {"arm": "rl", "task": "t", "instance": "i"}})


def test_raters_who_saw_different_answers_decide_no_pair() -> None:
    key = {
        "q1": {"arm": "rl", "task": "t", "instance": "i"},
        "q2": {"arm": "baseline", "task": "t", "instance": "i"},
    }
    found = result({"ann": {"q1": "A"}, "ben": {"q2": "D"}}, key)
    assert found["pairs"]["baseline against rl"]["not_rated_alike"] == 1


class Judge:
    """Prefers the longer answer, or always the one that is shown first."""

    determinism: Determinism = "exact"

    def __init__(self, by_place: bool) -> None:
        self.by_place = by_place

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return one constrained choice per request."""
        assert sampling.choices == ("1", "2", "0")
        return [Completion(one.id, self._choice(one.prompt), "stop", 1, 1) for one in requests]

    def _choice(self, prompt: str) -> str:
        lines = [line for line in prompt.split("\n") if " wrote " in line]
        longer = "1" if len(lines[0]) > len(lines[1]) else "2"
        return "1" if self.by_place else longer

    def describe(self) -> dict[str, str]:
        """Name the judge."""
        return {"model": "longer"}

    def close(self) -> None:
        """Nothing to free."""


def test_a_judge_counts_only_when_the_order_does_not_matter() -> None:
    items = make_sheet(TASKS, ARMS, seed=1)
    fair = judge(items, "baseline", "rl", Judge(by_place=False))
    assert (fair["wins"], fair["ties"], fair["losses"]) == (12, 0, 0)
    assert fair["chose_the_answer_shown_first"] == 12
    biased = judge(items, "baseline", "rl", Judge(by_place=True))
    assert biased["changed_with_the_order"] == 12
    assert (biased["wins"], biased["losses"]) == (0, 0)
    assert "not a human rating" in biased["kind"]


def test_user_oriented_tasks_are_read_in_their_own_shape(tmp_path: Path) -> None:
    row = {"id": "u0", "motivation_app": "", "instruction": "Do.", "instances": []}
    path = tmp_path / "u.jsonl"
    write_rows(path, [row])
    with pytest.raises(DataError, match="field 'instances' must be a list of objects"):
        load_tasks([path])
    write_rows(path, [{**row, "instances": [{"input": "x", "output": "y"}]}])
    (found,) = load_tasks([path]).tasks
    assert (found.name, found.category, found.definition) == ("u0", "user oriented", "Do.")
    assert found.instances == (TaskInstance("u0-0", "x", ("y",)),)


class OddJudge(Judge):
    """Answers as servers do that hold no model to choices; some pairs get no answer."""

    def __init__(self, *words: str) -> None:
        super().__init__(by_place=False)
        self.words = words

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return the choice in other words; for the word ``none`` nothing usable."""
        found = []
        for number, one in enumerate(super().generate(requests, sampling)):
            word = self.words[number // 2 % len(self.words)]
            if word == "none":
                found.append(Completion(one.id, "", "error", 1, 0, error="filter", unusable=True))
            else:
                found.append(Completion(one.id, word.format(one.text), "stop", 1, 1))
        return found


def test_a_judge_reads_other_words_and_counts_what_fails() -> None:
    items = make_sheet(TASKS, ARMS, seed=1)
    words = OddJudge(" {0}.", "**{0}**", "none")
    found = judge(items, "baseline", "rl", words)
    assert (found["wins"], found["failed"], found["pairs"]) == (8, 4, 12)
    assert found["why_failed"] == {"filter": 8}
    rambling = judge(items, "baseline", "rl", OddJudge("{0}", "as you like"))
    assert rambling["failed"] == 6
    assert next(iter(rambling["why_failed"])).startswith("the verdict is 'as you like'")


def test_a_judge_without_any_verdict_is_a_failure() -> None:
    items = make_sheet(TASKS, ARMS, seed=1)
    with pytest.raises(DependencyError, match="no pair got a verdict; most often"):
        judge(items, "baseline", "rl", OddJudge("none"))
