"""The form of requests for instances: prompt, stop texts and parser.

``train_ppo`` and ``generate_instances`` share it: what PPO trained on is what is asked for later.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from refine_af.engines.text import Finish
    from refine_af.self_instruct.drafts import Draft
    from refine_af.self_instruct.prompts import Layout, Style

Asked = Literal["auto", "plain", "few_shot", "chat"]
Split = Literal["classification", "none"]


def style_for(asked: Asked, model: str, *, chat: bool = False) -> "Style":
    """Return the style of ``asked``; the embedded models were trained on the plain one."""
    if asked != "auto":
        return asked
    if chat:
        return "chat"
    return "plain" if model.startswith("builtin:") else "few_shot"


@dataclass(frozen=True, slots=True)
class InstanceForm:
    """One form of the request.

    Attributes:
        style: Of the prompt.
        instances: Most instances of one answer; a few-shot answer is stopped behind them, and so
            is one that writes the class label first where one instance is wanted.
        published: Stop and read as the published code does, where a label counts anywhere.
    """

    style: "Style"
    instances: int = 1
    published: bool = False

    @property
    def stop(self) -> tuple[str, ...]:
        """Return the texts that end an answer."""
        second = ("\nClass label:",) if self.instances == 1 else ()
        if self.style == "plain":
            return ("\nInstruction:", *second)
        if self.style == "chat":
            return ()
        line = "" if self.published else "\n"
        return (f"{line}Example {self.instances + 1}", f"{line}Task:", *second)

    def prompt(self, instruction: str, layout: "Layout" = "input_first") -> str:
        """Return the request for instances of ``instruction``."""
        from refine_af.self_instruct.prompts import instance_prompt

        return instance_prompt(instruction, layout, self.style)

    def drafts(
        self, answer: str, finish: "Finish", layout: "Layout" = "input_first"
    ) -> "list[Draft]":
        """Return the pairs of an answer in order, those that cannot be used with their reason.

        Never none: one ``unparseable`` stands for that. Rules over several pairs are
        :func:`refine_af.self_instruct.parse_instances.filter_instances`.
        """
        from refine_af.contracts.readable import readable
        from refine_af.self_instruct.chat_answers import parse_chat
        from refine_af.self_instruct.drafts import Draft
        from refine_af.self_instruct.parse_instances import parse_instances, parse_plain
        from refine_af.self_instruct.prompts import answer_opening

        if self.style == "chat":
            return [parse_chat(answer, finish, layout)]
        if self.style == "plain" and layout == "input_first" and not self.published:
            pair = parse_plain(answer)
            if pair is None:
                return [Draft("", readable(answer), "unparseable")]
            return [pair._replace(reason="truncated") if finish == "length" else pair]
        whole = answer_opening(layout, self.style) + answer
        return parse_instances(whole, finish, layout, published=self.published)
