"""Refuses values that hold a credential."""

from refine_af.contracts.addresses import credential_in
from refine_af.contracts.errors import ParameterError


def refuse_credentials(name: str, value: object) -> None:
    """Refuse an address with a credential in it; the message does not show the value.

    Args:
        name: What to name: a parameter, an option, an input.
        value: As given; what is not text is not looked at.

    Raises:
        ParameterError: Saying where credentials belong.
    """
    kind = credential_in(value) if isinstance(value, str) else ""
    if kind:
        raise ParameterError(
            f"{name} holds a credential in its address ({kind}); leave it out: stores and endpoints"
            " take theirs from environment variables, a webhook goes into NOTIFY_URL, and of a web"
            " page download the file and give its path"
        )
