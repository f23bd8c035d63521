"""The reward of ``train_ppo``: actions read as instances, scored by automated feedback."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from refine_af.feedback.interface import Triplet
from refine_af.feedback.reward import Measured, Reward
from refine_af.self_instruct.instance_form import InstanceForm

if TYPE_CHECKING:
    from refine_af.ppo.episodes import Episode, Feedback
    from refine_af.processes.group import Processes
    from refine_af.self_instruct.prompts import Layout


class InstanceReward:
    """Scores episodes as instances; an action without a usable one gets the floor."""

    def __init__(
        self,
        reward: Reward,
        instructions: dict[str, str],
        form: InstanceForm,
        layouts: "Mapping[str, Layout]",
        processes: "Processes | None" = None,
    ) -> None:
        """Score with ``reward`` what was asked in ``form``.

        ``instructions`` holds the text by prompt id, ``layouts`` which part is written first.
        Several processes measure a share each; all observe and combine the parts of all.
        """
        self._reward = reward
        self._instructions = instructions
        self._form = form
        self._layouts = layouts
        self._processes = processes

    def __call__(self, episodes: "Sequence[Episode]") -> "list[Feedback]":
        """Return one feedback per episode, in order."""
        from refine_af.ppo.episodes import Feedback

        rows = [
            self.instance(episode.prompt_id, episode.action, episode.finish) for episode in episodes
        ]
        parts = self._measure(rows)
        self._reward.observe(parts)
        return [
            Feedback(scored.total, dict(scored.parts), row is not None and bool(scored.parts))
            for row, scored in zip(rows, self._reward.combine(parts), strict=True)
        ]

    def _measure(self, rows: Sequence[Triplet | None]) -> list[Measured]:
        """Return the parts of all rows; each process measures its share of them."""
        if self._processes is None:
            return self._reward.measure(rows)
        mine = self._processes.share(range(len(rows)))
        measured = self._reward.measure([rows[row] for row in mine])
        parts = self._processes.gathered(dict(zip(mine, measured, strict=True)))
        return [parts[row] for row in range(len(rows))]

    def instance(self, prompt_id: str, action: str, finish: str) -> Triplet | None:
        """Return the first instance of an action that ``generate_instances`` would keep, or None.

        None when the action was cut off, has no form, or breaks a rule of the filter (its output
        repeats its input, it ends with a colon): what is dropped later must not be rewarded here.
        """
        from refine_af.self_instruct.parse_instances import filter_instances

        if finish != "stop":
            return None
        instruction = self._instructions[prompt_id]
        drafts = self._form.drafts(action, "stop", self._layouts[prompt_id])
        judged = filter_instances(drafts, 0, prompt_id, limit=len(drafts))
        pair = next((draft for draft in judged if draft.reason is None), None)
        return Triplet(instruction, pair.input, pair.output) if pair else None

    @property
    def classification(self) -> int:
        """Return the number of prompts that ask for a class label first."""
        return sum(layout == "output_first" for layout in self._layouts.values())

    @property
    def weighed(self) -> list[str]:
        """Return the parts that the preset weighs."""
        return list(self._reward.preset.weights)

    def get_state(self) -> dict[str, Any]:
        """Return the reward's running statistics."""
        return self._reward.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore a state of :meth:`get_state`."""
        self._reward.set_state(state)
