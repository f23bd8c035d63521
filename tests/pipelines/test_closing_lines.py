"""The lines that a run ends with."""

from pathlib import Path

from refine_af.pipelines.summary import closing_lines


def test_a_mean_of_zero_has_no_sign() -> None:
    """The baseline's mean reward is zero but for rounding, such as -6.5e-18."""
    arms = {"baseline": {"rouge_l": 43.64, "reward": -6.5e-18}}
    text = closing_lines({"arms": arms, "answer": "", "digest": ""}, Path("run"))
    assert "-0.00" not in text
    assert "0.00" in text
