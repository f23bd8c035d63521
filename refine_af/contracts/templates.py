"""The sandbox of all prompt templates, packaged or the user's."""

from jinja2 import BaseLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment


def sandbox(loader: BaseLoader | None = None) -> ImmutableSandboxedEnvironment:
    """Return an environment in which a template reads values and changes nothing.

    An undefined name is an error; a newline at a template's end stays; nothing is escaped, since
    the reader is a model and not a browser (pages for people escape, see ``reporting``).
    """
    return ImmutableSandboxedEnvironment(
        loader=loader, undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
