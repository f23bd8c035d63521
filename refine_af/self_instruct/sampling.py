"""How each step of Self-Instruct samples, as published and for small open models."""

from typing import TYPE_CHECKING, Literal

from refine_af.engines.text import Sampling

if TYPE_CHECKING:
    from refine_af.self_instruct.prompts import Style

Preset = Literal["self_instruct", "small_lm"]
"""``self_instruct``: the published values, tuned on davinci. ``small_lm``: hotter and without the
strong presence penalty, which pushes small models off the list's form (project choice)."""

_PUBLISHED_SHOWN = 8


def instructions_sampling(
    preset: Preset, shown: int = _PUBLISHED_SHOWN, *, chat: bool = False
) -> Sampling:
    """Return the sampling of an instruction list of which ``shown`` items are given.

    A chat model may leave blank lines, and ends its list by itself.

    Source: Self-Instruct, table 4 and ``bootstrap_instructions.py``. With 8 items shown the stop
    texts are the published ones: seven new items, numbers 9 to 15.
    """
    last = 2 * shown
    stop: tuple[str, ...] = ("\n\n", f"\n{last}", f"{last}.", f"{last} .")
    if chat:
        stop = (f"\n{last + 1}.",)
    if preset == "self_instruct":
        return Sampling(1024, temperature=0.7, top_p=0.5, presence_penalty=2.0, stop=stop)
    return Sampling(1024, temperature=0.9, top_p=0.95, presence_penalty=0.3, stop=stop)


def classification_sampling(style: "Style", *, by_likelihood: bool = True) -> Sampling:
    """Return the sampling of the classification question: the likelier of yes and no.

    Difference from ``identify_clf_or_not.py``, which reads three greedy tokens: a small model often
    writes neither word. An endpoint that may not hold to choices is asked as published.
    """
    if not by_likelihood:
        return Sampling(3, temperature=0.0, stop=("\n", "Task"))
    choices = ("Yes", "No") if style == "chat" else (" Yes", " No")
    return Sampling(3, temperature=0.0, choices=choices)
