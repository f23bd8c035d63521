"""A pair as a model wrote it, kept or dropped."""

from typing import NamedTuple


class Draft(NamedTuple):
    """One pair as the model wrote it, stripped.

    Attributes:
        input: May be empty.
        output: May be empty until the filters ran.
        reason: Why it is dropped, one of :data:`refine_af.self_instruct.parse_instances.REASONS`;
            None while it stands.
        detail: What decided, for people.
    """

    input: str
    output: str
    reason: str | None = None
    detail: str = ""
