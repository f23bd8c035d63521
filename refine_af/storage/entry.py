"""The records of a journal: identity, entries, failure and completion."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from refine_af.contracts.errors import DataError
from refine_af.contracts.params import Scalar
from refine_af.storage.manifest import digest_bytes

KEY_LENGTH = 32
ENTRY_SUFFIX = ".entry"
"""Suffix of an entry's file, so that both ``a`` and ``a/b`` can be names."""

_PART = r"[A-Za-z0-9_][A-Za-z0-9._=+@,-]*"
_NAME = re.compile(rf"{_PART}(/{_PART})*")


def journal_name(name: str) -> str:
    """Return ``name`` when a stage may publish progress under it.

    Raises:
        DataError: Naming the allowed characters.
    """
    if not _NAME.fullmatch(name) or any(part.endswith(ENTRY_SUFFIX) for part in name.split("/")):
        raise DataError(
            f"the journal name {name!r} is refused; a name has parts separated by '/', each of"
            f" letters, digits and ._=+@,- that starts with a letter, digit or _ and does not end"
            f" in {ENTRY_SUFFIX}"
        )
    return name


def wrap(data: bytes, name: str) -> bytes:
    """Return ``data`` behind a header line with its size, its sha256 and the entry's name.

    So a file that was cut short by a crashed disk, altered by another tool or put under another
    entry's name is noticed, and never taken for data.
    """
    header = {"size": len(data), "sha256": digest_bytes(data), "name": name}
    return json.dumps(header).encode() + b"\n" + data


def unwrap(raw: bytes, name: str) -> bytes | None:
    """Return the data of the entry ``name``, or None when ``raw`` is not that entry, whole."""
    line, newline, data = raw.partition(b"\n")
    expected = {"size": len(data), "sha256": digest_bytes(data), "name": name}
    return data if newline and _json(line) == expected else None


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return canonical JSON: keys sorted, ASCII, no blanks."""
    text = json.dumps(
        value, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False
    )
    return text.encode()


@dataclass(frozen=True, slots=True)
class Identity:
    """Everything that decides the outputs of a stage run.

    Attributes:
        stage: Name of the stage.
        params: ``Params.method_values()``: parameters that can change rows.
        inputs: Digest or revision of each input that is present, by the input's name.
        code: Version of the code.
    """

    stage: str
    params: Mapping[str, Scalar]
    inputs: Mapping[str, str]
    code: str

    @property
    def key(self) -> str:
        """Return the first 32 hexadecimal digits of the sha256 of the canonical JSON."""
        return digest_bytes(self.dump())[:KEY_LENGTH]

    def dump(self) -> bytes:
        """Return canonical JSON."""
        value = {
            "stage": self.stage,
            "params": dict(self.params),
            "inputs": dict(self.inputs),
            "code": self.code,
        }
        return canonical(value)

    @classmethod
    def load(cls, raw: bytes) -> "Identity | None":
        """Return the identity in ``raw``, or None when it holds anything else."""
        value = _json(raw)
        if not isinstance(value, dict) or value.keys() != {"stage", "params", "inputs", "code"}:
            return None
        params, inputs = value["params"], value["inputs"]
        texts = (value["stage"], value["code"], *_values(inputs))
        if not isinstance(params, dict) or not isinstance(inputs, dict):
            return None
        if not all(isinstance(text, str) for text in texts):
            return None
        if not all(map(_is_scalar, params.values())):
            return None
        return cls(value["stage"], params, inputs, value["code"])

    def differences(self, other: "Identity") -> list[str]:
        """Return one line for each thing that differs, ours first: ``params.seed: 1, not 2``."""
        mine, theirs = self._flat(), other._flat()
        return [
            f"{name}: {mine.get(name, 'absent')!r}, not {theirs.get(name, 'absent')!r}"
            for name in sorted(mine.keys() | theirs.keys())
            if mine.get(name) != theirs.get(name)
        ]

    def _flat(self) -> dict[str, Scalar]:
        flat: dict[str, Scalar] = {"stage": self.stage, "code": self.code}
        flat |= {f"params.{name}": value for name, value in self.params.items()}
        flat |= {f"inputs.{name}": value for name, value in self.inputs.items()}
        return flat


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where the directory of an entry is: the folder's name and the directory's digest."""

    token: str
    digest: str

    def dump(self) -> bytes:
        """Return JSON."""
        return _dump(self)

    @classmethod
    def load(cls, raw: bytes) -> "Pointer | None":
        """Return the pointer in ``raw``, or None when it holds anything else."""
        value = _fields(raw, token=str, digest=str)
        return cls(**value) if value and _is_token(value["token"]) else None


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure that a retry would repeat.

    Attributes:
        message: The first message.
        exit_code: Of the failed run.
        cause: Digest of what caused it beside the identity: the software and the hardware.
    """

    message: str
    exit_code: int
    cause: str = ""

    def dump(self) -> bytes:
        """Return JSON."""
        return _dump(self)

    @classmethod
    def load(cls, raw: bytes) -> "Failure | None":
        """Return the failure in ``raw``, or None when it holds anything else."""
        value = _fields(raw, message=str, exit_code=int, cause=str)
        return cls(**value) if value else None


@dataclass(frozen=True, slots=True)
class Done:
    """A finished run.

    Attributes:
        outputs: Digest of each output by name.
        metrics: The stage's metrics.
        token: Names the folder that holds the outputs.
    """

    outputs: Mapping[str, str]
    metrics: Mapping[str, float]
    token: str

    def dump(self) -> bytes:
        """Return JSON."""
        return _dump(self)

    @classmethod
    def load(cls, raw: bytes) -> "Done | None":
        """Return the finished run in ``raw``, or None when it holds anything else."""
        value = _fields(raw, outputs=dict, metrics=dict, token=str)
        if not value or not _is_token(value["token"]):
            return None
        digests, metrics = _values(value["outputs"]), _values(value["metrics"])
        if not all(isinstance(digest, str) for digest in digests):
            return None
        if not all(isinstance(number, int | float) for number in metrics):
            return None
        return cls(**value) if all(map(_NAME.fullmatch, value["outputs"])) else None


def _dump(value: Pointer | Failure | Done) -> bytes:
    return json.dumps(asdict(value), sort_keys=True).encode()


def _fields(raw: bytes, **types: type) -> dict[str, Any] | None:
    """Return the object in ``raw`` when it has exactly these fields, of these types."""
    value = _json(raw)
    if not isinstance(value, dict) or value.keys() != types.keys():
        return None
    return value if all(type(value[name]) is kind for name, kind in types.items()) else None


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _is_token(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{16}", text) is not None


def _values(value: object) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else []


def _json(raw: bytes) -> Any:  # noqa: ANN401  any JSON value
    """Return the JSON value in ``raw``; None when it is not JSON, or nested too deeply."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None
