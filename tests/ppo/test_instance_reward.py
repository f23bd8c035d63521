"""Which actions pay: those that ``generate_instances`` would keep, and no others."""

from collections.abc import Sequence

import pytest

from refine_af.feedback.interface import Parts, Triplet
from refine_af.feedback.params import RewardParams
from refine_af.feedback.presets import Preset
from refine_af.feedback.reward import Reward
from refine_af.ppo.instance_reward import InstanceReward
from refine_af.self_instruct.instance_form import InstanceForm
from refine_af.self_instruct.prompts import Layout

ASKED = "Reverse the order of the words."


class Ones:
    """A scorer that finds one in everything."""

    name = "ones"
    part_names: tuple[str, ...] = ("one",)

    def score(self, rows: Sequence[Triplet]) -> list[Parts]:
        """Return one for each row."""
        return [{"one": 1.0} for _ in rows]


def rewarded(style: str, layout: Layout) -> InstanceReward:
    preset = Preset("ones", {"one": 1.0}, 0.0, False, "a test", ())
    reward = Reward([Ones()], RewardParams(), preset)
    form = InstanceForm("plain" if style == "plain" else "few_shot")
    return InstanceReward(reward, {"a": ASKED}, form, {"a": layout})


@pytest.mark.parametrize(
    ("style", "layout", "action", "kept"),
    [
        ("plain", "input_first", " Input: a b\nOutput: b a", ("a b", "b a")),
        ("plain", "input_first", " Input: a b\nOutput: a b", None),
        ("plain", "input_first", " Input: a b\nOutput: the words:", None),
        ("plain", "input_first", " Input: the words:\nOutput: b a", None),
        ("plain", "input_first", " Input: a b\nOutput:", None),
        ("plain", "output_first", " odd\nInput: 3", ("3", "odd")),
        ("plain", "output_first", " 3\nInput: 3", None),
        ("few_shot", "input_first", " a b\nOutput: b a", ("a b", "b a")),
        # a second pair where the form has one: nobody can tell which was meant
        ("few_shot", "input_first", " a b\nOutput: b a\nInput: a b\nOutput: a", None),
    ],
)
def test_what_the_filter_of_instances_drops_does_not_pay(
    style: str, layout: Layout, action: str, kept: tuple[str, str] | None
) -> None:
    found = rewarded(style, layout).instance("a", action, "stop")
    assert (found and (found.input, found.output)) == kept
    assert rewarded(style, layout).instance("a", action, "length") is None


def test_two_outputs_of_one_input_do_not_pay_as_none_of_them_is_kept() -> None:
    reward = rewarded("plain", "output_first")
    assert reward.instance("a", " odd\nInput: 3\nClass label: even\nInput: 3", "stop") is None
