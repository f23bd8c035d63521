"""Credentials in addresses: found before anything is written, masked wherever an address is shown.

They must not stand in parameters, which appear in provenance, plans, logs and compiled files.
"""

import re
import unicodedata
from urllib.parse import unquote

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[/\\]{2}[^\s'\"<>`]*?(?=[:,.;)]*(?:[\s'\"<>`]|$))")
"""An address, without the punctuation of the sentence around it."""
_START = re.compile(r"((?:[A-Za-z][A-Za-z0-9+.-]*:)?[/\\]{2})([^/\\?#;]*)(.*)", re.DOTALL)
_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(:\d*)?")
_NAME = re.compile(r"[?&#;]([^=&#;?/]*)=")
_OPTION = re.compile(r"[?&#;]([^=&#;?/]*)=([^&#;]*)")
_ENCODED_MARK = re.compile(r"%(?:25)*(?:23|26|3[bdf])", re.IGNORECASE)
"""``#``, ``&``, ``;``, ``=`` or ``?``: the parts of such an address cannot be told apart."""

_INNER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[/\\]{2}[^/\\?#;&]*@")
"""An address with a user inside another one, such as where to go next."""
_STEP = re.compile(r"/([^=&#;?/]*)=")
_STEP_VALUE = re.compile(r"(/([^=&#;?/]*)=)[^&#;?/]*")

_TELLING = re.compile(
    r"key|token|secret|passw|passp|signature|credential|code|auth|pwd|bearer|session|cookie|hmac"
)
_EXACT = {"sig", "pass", "jwt", "sas", "otp", "pin", "access", "sid", "hdnts", "hdnea", "login"}
_HARMLESS = {"author", "authors"}
_DECODINGS = 3


def credential_in(text: str) -> str:
    """Return what kind of credential an address holds, or an empty string.

    Args:
        text: A value, or several with commas between them; what is not an address holds none.
            Recognised are a user, a password, and every query, fragment or path parameter with a
            telling name, also percent-encoded.
    """
    for part in text.split(","):
        match = _START.fullmatch(part.strip())
        if match is None:
            continue
        scheme, authority, rest = match.groups()
        if "@" in _decoded(authority) or not _PORT.fullmatch(authority):
            return "a user or password"
        if _INNER.search(_decoded(rest)):
            return "a user or password"
        for name in _names(scheme, _decoded(rest)):
            if _is_telling(name):
                return f"the parameter {_decoded(name).strip()!r}"
    return ""


def _names(scheme: str, rest: str) -> list[str]:
    """Return names of parameters; in a path of the web too (in a store it is a partition)."""
    names = _NAME.findall(rest)
    return names + _STEP.findall(rest) if _is_web(scheme) else names


def _is_web(scheme: str) -> bool:
    return scheme.lower().startswith(("http", "ftp"))


def masked(text: str) -> str:
    """Return ``text`` with the user and all query values of every address in it as ``***``."""
    return _ADDRESS.sub(lambda match: _masked(match.group()), text)


def _masked(address: str) -> str:
    match = _START.fullmatch(address)
    if match is None:
        return address
    scheme, authority, rest = match.groups()
    host = _decoded(authority).rpartition("@")[2]
    shown = authority if "@" not in _decoded(authority) else f"***@{host}"
    if not _PORT.fullmatch(shown.removeprefix("***@")):
        shown = "***"
    at = rest.find("@")
    if at >= 0 and shown == "***":  # a password with a slash in it
        rest = rest[at:]
    encoded = _ENCODED_MARK.search(rest)
    if encoded is not None:
        rest = re.split(r"[?&#;]", rest[: encoded.start()])[0] + "?***"
    if _is_web(scheme):
        rest = _STEP_VALUE.sub(
            lambda step: f"{step[1]}***" if _is_telling(step[2]) else step[0], rest
        )
    return scheme + shown + _OPTION.sub(lambda option: _masked_option(option, scheme), rest)


def _masked_option(option: re.Match[str], scheme: str) -> str:
    """Mask a query value; in object names, where ``?`` is ordinary, only credentials."""
    name, value = option.groups()
    if _is_web(scheme) or _is_telling(name):
        return option.group()[: len(option.group()) - len(value)] + "***"
    return option.group()


def _is_telling(name: str) -> bool:
    name = unicodedata.normalize("NFKC", _decoded(name))
    name = "".join(letter for letter in name if letter.isprintable()).strip().lower()
    return name in _EXACT or (name not in _HARMLESS and bool(_TELLING.search(name)))


def _decoded(text: str) -> str:
    for _ in range(_DECODINGS):
        text = unquote(text)
    return text
