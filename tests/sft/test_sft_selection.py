from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from tiny_sft import instance

from refine_af.contracts.records import Instance, Pair, Seed
from refine_af.sft.selection import Arm, choose, seed_rows


def arm(*cells: tuple[str, bool]) -> Arm:
    """Return an arm of (instruction, fits) cells; the n-th row of an instruction is sample n."""
    counts: Counter[str] = Counter()
    rows: list[Instance] = []
    for parent, _ in cells:
        rows.append(instance(1, f"{parent} {counts[parent]}", parent=parent, sample=counts[parent]))
        counts[parent] += 1
    return Arm(rows, [fits for _, fits in cells])


def test_without_other_arms_every_fitting_row_is_taken_in_the_order_of_the_file() -> None:
    kept, reasons = choose([arm(("b", True), ("a", False), ("c", True))], 0)
    assert kept == [0, 2]
    assert reasons == {1: "too_long"}


def test_an_instruction_is_taken_as_often_as_in_the_arm_that_holds_it_least() -> None:
    own = arm(("a", True), ("a", True), ("a", True), ("b", True))
    other = arm(("b", True), ("a", True), ("a", False), ("a", True))
    kept, reasons = choose([own, other], 0)
    # a: places 0 and 1 of own and ranks 0 + 1; b: ranks 1 + 0; the tie goes to the lower id.
    assert kept == [0, 1, 3]
    assert reasons == {2: "unmatched"}


def test_the_limit_counts_rows_and_keeps_the_first() -> None:
    kept, reasons = choose([arm(("a", True), ("b", True), ("c", True))], 2)
    assert kept == [0, 1]
    assert reasons == {2: "over_limit"}


def test_the_limit_takes_every_instruction_once_before_any_twice() -> None:
    cells = [(name, True) for name in "aaabbbc"]
    kept, reasons = choose([arm(*cells)], 4)
    assert kept == [0, 1, 3, 6]
    assert set(reasons) == {2, 4, 5}
    assert set(choose([arm(*cells)], 5)[0]) > set(kept), "a larger limit holds the smaller set"


def test_a_row_that_is_too_long_in_the_other_arm_is_unmatched_here() -> None:
    kept, reasons = choose([arm(("a", True), ("b", True)), arm(("a", False), ("b", True))], 0)
    assert kept == [1]
    assert reasons == {0: "unmatched"}


CELLS = st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=12)


@given(st.lists(CELLS, min_size=2, max_size=3), st.integers(0, 6))
def test_every_arm_takes_the_same_instructions_in_the_same_order(
    cells: list[list[tuple[str, bool]]], limit: int
) -> None:
    arms = [arm(*one) for one in cells]
    taken = []
    for number in range(len(arms)):
        turned = [arms[number], *arms[:number], *arms[number + 1 :]]
        kept, reasons = choose(turned, limit)
        assert sorted([*kept, *reasons]) == list(range(len(arms[number].rows)))
        assert all(arms[number].fits[place] for place in kept)
        taken.append([arms[number].rows[place].parents for place in kept])
    assert all(one == taken[0] for one in taken)


def test_seed_rows_hold_every_instance_under_its_seed() -> None:
    pairs = (Pair(input="", output="one"), Pair(input="x", output="two"))
    seed = Seed.make("s1", "n", "Do it.", pairs, False, "Apache-2.0")
    rows = seed_rows([seed])
    assert [(row.parents, row.input, row.output, row.sample) for row in rows] == [
        ((seed.id,), "", "one", 0),
        ((seed.id,), "x", "two", 1),
    ]
