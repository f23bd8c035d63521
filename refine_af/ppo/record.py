"""What ``train_ppo`` monitors beside the reward, and the files that it writes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.jsonl import write_object, write_rows
from refine_af.contracts.stage import Metrics, Task
from refine_af.feedback.interface import Triplet
from refine_af.feedback.reward import Reward
from refine_af.ppo.instance_reward import InstanceReward

if TYPE_CHECKING:
    from refine_af.ppo.result import EpisodeRow

GOLD = "gold"
"""Share of right answers by exact checkers; only the embedded model's tasks have them."""


def check_held_out(name: str, reward: Reward) -> None:
    """Refuse a held-out score that the reward does not measure, or that it weighs.

    Raises:
        ParameterError: With the parts that there are.
    """
    if name in ("", GOLD):
        return
    weighed = list(reward.preset.weights)
    if name in weighed or name not in reward.part_names:
        others = [part for part in reward.part_names if part not in weighed]
        raise ParameterError(
            f"held_out is {name!r}; it must be gold or a part that is measured and not weighed:"
            f" {', '.join(others)}. Name its scorer in reward_extra"
        )


def watched(
    metrics: Sequence[Mapping[str, float]],
    episodes: "Sequence[EpisodeRow]",
    reward: InstanceReward,
    held_out: str,
) -> list[dict[str, float]]:
    """Return the rows with the numbers that the alarms watch.

    ``keyword_rise`` is the rise of the word that spreads most. ``held_out`` is a score that no
    reward sees: :data:`GOLD`, or a part of an extra scorer, over the episodes that have it.

    Args:
        metrics: One row per update.
        episodes: Of all updates.
        reward: Reads instances out of actions.
        held_out: The score; none when empty.
    """
    from refine_af.feedback.keywords import keyword_rises

    instances: list[list[Triplet]] = [[] for _ in metrics]
    judged: list[list[float]] = [[] for _ in metrics]
    for row in episodes:
        held = reward.instance(row.prompt_id, row.action, row.finish)
        if held is not None:
            instances[row.update - 1].append(held)
        score = _gold(held) if held_out == GOLD else row.parts.get(held_out)
        if score is not None:
            judged[row.update - 1].append(score)
    rises = keyword_rises(instances)
    return [
        dict(row) | _column("keyword_rise", rise) | _spread("held_out", scores)
        for row, rise, scores in zip(metrics, rises, judged, strict=True)
    ]


def _gold(held: Triplet | None) -> float | None:
    from refine_af.builtin.gold import gold_score

    return 0.0 if held is None else gold_score(*held)


def _column(name: str, value: float | None) -> dict[str, float]:
    return {} if value is None else {name: value}


def _spread(name: str, values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    return {name: fmean(values), f"{name}_sd": pstdev(values)}


def write(
    updates: Sequence[Mapping[str, float]],
    episodes: "Sequence[EpisodeRow]",
    stopped: str,
    weighed: Sequence[str],
    task: Task,
) -> Metrics:
    """Write curves, episodes, event file and alarms; return the stage's metrics."""
    from refine_af.feedback.alarms import find_alarms, unwatched
    from refine_af.ppo.event_file import write_events

    write_rows(task.outputs["curves"], [dict(row) for row in updates])
    write_events(task.outputs["events"], updates)
    write_rows(task.outputs["episodes"], [asdict(row) for row in episodes])
    alarms = [asdict(alarm) for alarm in find_alarms(updates, weighed=weighed)]
    for alarm in alarms:
        task.progress.say(f"alarm: {alarm['message']}")
    summary = {"stopped": stopped, "alarms": alarms, "unwatched": unwatched(updates)}
    write_object(task.outputs["alarms"], summary)
    first, last = updates[0], updates[-1]
    return {
        "updates": len(updates),
        "episodes": len(episodes),
        "reward_first": first["reward_mean"],
        "reward_last": last["reward_mean"],
        "parseable_last": last["parseable"],
        **({"kl_last": last["kl"]} if "kl" in last else {}),
        "alarms": len(alarms),
    }
