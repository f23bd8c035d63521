"""Credentials in addresses: found before anything is written, masked wherever an address is shown.

They must not stand in parameters, which appear in provenance, plans, logs and compiled files.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from urllib.parse import unquote

_KNOWN = r"(?:https?|s3|gs|minio|ftps?|hf|wss?)"
_ADDRESS = re.compile(
    rf"(?:[A-Za-z][A-Za-z0-9+.-]*:[/\\]{{2}}|\b{_KNOWN}:|(?<![\w:/\\])//(?=[^\s/@]+@))"
    r"[^\s'\"<>`]*?(?=[:,.;)]*(?:[\s'\"<>`]|$))",
    re.IGNORECASE,
)
"""An address, without the punctuation of the sentence around it."""
_START = re.compile(
    rf"({_KNOWN}:[/\\]*|(?:[A-Za-z][A-Za-z0-9+.-]*:)?[/\\]{{2}})([^/?#;]*)(.*)",
    re.DOTALL | re.IGNORECASE,
)
"""Scheme, host and the rest. Of the known schemes with any number of slashes, as people mistype
them; a backslash ends no user, since libraries differ about that."""
_AROUND = " \t\r\n\"'`<>()[]"
_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(:\d*)?")
_NAME = re.compile(r"[?&#;]([^=:&#;?/]*)[=:]")
_OPTION = re.compile(r"[?&#;]([^=:&#;?/]*)[=:]([^&#;]*)")
_ENCODED_MARK = re.compile(r"%(?:25)*(?:23|26|3[bdf])", re.IGNORECASE)
"""``#``, ``&``, ``;``, ``=`` or ``?``: the parts of such an address cannot be told apart."""

