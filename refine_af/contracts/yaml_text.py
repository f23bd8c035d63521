"""The one writer of YAML: its text means the same to readers of YAML 1.1 and of YAML 1.2.

Kubernetes, Argo and browsers read YAML 1.2, PyYAML reads 1.1, and they disagree on plain words:
``1e-05`` is a number to one and a string to the other, ``on`` a truth value, ``0o14`` twelve. So a
string is written plain only if it begins like a word and has no special meaning in either.
"""

import re
from typing import Any

import yaml

_WORD = re.compile(r"(?:-{1,2})?[A-Za-z/][\x20-\x7e]*", re.ASCII)
_MEANT = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "inf", "nan"))
_ESCAPED = re.compile(
    r"[^\n\x20-\x7e\xa1-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""Control signs, and those that end a line for one dialect alone."""


class _Writer(yaml.SafeDumper):
    """Writes mappings, lists, strings, numbers, truth values and null: what JSON has."""

    def ignore_aliases(self, data: object) -> bool:
        """Repeat a value in full instead of writing an anchor."""
        return True


def _string(writer: _Writer, text: str) -> yaml.ScalarNode:
    style = None if _is_word(text) else "'"
    if _ESCAPED.search(text):
        style = '"'
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _is_word(text: str) -> bool:
    return bool(_WORD.fullmatch(text)) and text.lstrip("-").lower() not in _MEANT


def _refuse(_: _Writer, value: object) -> yaml.Node:
    raise TypeError(f"{value!r} is {type(value).__name__}, which JSON does not have")


_Writer.add_representer(str, _string)
for _kind in tuple(_Writer.yaml_representers):
    if _kind not in (str, int, float, bool, type(None), dict, list, tuple):
        _Writer.add_representer(_kind, _refuse)


def yaml_text(*documents: Any, compact: bool = False, sort: bool = False) -> str:  # noqa: ANN401
    """Return documents as YAML.

    Args:
        documents: Values that JSON has too.
        compact: Innermost mappings and lists on one line, which saves a quarter of the bytes.
        sort: Keys by name; else as they stand.

    Raises:
        TypeError: For a value that JSON does not have, such as a date.
    """
    return str(
        yaml.dump_all(
            documents,
            Dumper=_Writer,
            allow_unicode=True,
            default_flow_style=None if compact else False,
            sort_keys=sort,
            width=1 << 20,
        )
    )
