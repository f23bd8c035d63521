"""A full memory halves the microbatch and repeats the step: the same gradient, no bug."""

from pathlib import Path
from typing import Any

import pytest
import torch
from test_ppo_update import ACTIONS, PROMPTS, SCORES
from tiny_ppo import run, tiny_model, tiny_settings

from refine_af.contracts.errors import MemoryShortageError
from refine_af.ppo import update
from refine_af.ppo.experience import experience, forward_outputs
from refine_af.ppo.padding import Batch
from refine_af.ppo.passes import microbatch_rows
from refine_af.ppo.policy import Evaluation, Policy
from refine_af.ppo.update import accumulate_gradient, rehearse
from refine_af.storage.journal import MemoryJournal


def shrink(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Let passes of more rows than ``most`` run out of memory, and note the rows of each pass."""
    seen: list[int] = []
    original = Policy.forward

    def forward(policy: Policy, batch: Batch, **options: Any) -> Evaluation:  # noqa: ANN401
        rows = batch.tokens.shape[0]
        seen.append(rows)
        if rows > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.95 GiB.")
        return original(policy, batch, **options)

    monkeypatch.setattr(Policy, "forward", forward)
    return seen


def gradients(policy: Policy) -> list[torch.Tensor]:
    return [one.grad.clone() for one in policy.trainable().values() if one.grad is not None]


def forget_gradients(policy: Policy) -> None:
    for weight in policy.trainable().values():
        weight.grad = None


def test_the_step_is_repeated_with_the_same_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    options = tiny_settings(minibatch=5, microbatch=5)
    policy = Policy(tiny_model(), options)
    outputs = forward_outputs(policy, PROMPTS, ACTIONS, 1, options)
    known = experience(PROMPTS, ACTIONS, outputs, SCORES, 0.1, options)
    accumulate_gradient(policy, known, range(5), options)
    expected = gradients(policy)
    forget_gradients(policy)
    passes = microbatch_rows(options)
    # The second pass of two rows runs out after the first has added its gradient.
    calls = shrink(monkeypatch, 2)
    accumulate_gradient(policy, known, range(5), options, passes=passes)
    assert calls == [5, 2, 2, 1]
    assert (passes.count, passes.halvings) == (2, 1)
    for one, other in zip(gradients(policy), expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_what_a_failed_try_added_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    options = tiny_settings(minibatch=5, microbatch=3)
    policy = Policy(tiny_model(), options)
    outputs = forward_outputs(policy, PROMPTS, ACTIONS, 1, options)
    known = experience(PROMPTS, ACTIONS, outputs, SCORES, 0.1, options)
    accumulate_gradient(policy, known, range(5), options)
    expected = gradients(policy)
    forget_gradients(policy)
    original, calls = update.losses, [0]

    def losses(*given: Any) -> Any:  # noqa: ANN401
        calls[0] += 1
        if calls[0] == 2:  # the second pass of the first try: the first has added its part
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(*given)

    monkeypatch.setattr(update, "losses", losses)
    accumulate_gradient(policy, known, range(5), options)
    assert calls[0] > 2
    for one, other in zip(gradients(policy), expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_a_run_goes_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = tiny_settings(updates=1, microbatch=4)
    whole = run(MemoryJournal(), tmp_path / "whole", options)
    shrink(monkeypatch, 2)
    halved = run(MemoryJournal(), tmp_path / "halved", options)
    assert whole.metrics[0]["microbatch"] == 4
    assert halved.metrics[0]["microbatch"] == 2
    for name, value in whole.metrics[0].items():
        if name not in ("microbatch", "ratio_first"):
            assert halved.metrics[0][name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    assert "memory ran out; continuing with 2 rows at once" in capsys.readouterr().err


def test_one_row_too_many_ends_with_65_and_names_what_to_lower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shrink(monkeypatch, 0)
    with pytest.raises(MemoryShortageError, match="lower max_new_tokens") as caught:
        run(MemoryJournal(), tmp_path, tiny_settings(updates=1))
    assert caught.value.exit_code == 65


def test_the_rehearsal_takes_the_longest_prompts_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = tiny_settings(microbatch=4)
    policy = Policy(tiny_model(), options)
    before = {name: one.clone() for name, one in policy.trainable().items()}
    passes = microbatch_rows(options)
    seen = shrink(monkeypatch, 2)
    rehearse(policy, PROMPTS, options, passes)
    assert seen[0] == 4
    assert passes.count == 2
    for name, one in policy.trainable().items():
        assert one.grad is None
        assert torch.equal(one, before[name])


def test_sharded_weights_cannot_repeat_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    options = tiny_settings(microbatch=4)
    policy = Policy(tiny_model(), options)
    policy.sharded = True
    shrink(monkeypatch, 2)
    with pytest.raises(MemoryShortageError, match="lower microbatch to 2"):
        forward_outputs(policy, PROMPTS, ACTIONS, 1, options)
