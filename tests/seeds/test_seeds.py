import json
import os
import re
import statistics
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import combinations, pairwise, permutations, product
from math import comb
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rapidfuzz.distance import LCSseq

ROOT = Path(__file__).resolve().parents[2]
SEEDS = ROOT / "seeds" / "seed_tasks.jsonl"
KEYS = ["id", "name", "instruction", "instances", "is_classification"]
MAX_ROUGE_L = 0.7
FORBIDDEN = re.compile(
    r"\b(images?|graphs?|pictures?|files?|maps?|draw|plot|go to)\b", re.IGNORECASE
)

Task = dict[str, Any]


def read_lines(path: Path) -> list[Task]:
    """Return the JSON objects of a JSON Lines file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@cache
def tasks() -> tuple[Task, ...]:
    """Return the shipped seed tasks."""
    return tuple(read_lines(SEEDS))


@cache
def by_name() -> dict[str, Task]:
    """Return the shipped seed tasks by their names."""
    return {task["name"]: task for task in tasks()}


def source(name: str) -> str:
    """Return the input of the named task."""
    text: str = by_name()[name]["instances"][0]["input"]
    return text


def answer(name: str) -> str:
    """Return the output of the named task."""
    text: str = by_name()[name]["instances"][0]["output"]
    return text


def words(text: str) -> list[str]:
    """Split a text at white space."""
    return text.split()


def sentences(text: str) -> int:
    """Count the sentences of a text that has no abbreviations."""
    return len(re.findall(r"[.!?](?=\s|$)", text))


def run(code: str) -> dict[str, Any]:
    """Execute Python code of the seed data and return its namespace."""
    namespace: dict[str, Any] = {}
    exec(code, namespace)  # noqa: S102  # our own data, reviewed with the repository
    return namespace


def rouge_tokens(text: str) -> list[str]:
    """Split a text the way rouge_score does without a stemmer."""
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).split()


def rouge_l(left: list[str], right: list[str]) -> float:
    """Return the ROUGE-L F1 of two token lists."""
    if not left or not right:
        return 0.0
    return 2 * LCSseq.similarity(left, right) / (len(left) + len(right))


def too_close_to(others: list[str]) -> list[tuple[str, str]]:
    """Return the (seed name, instruction) pairs that exceed the ROUGE-L bound."""
    outside = [(text, rouge_tokens(text)) for text in others]
    close = []
    for task in tasks():
        tokens = rouge_tokens(task["instruction"])
        close += [(task["name"], text) for text, o in outside if rouge_l(tokens, o) > MAX_ROUGE_L]
    return close


def public_instructions(name: str) -> list[str]:
    """Return the instructions of a Self-Instruct file, or skip the test without test data."""
    root = os.environ.get("REFINE_AF_TEST_DATA")
    if not root:
        pytest.skip("REFINE_AF_TEST_DATA is not set: no Self-Instruct data to compare with")
    return [row["instruction"] for row in read_lines(Path(root) / "self_instruct" / name)]


def test_lines_have_exactly_the_documented_keys_and_types() -> None:
    for task in tasks():
        assert list(task) == KEYS, task["id"]
        for key in ("id", "name", "instruction"):
            assert type(task[key]) is str, task["id"]
            assert task[key] == task[key].strip() != "", task["id"]
        assert type(task["is_classification"]) is bool, task["id"]
        assert type(task["instances"]) is list, task["id"]
        assert len(task["instances"]) == 1, task["id"]
        (instance,) = task["instances"]
        assert list(instance) == ["input", "output"], task["id"]
        assert type(instance["input"]) is str, task["id"]
        assert type(instance["output"]) is str, task["id"]
        assert instance["output"].strip(), task["id"]


def test_the_file_is_plain_utf8_json_lines() -> None:
    raw = SEEDS.read_bytes()
    expected = "".join(json.dumps(task, ensure_ascii=False) + "\n" for task in tasks())
    assert raw == expected.encode("utf-8")


def test_ids_are_consecutive_and_names_unique() -> None:
    assert [task["id"] for task in tasks()] == [f"seed_{i:03d}" for i in range(175)]
    assert len(by_name()) == 175
    for name in by_name():
        assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+){0,3}", name), name


def test_counts() -> None:
    assert len(tasks()) == 175
    assert sum(task["is_classification"] for task in tasks()) == 25
    without_input = sum(task["instances"][0]["input"] == "" for task in tasks())
    assert 50 <= without_input <= 65


def test_instruction_lengths() -> None:
    lengths = [len(words(task["instruction"])) for task in tasks()]
    assert min(lengths) >= 3
    assert max(lengths) <= 60
    assert 14 <= statistics.mean(lengths) <= 18


def test_instructions_avoid_what_the_pipeline_filters() -> None:
    for task in tasks():
        instruction = task["instruction"]
        assert not FORBIDDEN.search(instruction), task["id"]
        assert instruction[0].isalnum(), task["id"]
        assert not instruction.startswith("Write a program"), task["id"]


def test_classification_outputs_are_short_labels() -> None:
    for task in tasks():
        if task["is_classification"]:
            instance = task["instances"][0]
            assert instance["input"], task["id"]
            assert all(len(words(line)) <= 3 for line in instance["output"].splitlines())


def test_no_two_instructions_are_alike() -> None:
    tokens = [(task["name"], rouge_tokens(task["instruction"])) for task in tasks()]
    close = [(a, b) for (a, x), (b, y) in combinations(tokens, 2) if rouge_l(x, y) > MAX_ROUGE_L]
    assert close == []


@pytest.mark.parametrize(
    ("name", "count"),
    [("seed_tasks.jsonl", 175), ("user_oriented_instructions.jsonl", 252)],
)
def test_no_instruction_is_close_to_a_public_one(name: str, count: int) -> None:
    others = public_instructions(name)
    assert len(others) == count
    assert too_close_to(others) == []


# Spot checks: answers that can be computed are computed again.


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("shorten_notice", 1, 25),
        ("explain_inflation_teen", 1, 80),
        ("late_parcel_reply", 1, 89),
        ("product_blurb_kettle", 40, 50),
        ("villain_backstory", 65, 75),
        ("alliterative_slogan", 4, 4),
    ],
)
def test_word_limits(name: str, low: int, high: int) -> None:
    assert low <= len(words(answer(name))) <= high


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("exact_three_sentences", 3),
        ("story_six_sentences", 6),
        ("etymology_word", 2),
        ("worst_case_complexity", 2),
        ("offside_explained", 5),
        ("summary_one_line", 1),
    ],
)
def test_sentence_counts(name: str, count: int) -> None:
    assert sentences(answer(name)) == count


def test_forms_with_fixed_lines() -> None:
    assert len(answer("dialogue_lost_umbrella").splitlines()) == 8
    assert "".join(line[0] for line in answer("acrostic_river").splitlines()) == "RIVER"
    planets = words(answer("mnemonic_planets").splitlines()[0])
    assert "".join(word[0] for word in planets) == "MVEMJSUN"
    assert len({word[0].lower() for word in words(answer("alliterative_slogan"))}) == 1
    assert all(len(words(p)) < 60 for p in answer("opposing_paragraphs").split("\n\n"))
    assert len(answer("commit_message").splitlines()[0]) <= 50
    headlines = [line.split(": ", 1)[1] for line in answer("headline_options").splitlines()]
    assert [len(words(line)) <= 8 for line in headlines] == [True] * 3


def test_arithmetic() -> None:
    assert answer("prime_or_composite") == "composite"
    assert 221 == 13 * 17
    assert f"{120 * 0.85 * 1.08:.2f}" in answer("discount_then_tax")
    dice = [a + b >= 10 for a, b in product(range(1, 7), repeat=2)]
    assert sum(dice) * 6 == len(dice)
    assert "1/6" in answer("probability_two_dice")
    assert str(comb(9, 3)) in answer("committee_count")
    assert str(3 * comb(9, 3)) in answer("committee_count")
    data = [int(number) for number in source("median_and_mode").split(",")]
    assert f"= {statistics.mean(data):g}\n" in answer("median_and_mode")
    assert f"= {statistics.median(data)}\n" in answer("median_and_mode")
    assert f"Mode: {statistics.mode(data)} " in answer("median_and_mode")
    assert answer("binary_conversion") == f"Binary: {202:b}\nHexadecimal: {202:X}"
    assert f"{398 * 51:,}" in answer("estimate_without_calculator")
    assert "1,157.63" in answer("compound_interest_compare")
    assert 1000 * 105**3 == 1157.625 * 100**3
    assert f"Total = {12 * 2.5 + 5 * 18.4 + 3 * 11.9:.2f} " in answer("invoice_check")
    total = sum(n for n in range(1, 21) if n % 3 == 0 or n % 5 == 0)
    assert f"the value is {total}." in answer("explain_list_expression")


def test_local_time_of_arrival() -> None:
    departure = datetime(2024, 7, 1, 22, 15, tzinfo=UTC) - timedelta(hours=1)
    arrival = departure + timedelta(hours=9, minutes=50) - timedelta(hours=3)
    assert f"at {arrival:%H:%M} local time on the next day" in answer("time_zone_call")


def test_sorting_and_puzzles() -> None:
    rows = [line.strip("|").split("|") for line in answer("sort_products_table").splitlines()[2:]]
    prices = [float(row[1]) for row in rows]
    assert prices == sorted(prices)
    assert prices == pytest.approx([2.4, 1.4 / 0.4, 1.9 / 0.5, 2.1 / 0.25])
    towns = {town.strip().capitalize() for town in source("deduplicate_contacts").split(",")}
    assert answer("deduplicate_contacts").splitlines() == sorted(towns)
    for line in answer("anagram_solver").splitlines():
        left, right = line.split(" -> ")
        assert sorted(left) == sorted(right)
    ladder = answer("word_ladder").split(", ")
    assert [ladder[0], ladder[-1]] == source("word_ladder").split(", ")
    for old, new in pairwise(ladder):
        assert sum(a != b for a, b in zip(old, new, strict=True)) == 1
    queues = [
        queue
        for queue in permutations(["Jon", "Mira", "Lea", "Omar"])
        if queue.index("Mira") == queue.index("Jon") + 1
        and queue[0] != "Lea"
        and queue[-1] == "Omar"
    ]
    assert [f"Order: {', '.join(queue)}." for queue in queues] == [
        answer("seating_logic").splitlines()[-1]
    ]


def test_extracted_records_are_json() -> None:
    settings = json.loads(answer("key_values_to_json"))
    assert settings == {
        "host": "db.example.org",
        "port": 5432,
        "retries": 3,
        "timeout": 2.5,
        "tls": True,
    }
    assert list(json.loads(answer("extract_order_fields"))) == [
        "order",
        "item",
        "quantity",
        "delivery",
    ]
    assert json.loads(answer("product_attributes"))["colour"] is None


def test_python_answers_run() -> None:
    merge = run(answer("merge_intervals"))["merge_intervals"]
    assert merge([(5, 6), (1, 3), (2, 4), (6, 8), (10, 11)]) == [(1, 4), (5, 8), (10, 11)]
    average = run(answer("repair_average_function").split("\n\n")[0])["average"]
    assert average([]) is None
    assert average([1, 2]) == 1.5
    batched = run(answer("batched_generator").split("\n\nThe function")[0])["batched"]
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
    before = run(source("early_returns"))["shipping"]
    after = run(answer("early_returns"))["shipping"]
    orders = [SimpleNamespace(total=t, express=e) for t in (10, 50, 60) for e in (True, False)]
    for order in [None, *orders]:
        assert before(order) == after(order)


def test_regular_expression_accepts_the_minutes_of_a_day() -> None:
    pattern = re.compile(answer("clock_time_regex").splitlines()[0])
    assert all(pattern.match(f"{m // 60:02d}:{m % 60:02d}") for m in range(24 * 60))
    assert not any(pattern.match(text) for text in ("7:45", "24:00", "12:60", "012:00", ""))


def test_openings_vary() -> None:
    openings = Counter(words(task["instruction"])[0] for task in tasks())
    assert max(openings.values()) <= 10
    assert len(openings) >= 80
