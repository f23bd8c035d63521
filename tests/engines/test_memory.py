from collections.abc import Sequence

import pytest
import torch

from refine_af.contracts.errors import MemoryShortageError
from refine_af.engines.decode import decode
from refine_af.engines.memory import RowsAtOnce, out_of_memory, shortage
from refine_af.engines.scorers.checkpoint import in_batches
from refine_af.engines.text import Request, Sampling
from refine_af.engines.transformers_text import TransformersText


def full() -> torch.OutOfMemoryError:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (full(), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_a_full_memory(error: Exception, expected: bool) -> None:
    assert out_of_memory(error) is expected


def test_a_part_that_does_not_fit_is_cut_in_two_and_nothing_is_lost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done: list[int] = []

    def work(part: Sequence[int]) -> None:
        if len(part) > 2:
            raise full()
        done.extend(part)

    rows = RowsAtOnce(8, task="score_rewards", lower="batch_size")
    rows.run(range(7), work)
    assert done == list(range(7))
    assert (rows.count, rows.halvings) == (2, 2)
    assert (
        "score_rewards: memory ran out; continuing with 2 rows at once" in capsys.readouterr().err
    )


def test_one_row_that_does_not_fit_is_an_error_for_people() -> None:
    def work(_: Sequence[int]) -> None:
        raise full()

    with pytest.raises(MemoryShortageError, match=r"one row .*lower max_length") as caught:
        RowsAtOnce(2, task="train_sft", lower="max_length").run([1], work)
    assert caught.value.exit_code == 65


def test_other_errors_pass() -> None:
    def work(_: Sequence[int]) -> None:
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        RowsAtOnce(2, task="t", lower="x").run([1], work)


def test_the_error_of_a_stage_names_its_own_parameters() -> None:
    error = shortage(full(), "evaluate", {"engine_batch": 32, "max_tokens": 128, "seed": 1})
    assert "lower engine_batch (now 32), max_tokens (now 128)" in str(error)
    assert "seed" not in str(error)


def test_generation_goes_on_with_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TransformersText("builtin:fixture", batch_size=8)
    requests = [Request(str(row), f"{row} and", row) for row in range(8)]
    sampling = Sampling(max_tokens=4)
    expected = [one.text for one in engine.generate(requests, sampling)]
    sizes: list[int] = []

    def smaller(model, tokenizer, prompts, seeds, sampling):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        sizes.append(len(prompts))
        if len(prompts) > 2:
            raise full()
        return decode(model, tokenizer, prompts, seeds, sampling)

    monkeypatch.setattr("refine_af.engines.transformers_text.decode", smaller)
    assert [one.text for one in engine.generate(requests, sampling)] == expected
    assert sizes == [8, 4, 2, 2, 2, 2]


def test_scorers_go_on_with_smaller_batches() -> None:
    seen: list[list[int]] = []

    def score(indices: Sequence[int]) -> None:
        if len(indices) > 2:
            raise full()
        seen.append(list(indices))

    in_batches([5, 9, 7, 7, 1], 4, score)
    assert seen == [[1, 2], [3, 0], [4]]  # longest first, ties in order
