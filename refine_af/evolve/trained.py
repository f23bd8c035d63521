"""A trained operator policy on disk: weights as safetensors, and what they belong to as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from refine_af.contracts.errors import DataError
from refine_af.evolve.network import OperatorNetwork
from refine_af.evolve.operators import Operators
from refine_af.evolve.state import State, Vectors, encode, width

WEIGHTS, FACTS = "policy.safetensors", "policy.json"
FORMAT = 1


class StoredPolicy:
    """A trained policy, for inference only."""

    def __init__(self, network: OperatorNetwork, facts: dict[str, Any]) -> None:
        """Wrap a network; ``facts`` as :func:`save_policy` writes them."""
        self._network, self.facts = network, facts

    @torch.no_grad()
    def __call__(self, states: Sequence[State], vectors: Vectors) -> NDArray[np.float64]:
        """Return the shares of the operators (and of stop, last, where it may be chosen)."""
        facts = self.facts
        seen = encode(states, vectors, len(facts["operators"]), facts["steps"], text=facts["text"])
        shares: NDArray[np.float64] = (
            self._network(torch.from_numpy(seen)).log_probs.double().exp().numpy()
        )
        shares /= shares.sum(1, keepdims=True)
        return shares


def save_policy(folder: Path, network: OperatorNetwork, facts: dict[str, Any]) -> None:
    """Write a policy.

    Args:
        folder: Created if it does not exist.
        network: Its weights are written, nothing else of it.
        facts: ``operators`` (names), ``operators_digest``, ``embedding``, ``dimension``,
            ``steps``, ``hidden``, ``text``, ``stop``, and anything else that records its origin.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in network.state_dict().items()},
        folder / WEIGHTS,
    )
    text = json.dumps({"format": FORMAT} | facts, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / FACTS).write_text(text + "\n", encoding="utf-8")


def load_policy(folder: Path, operators: Operators, embedding: str) -> StoredPolicy:
    """Return the policy in ``folder``.

    Raises:
        DataError: It is not a policy, or it was trained with other operators or embeddings: its
            choices would mean something else.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise DataError(
            f"{folder}: not an operator policy as train_operator_policy writes it ({error})"
        ) from None
    if facts.get("operators_digest") != operators.digest:
        raise DataError(
            f"{folder}: the policy was trained with the operators {facts.get('operators_digest')},"
            f" this run has {operators.digest}; give the same operators_uri or train anew"
        )
    if facts.get("embedding") != embedding:
        raise DataError(
            f"{folder}: the policy reads {facts.get('embedding')!r}, this run embeds with"
            f" {embedding!r}; set the same embedding"
        )
    return StoredPolicy(_network(folder, facts, weights), facts)


def _network(
    folder: Path, facts: dict[str, Any], weights: dict[str, torch.Tensor]
) -> OperatorNetwork:
    names = len(facts["operators"])
    actions = names + bool(facts["stop"])
    network = OperatorNetwork(width(facts["dimension"], names), actions, facts["hidden"], 0)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(f"{folder}: weights and {FACTS} do not fit ({error})") from None
    return network
