"""Answers decided all at once give the rows that deciding them one after the other gives."""

import random

import pytest

from refine_af.contracts.records import Instruction, Rejected, Seed
from refine_af.dedup import index
from refine_af.self_instruct import decide
from refine_af.self_instruct.decide import Answer, Decider
from refine_af.self_instruct.params import BootstrapParams

PHRASE = "name list write draw river mountain poem letter song city short long about the of"
WORDS = PHRASE.split()


def answers(count: int) -> list[Answer]:
    draw = random.Random(3)
    made = []
    for number in range(count):
        if number % 17 == 5:
            made.append(Answer(number, ("seed",), "", "error", "time out"))
            continue
        tasks = [" ".join(draw.choices(WORDS, k=draw.randint(2, 7))) for _ in range(4)]
        text = "\n".join([tasks[0], *(f"{n}. {task}" for n, task in enumerate(tasks[1:], 10))])
        made.append(Answer(number, ("seed",), text, "stop"))
    return made


def decider() -> Decider:
    text = "Write a short poem about the city"
    seed = Seed.make("1", "poem", text, (), is_classification=False, licence="MIT")
    return Decider([seed], BootstrapParams(), ["draw the long river of the mountain"])


@pytest.mark.parametrize("bulk", [1, 1 << 30], ids=["together", "by blocks"])
def test_all_at_once_gives_the_same_rows(bulk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_BULK", bulk)
    monkeypatch.setattr(decide, "_READ_TOGETHER", 7)
    given, one_by_one = answers(100), decider()
    expected = [one_by_one.decide([answer]) for answer in given]
    found = list(decider().decide_all(lambda: iter(given)))
    assert found == expected
    rows = [row for rows in found for row in rows]
    reasons = {row.reason for row in rows if isinstance(row, Rejected)}
    assert {"similar", "engine_error"} <= reasons
    assert sum(isinstance(row, Instruction) for row in rows) > 50
