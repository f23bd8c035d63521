from hypothesis import given
from hypothesis import strategies as st

from refine_af.contracts import randomness


def test_known_values_never_change() -> None:
    """A change here would change every data set that people have made."""
    assert randomness.derive(1, "prompt", 0) == 7025962092584758532
    assert randomness.sample(["a", "b", "c", "d"], 2, 7, "demo") == ["a", "c"]


def test_text_and_number_keys_differ() -> None:
    assert randomness.derive(1, "x", 1) != randomness.derive(1, "x", "1")


def test_keys_do_not_run_together() -> None:
    assert randomness.derive(1, "x", "ab", "c") != randomness.derive(1, "x", "a", "bc")


def test_uniform_is_uniform() -> None:
    draws = [randomness.uniform(3, "test", number) for number in range(4000)]
    assert min(draws) >= 0
    assert max(draws) < 1
    # the mean of 4,000 uniform draws has a standard error of 0.0046
    assert abs(sum(draws) / len(draws) - 0.5) < 0.02


@given(st.lists(st.integers(), unique=True, max_size=20), st.integers(0, 25), st.integers(0, 99))
def test_a_sample_is_a_prefix_of_the_shuffle(items: list[int], count: int, seed: int) -> None:
    drawn = randomness.sample(items, count, seed, "p")
    assert drawn == randomness.shuffled(items, seed, "p")[:count]
    assert sorted(randomness.shuffled(items, seed, "p")) == sorted(items)
