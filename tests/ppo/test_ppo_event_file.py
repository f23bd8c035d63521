from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from refine_af.ppo.event_file import NAME, write_events

ROWS = [
    {"update": 1.0, "reward_mean": -0.25, "part_coherence_mean": 0.5},
    {"update": 300.0, "reward_mean": 1e30, "part_coherence_mean": 1 / 3, "kl": 2.0},
]


def test_tensorboard_itself_reads_every_number(tmp_path: Path) -> None:
    write_events(tmp_path / "logs", ROWS)
    found = EventAccumulator(str(tmp_path / "logs")).Reload()
    assert sorted(found.Tags()["scalars"]) == [
        "part/coherence_mean",
        "ppo/kl",
        "ppo/reward_mean",
    ]
    points = [(one.step, one.wall_time, one.value) for one in found.Scalars("ppo/reward_mean")]
    assert points == [(1, 1.0, -0.25), (300, 300.0, pytest.approx(1e30))]
    assert [one.value for one in found.Scalars("part/coherence_mean")] == pytest.approx(
        [0.5, 1 / 3]
    )


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_events(tmp_path / name, ROWS)
    assert (tmp_path / "a" / NAME).read_bytes() == (tmp_path / "b" / NAME).read_bytes()
