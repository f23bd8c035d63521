import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tiny_ppo import (
    PROMPTS,
    CentredShare,
    digests,
    letter_share,
    run,
    tiny_model,
    tiny_settings,
    tiny_tokenizer,
)

from refine_af.contracts.errors import (
    DataError,
    DependencyError,
    JournalMismatchError,
    ParameterError,
)
from refine_af.ppo.episodes import Episode, Feedback, Prompt, Reward
from refine_af.ppo.result import EpisodeRow
from refine_af.ppo.rollout import encode_prompts
from refine_af.storage.journal import MemoryJournal


class Dying(CentredShare):
    """Dies like a killed process: in the scoring of one update, once."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.calls, self.at = 0, at

    def __call__(self, episodes: Sequence[Episode]) -> list[Feedback]:
        """Score, or die."""
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt
        return super().__call__(episodes)


@pytest.mark.parametrize("rank", [0, 4])
@pytest.mark.parametrize("every", [1, 3])
def test_a_run_that_died_anywhere_ends_bit_identical(tmp_path: Path, rank: int, every: int) -> None:
    options = tiny_settings(lora_rank=rank, checkpoint_every=every, updates=5)
    whole = run(MemoryJournal(), tmp_path / "whole", options)
    for at in (1, 2, 4, 5):
        journal = MemoryJournal()
        with pytest.raises(KeyboardInterrupt):
            run(journal, tmp_path / "dead", options, reward=Dying(at))
        resumed = run(journal, tmp_path / f"resumed{at}", options)
        assert resumed.metrics == whole.metrics
        assert resumed.samples == whole.samples
        assert digests(tmp_path / f"resumed{at}") == digests(tmp_path / "whole")


def test_a_stop_text_ends_an_action_and_is_no_part_of_it(tmp_path: Path) -> None:
    seen: list[Episode] = []

    def reward(episodes: Sequence[Episode]) -> list[Feedback]:
        seen.extend(episodes)
        return letter_share(episodes)

    stopping = tiny_settings(stop=("a", "the"), max_new_tokens=20)
    rows = run(MemoryJournal(), tmp_path / "out", stopping, reward=reward).samples
    ended = [one for one in seen if one.finish == "stop"]
    assert any("a" not in one.action for one in ended)
    assert not any("a" in one.action or "the" in one.action for one in seen)
    # each letter is a token: what ended the action was the policy's too
    assert min(row.tokens - len(row.action) for row in rows if row.finish == "stop") == 1
    assert all(row.tokens == 20 for row in rows if row.finish == "length")


def test_stop_texts_are_part_of_what_a_checkpoint_agrees_on(tmp_path: Path) -> None:
    journal = MemoryJournal()
    options = tiny_settings(stop=("a",))
    whole = run(journal, tmp_path / "whole", options).metrics
    assert run(journal, tmp_path / "again", options).metrics == whole
    with pytest.raises(JournalMismatchError, match="stop"):
        run(journal, tmp_path / "other", tiny_settings(stop=("b",)))


def test_a_chat_prompt_is_the_users_turn() -> None:
    tokenizer = tiny_tokenizer()
    options = tiny_settings(chat=True)
    with pytest.raises(ParameterError, match="the model has no chat template"):
        encode_prompts(tokenizer, [Prompt("a", "sort")], 128, options)
    tokenizer.chat_template = "{% for m in messages %}user {{ m.content }}. {% endfor %}model:"
    (row,) = encode_prompts(tokenizer, [Prompt("a", "sort")], 128, options)
    assert tokenizer.decode(row) == "user sort. model:"


def test_scores_against_siblings_survive_a_death_too(tmp_path: Path) -> None:
    options = tiny_settings(episodes_per_prompt=4)
    whole = run(MemoryJournal(), tmp_path / "whole", options)
    journal = MemoryJournal()
    with pytest.raises(KeyboardInterrupt):
        run(journal, tmp_path / "dead", options, reward=Dying(3))
    assert run(journal, tmp_path / "resumed", options).metrics == whole.metrics
    assert digests(tmp_path / "resumed") == digests(tmp_path / "whole")
    plain = run(MemoryJournal(), tmp_path / "plain", tiny_settings())
    assert plain.metrics != whole.metrics


def test_every_episode_is_told_once_and_in_order_also_after_a_death(tmp_path: Path) -> None:
    journal, told = MemoryJournal(), dict[int, Sequence[EpisodeRow]]()
    first: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        run(
            journal,
            tmp_path / "a",
            tiny_settings(),
            reward=Dying(3),
            on_update=lambda row, _: first.append(int(row["update"])),
        )
    assert first == [1, 2]
    result = run(
        journal,
        tmp_path / "a",
        tiny_settings(),
        on_update=lambda row, rows: told.__setitem__(int(row["update"]), rows),
    )
    assert list(told) == [1, 2, 3, 4]
    for update, rows in told.items():
        assert [(row.update, row.place) for row in rows] == [(update, at) for at in range(8)]
        mean = sum(row.total for row in rows) / 8
        assert result.metrics[update - 1]["reward_mean"] == pytest.approx(mean)
        tokens = sum(row.tokens for row in rows)
        assert abs(sum(row.advantage * row.tokens for row in rows) / tokens) < 1e-5  # whitened
    assert {row.prompt_id for row in told[1]} == {prompt.id for prompt in PROMPTS}
    assert [row.update for row in result.samples] == [1] * 8 + [2] * 8 + [4] * 8


def test_only_the_newest_two_checkpoints_stay(tmp_path: Path) -> None:
    journal = MemoryJournal()
    run(journal, tmp_path, tiny_settings())
    assert journal.names("checkpoint-") == ["checkpoint-000003", "checkpoint-000004"]


def test_a_longer_run_goes_on_from_a_shorter_one(tmp_path: Path) -> None:
    whole = run(MemoryJournal(), tmp_path / "whole", tiny_settings(updates=4))
    journal = MemoryJournal()
    run(journal, tmp_path / "two", tiny_settings(updates=2))
    assert run(journal, tmp_path / "four", tiny_settings(updates=4)).metrics == whole.metrics
    assert digests(tmp_path / "four") == digests(tmp_path / "whole")
    with pytest.raises(DataError, match="the journal has 4 updates, more than the 3 asked for"):
        run(journal, tmp_path / "three", tiny_settings(updates=3))


def test_a_damaged_checkpoint_is_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = MemoryJournal()
    whole = run(journal, tmp_path / "whole", tiny_settings())
    broken = tmp_path / "broken"
    assert journal.read_directory("checkpoint-000004", broken)
    weights = bytearray((broken / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (broken / "weights.safetensors").write_bytes(weights)
    journal.publish_directory("checkpoint-000004", broken)
    again = run(journal, tmp_path / "again", tiny_settings())
    assert "checkpoint-000004 is damaged" in capsys.readouterr().err
    assert again.metrics == whole.metrics
    assert digests(tmp_path / "again") == digests(tmp_path / "whole")


def test_a_checkpoint_of_another_run_is_refused_with_the_differences(tmp_path: Path) -> None:
    journal = MemoryJournal()
    run(journal, tmp_path, tiny_settings(updates=1))
    with pytest.raises(JournalMismatchError, match=r"settings\.clip is 0\.2 there and 0\.3") as e:
        run(journal, tmp_path, tiny_settings(updates=1, clip=0.3, gamma=0.9))
    assert "settings.gamma is 1.0 there and 0.9 here" in str(e.value)
    with pytest.raises(JournalMismatchError, match=r"weights\.digest"):
        run(journal, tmp_path, tiny_settings(updates=1), model=tiny_model(seed=1))
    with pytest.raises(JournalMismatchError, match=r"model\.hidden_size is 32 there and 16 here"):
        run(journal, tmp_path, tiny_settings(updates=1), model=tiny_model(hidden_size=16))
    with pytest.raises(JournalMismatchError, match=r"prompts\.count is 5 there and 1 here"):
        run(journal, tmp_path, tiny_settings(updates=1), prompts=PROMPTS[:1])


def spoiled(change: Any) -> Reward:  # noqa: ANN401  each case spoils another thing
    def reward(episodes: Sequence[Episode]) -> list[Feedback]:
        found = letter_share(episodes)
        return change(found)  # type: ignore[no-any-return]

    return reward


def raising(_: Sequence[Episode]) -> list[Feedback]:
    raise ValueError("no scorer at hand")


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (spoiled(lambda rows: rows[:-1]), "update 1: the reward returned 7 scores for 8 episodes"),
        (
            spoiled(lambda rows: [*rows[:-1], Feedback(math.nan, rows[-1].parts, True)]),
            r"update 1, prompt 'p\d': the reward gave total nan to",
        ),
        (
            spoiled(
                lambda rows: [*rows[:-1], Feedback(1.0, {"share": math.inf, "length": 1}, True)]
            ),
            "the reward gave share inf to",
        ),
        (
            spoiled(lambda rows: [*rows[:-1], Feedback(1.0, {"shares": 1.0}, True)]),
            r"the parts \['shares'\], others have \['length', 'share'\]",
        ),
        (raising, "update 1: the reward raised ValueError: no scorer at hand"),
    ],
)
def test_an_unusable_reward_trains_nothing(tmp_path: Path, reward: Reward, message: str) -> None:
    journal = MemoryJournal()
    with pytest.raises(DataError, match=message):
        run(journal, tmp_path / "out", tiny_settings(), reward=reward)
    assert journal.names() == []
    assert not (tmp_path / "out").exists()


def test_an_outage_of_the_reward_stays_an_outage(tmp_path: Path) -> None:
    def reward(_: Sequence[Episode]) -> list[Feedback]:
        raise DependencyError("the reward service is away")

    with pytest.raises(DependencyError, match="the reward service is away"):
        run(MemoryJournal(), tmp_path, tiny_settings(), reward=reward)


@pytest.mark.parametrize(
    ("prompts", "error", "message"),
    [
        ([], ParameterError, "there are no prompts"),
        ([Prompt("a", "")], DataError, "'a'"),
        ([Prompt("a", "x"), Prompt("a", "y")], DataError, "repeats the id 'a'"),
        ([Prompt("a", "x" * 119)], ParameterError, "119 tokens; with max_new_tokens 10 it exceeds"),
    ],
)
def test_unusable_prompts_are_refused(
    tmp_path: Path, prompts: list[Prompt], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(MemoryJournal(), tmp_path, tiny_settings(), prompts=prompts)


def test_training_stops_when_the_policy_has_gone_too_far(tmp_path: Path) -> None:
    options = tiny_settings(
        lora_rank=0, learning_rate=3e-2, warmup_updates=0, max_kl=0.5, updates=9
    )
    journal = MemoryJournal()
    result = run(journal, tmp_path / "a", options)
    assert len(result.metrics) < 9
    assert result.metrics[-1]["kl"] > 0.5 >= max(row["kl"] for row in result.metrics[:-1])
    assert "exceeds max_kl 0.5" in result.stopped
    again = run(journal, tmp_path / "b", options)
    assert (again.metrics, again.stopped) == (result.metrics, result.stopped)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_a_random_model_learns_to_write_one_letter(tmp_path: Path) -> None:
    options = tiny_settings(
        updates=25,
        episodes_per_update=32,
        minibatch=16,
        microbatch=16,
        epochs=3,
        learning_rate=3e-3,
        value_learning_rate=3e-2,
        max_new_tokens=12,
        lora_rank=0,
        entropy_coefficient=0.0,
        kl_target=0.0,
        kl_coefficient=0.02,
    )
    rows = run(MemoryJournal(), tmp_path, options, reward=letter_share).metrics
    start = sum(row["reward_mean"] for row in rows[:3]) / 3
    end = sum(row["reward_mean"] for row in rows[-3:]) / 3
    assert end > 3 * start + 1, (start, end)
    assert max(row["explained_variance"] for row in rows) > 0.3
    assert rows[-1]["kl"] > 0.5
