"""What a journal belongs to: stage, parameters, inputs and code, and the key made of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from refine_af.contracts.params import Scalar
from refine_af.storage.digest import digest_bytes

KEY_LENGTH = 32


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
        """Return the identity in ``raw``, or None when it is none."""
        try:
            value = json.loads(raw)
            return cls(
                str(value["stage"]), dict(value["params"]), dict(value["inputs"]), value["code"]
            )
        except (ValueError, KeyError, TypeError):
            return None

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
