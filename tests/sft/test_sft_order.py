import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.contracts.errors import ParameterError
from refine_af.sft.order import tokens_after_steps, training_order
from refine_af.sft.params import SFTParams


@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 5))
def test_each_epoch_reads_every_row_once(count: int, epochs: int, seed: int) -> None:
    order = training_order(count, epochs=epochs, max_steps=0, batch_size=4, seed=seed)
    assert len(order) == count * epochs
    for start in range(0, len(order), count):
        assert sorted(order[start : start + count]) == list(range(count))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    order = training_order(50, epochs=2, max_steps=0, batch_size=4, seed=1)
    assert order[:50] != order[50:]
    assert order != training_order(50, epochs=2, max_steps=0, batch_size=4, seed=2)


def test_max_steps_reads_full_batches_and_starts_as_the_longer_run_does() -> None:
    short = training_order(5, epochs=1, max_steps=3, batch_size=4, seed=1)
    assert len(short) == 12
    assert short == training_order(5, epochs=9, max_steps=7, batch_size=4, seed=1)[:12]


def test_half_an_epoch_reads_half_the_rows() -> None:
    assert len(training_order(9, epochs=0.5, max_steps=0, batch_size=4, seed=1)) == 4
    assert len(training_order(1, epochs=0.1, max_steps=0, batch_size=4, seed=1)) == 1


def test_tokens_are_summed_by_step() -> None:
    assert tokens_after_steps([2, 0, 1], [5, 7, 11], 2) == [16, 23]


@pytest.mark.parametrize(
    ("batch", "asked", "pieces"), [(16, 0, 1), (17, 0, 17), (24, 0, 2), (128, 0, 8), (128, 4, 4)]
)
def test_a_batch_is_cut_into_the_fewest_equal_pieces(batch: int, asked: int, pieces: int) -> None:
    assert SFTParams(batch_size=batch, gradient_accumulation=asked).pieces() == pieces


def test_settings_that_cannot_work_are_refused_by_name() -> None:
    with pytest.raises(ParameterError, match=r"batch_size is 10; .* gradient_accumulation"):
        SFTParams(batch_size=10, gradient_accumulation=4)
    with pytest.raises(ParameterError, match=r"method is 'qlora'; .* device is 'cpu'"):
        SFTParams(method="qlora", device="cpu")
    with pytest.raises(ParameterError, match="batch_size is 6; it must be a multiple of processes"):
        SFTParams(batch_size=6, processes=4)