_INNER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[/\\]{2}[^/\\?#;&]*@")
"""An address with a user inside another one, such as where to go next."""
_STEP = re.compile(r"/([^=&#;?/]*)=")
_STEP_VALUE = re.compile(r"(/([^=&#;?/]*)=)[^&#;?/]*")
_STEPS = re.compile(r"/([^/?#;]*)")
_PAIR = re.compile(r"([^:=@]+)[:=](.+)")
_HUB = re.compile(r"(?<![\w/:.?#&;=%-])([\w.-]+/[\w.-]+(?:[@:][\w./-]+)?)([?#&;][^\s'\"<>`]*)")
"""A repository of the Hub with parameters behind it, as they are copied from a browser."""

_WORDS = re.compile(r"[^\W\d_]+")
_SECRET_STEPS = {"key", "token", "secret", "password", "passwd", "pwd", "signature", "credential"}
_SECRET_STEPS |= {"apikey", "accesskey", "authtoken", "accesstoken"}
"""Words of a step of a path behind which a secret may stand: ``/token/VALUE``. ``code`` and
``auth`` are not among them, because they name ordinary folders."""

_RUN = re.compile(r"[A-Za-z0-9+]{16,}")
_WEBHOOKS = re.compile(
    r"https?://(?:[^/?#]*\.)?(?:hooks\.slack\.com/(?:services|workflows|triggers)"
    r"|discord(?:app)?\.com/api/(?:v\d+/)?webhooks|webhook\.office\.com/\w+|outlook\.office\.com/webhook"
    r"|hooks\.zapier\.com/hooks|api\.telegram\.org(?=/bot\d+:)|open\.(?:feishu\.cn|larksuite\.com)"
    r"/open-apis/bot/v2/hook|hook\.[a-z0-9.]+\.make\.com|events\.pagerduty\.com/integration)/[^/?#]+",
    re.IGNORECASE,
)
"""Addresses of chat systems whose path is the secret itself."""

_HOOK = re.compile(r"(?:incoming[-_]?)?(?:web)?hooks?(?:b2)?(?:[-_]test)?", re.IGNORECASE)
_HOOK_HOST = re.compile(r"//[^/]*(?:hook|ntfy|pipedream)[^/]*$", re.IGNORECASE)
"""How steps and hosts of webhooks are called, beside the known ones."""

_TELLING = re.compile(
    r"key|token|secret|passw|passp|signature|cred(?!it)|code|auth|pwd|bearer|session|cookie|hmac"
)
_EXACT = {"sig", "pass", "jwt", "sas", "otp", "pin", "access", "sid", "hdnts", "hdnea", "login"}
_HARMLESS = {"author", "authors"}
_DECODINGS = 3


def credential_in(text: str) -> str:
    """Return what kind of credential an address holds, or an empty string.

    Args:
        text: A value, or several with commas between them; what is not an address holds none.
            Recognised are a user, a password, and every query, fragment or path parameter with a
            telling name, also percent-encoded; ``/token/VALUE`` and ``/token:VALUE`` in a path of
            the web where the value looks like a secret; the path of a chat system's webhook.
    """
    for part in text.split(","):
        match = _START.fullmatch(part.strip(_AROUND))
        if match is None:
            hub = _HUB.fullmatch(part.strip(_AROUND))
            for name in _NAME.findall(_decoded(hub[2])) if hub else ():
                if _is_telling(name):
                    return f"the parameter {_decoded(name).strip()!r}"
            continue
        scheme, authority, rest = match.groups()
        if "@" in _decoded(authority) or not _PORT.fullmatch(authority.partition("\\")[0]):
            return "a user or password"
        if _INNER.search(_decoded(rest)):
            return "a user or password"
        for name in _names(scheme, _decoded(rest)):
            if _is_telling(name):
                return f"the parameter {_decoded(name).strip()!r}"
        if _is_web(scheme) and (kind := _secret_step(scheme + authority, rest)):
            return kind
    return ""


def _secret_step(start: str, rest: str) -> str:
    """Return what kind of credential stands in the path of a web address, or an empty string."""
    if _WEBHOOKS.match(start + _decoded(rest)):
        return "a webhook, whose path is its secret"
    steps = [_decoded(step) for step in _STEPS.findall(re.split(r"[?#;]", rest)[0])]
    if _hook_secrets(start, steps):
        return "a webhook, whose path is its secret"
    for before, step in zip(["", *steps], steps, strict=False):
        if _is_secret_step(before, step):
            return f"the step behind {before!r}"
        pair = _PAIR.fullmatch(step)
        if pair and _names_secret(pair[1]):
            return f"the step {pair[1].strip()!r}"
    return ""


def _is_secret_step(before: str, step: str) -> bool:
    """Return whether a step of a path is the secret that the step before it names.

    A secret has letters and digits and no ending; behind a word in the plural, which names a
    folder, at least 16 of them without a mark in between.
    """
    mixed = any(map(str.isdigit, step)) and any(map(str.isalpha, step))
    run = _RUN.search(step)
    long = run is not None and any(map(str.isdigit, run[0])) and any(map(str.isalpha, run[0]))
    if _names_secret(before):
        return long or (mixed and len(step) >= 6 and "." not in step and not _version(step))
    return long and _names_secret(before.removesuffix("s"))


def _hook_secrets(start: str, steps: Sequence[str]) -> set[int]:
    """Return which steps of the path look like the secret of a webhook on an unknown host.

    Behind a step or in a host named for hooks; a file (of a repository on webhooks) has an ending.
    """
    named = [at for at, step in enumerate(steps) if _HOOK.fullmatch(step)]
    first = 0 if _HOOK_HOST.search(start) else named[0] + 1 if named else len(steps)
    if steps and "." in steps[-1]:
        return set()
    return {at for at in range(first, len(steps)) if _is_secret_step("token", steps[at])}


def _version(step: str) -> bool:
    """Return whether a step is a version or a date, such as ``v2-beta`` or ``2024-05-01T10``."""
    return re.fullmatch(r"v\d[\w.-]*|\d{4}-\d\d.*|[a-z]+[-_]\d+", step, re.IGNORECASE) is not None


def _names_secret(step: str) -> bool:
    words = _WORDS.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", step))
    return bool(words) and words[-1].lower() in _SECRET_STEPS


def _names(scheme: str, rest: str) -> list[str]:
    """Return names of parameters; in a path of the web too (in a store it is a partition)."""
    names = _NAME.findall(rest)
    return names + _STEP.findall(rest) if _is_web(scheme) else names


def _is_web(scheme: str) -> bool:
    return scheme.lower().startswith(("http", "ftp"))


def masked(text: str) -> str:
    """Return ``text`` with the user and all query values of every address in it as ``***``."""
    text = _HUB.sub(lambda match: match[1] + _masked_options(match[2], ""), text)
    return _ADDRESS.sub(lambda match: _masked(match.group()), text)


def _masked(address: str) -> str:
    match = _START.fullmatch(address)
    if match is None:
        return address
    scheme, authority, rest = match.groups()
    host = _decoded(authority).rpartition("@")[2]
    shown = authority if "@" not in _decoded(authority) else f"***@{host}"
    if not _PORT.fullmatch(shown.removeprefix("***@").partition("\\")[0]):
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
        rest = _masked_steps(scheme + authority, rest)
    return scheme + shown + _masked_options(rest, scheme)


def _masked_steps(start: str, rest: str) -> str:
    """Mask what :func:`_secret_step` finds; of a webhook all behind the host."""
    path = re.split(r"[?#;]", rest)[0]
    if _WEBHOOKS.match(start + _decoded(rest)):
        return "/***" + rest[len(path) :]
    steps = path.split("/")
    hidden = _hook_secrets(start, [_decoded(step) for step in steps])
    steps = ["***" if at in hidden else step for at, step in enumerate(steps)]
    shown = steps[:1]
    for before, step in pairwise(steps):
        pair = _PAIR.fullmatch(_decoded(step))
        if _is_secret_step(_decoded(before), _decoded(step)):
            shown.append("***")
        elif pair and _names_secret(pair[1]):
            shown.append(f"{pair[1]}:***")
        else:
            shown.append(step)
    return "/".join(shown) + rest[len(path) :]


def _masked_options(rest: str, scheme: str) -> str:
    return _OPTION.sub(lambda option: _masked_option(option, scheme), rest)


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
