"""The form of a run: the main knob of each stage, which a person may change when starting it.

KFP's form, the parameters of Argo's workflow, what check_inputs proves and the documentation follow
from this list. All else is decided when a pipeline is compiled.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Knob:
    """One field of the form.

    Attributes:
        name: Its name there, and of check_inputs' parameter.
        summary: One line for people.
        targets: ``(stage, parameter)`` of each that gets the value.
    """

    name: str
    summary: str
    targets: tuple[tuple[str, str], ...]


KNOBS = (
    Knob(
        "instructions",
        "New instructions to write, before the filter.",
        (("generate_instructions", "target"),),
    ),
    Knob("updates", "Updates of PPO.", (("train_ppo", "updates"),)),
    Knob("episodes", "Episodes of each update of PPO.", (("train_ppo", "episodes_per_update"),)),
    Knob(
        "policy_updates",
        "Updates of the policy that chooses operators.",
        (("train_operator_policy", "updates"),),
    ),
    Knob("lora_rank", "Rank of the adapter of fine-tuning.", (("train_sft", "lora_rank"),)),
    Knob("sft_steps", "Steps of fine-tuning; 0: by epochs.", (("train_sft", "max_steps"),)),
    Knob("instances", "First N instances of each evaluation task.", (("evaluate", "instances"),)),
    Knob(
        "reward",
        "Reward preset of PPO and of the scores.",
        (("train_ppo", "reward"), ("score_rewards", "reward")),
    ),
    Knob(
        "max_rouge_l",
        "Similarity from which an instruction is a repeat.",
        (("dedup_filter", "max_rouge_l"),),
    ),
)
