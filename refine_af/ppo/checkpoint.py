"""Checkpoints: everything a run needs to go on, as safetensors and JSON, in one atomic step.

A checkpoint is a directory ``checkpoint-NNNNNN`` of the journal with ``weights.safetensors``
(trained parameters and value head), ``optimizer.safetensors`` (AdamW's moments and step counts)
and ``state.json``. Random draws are functions of (seed, update), so no generator state is kept.
"""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from refine_af.contracts.errors import JournalMismatchError
from refine_af.contracts.stage import Journal, Progress
from refine_af.ppo.episodes import Prompt
from refine_af.ppo.params import PPOParams
from refine_af.ppo.policy import Policy
from refine_af.processes.group import ALONE, Processes, laid_out_as, whole

PREFIX = "checkpoint-"
KEPT = 2
"""Checkpoints kept: the newest, and its predecessor in case storage damaged the newest."""

FORMAT = 1
_PROBE = 4096


@dataclass(slots=True)
class State:
    """The state of a run besides weights and moments.

    Attributes:
        update: Updates done.
        kl_coefficient: Of the next update.
        metrics: One row per update done.
        reward: State of a reward that keeps statistics; None of one that does not.
        stopped: Why training ended early, if it did.
    """

    update: int
    kl_coefficient: float
    metrics: list[dict[str, float]] = field(default_factory=list)
    reward: dict[str, Any] | None = None
    stopped: str = ""


def identify(
    policy: Policy, prompts: Sequence[Prompt], settings: PPOParams
) -> dict[str, dict[str, Any]]:
    """Return what a checkpoint must agree on with the run that loads it.

    The start model counts by the shape of each parameter and a digest over at most 4,096 values
    of each, evenly spread: it distinguishes models without hashing gigabytes.
    """
    config = policy.model.config.to_dict()
    described = {name: config[name] for name in sorted(config) if name not in _UNIMPORTANT}
    rows = [[prompt.id, prompt.text] for prompt in prompts]
    return {
        "settings": settings.identity(),
        "model": json.loads(json.dumps(described, default=str)),
        "weights": {"digest": policy.start_digest or digest_start_weights(policy)},
        "prompts": {"count": len(prompts), "digest": _digest(json.dumps(rows).encode())},
    }


# They name a path or a library version, not a model.
_UNIMPORTANT = {"_name_or_path", "transformers_version"}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest_start_weights(policy: Policy) -> str:
    """Return a digest of whole start weights; sharded ones have it from before they were split."""
    seen = hashlib.sha256()
    base = policy.reference if policy.reference is not None else policy.model
    for name, tensor in base.named_parameters():
        seen.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        if not tensor.requires_grad:
            flat = tensor.detach().flatten()
            probe = flat[:: max(1, flat.numel() // _PROBE)][:_PROBE].cpu()
            seen.update(probe.contiguous().view(torch.uint8).numpy().tobytes())
    return seen.hexdigest()


def save(
    journal: Journal,
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    state: State,
    identity: dict[str, Any],
    processes: Processes = ALONE,
) -> None:
    """Publish a checkpoint and discard all but the newest two; every process must call it.

    An old checkpoint is removed only after the new one is complete, so neither a full disk nor
    a kill loses one.
    """
    weights = {name: _kept(parameter) for name, parameter in policy.trainable().items()}
    moments = _moments(policy, optimizer)
    if not processes.main:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        save_file(weights, path / "weights.safetensors")
        save_file(moments, path / "optimizer.safetensors")
        content = {
            "format": FORMAT,
            "identity": identity,
            "sha256": {file.name: _digest(file.read_bytes()) for file in sorted(path.iterdir())},
            "state": asdict(state),
        }
        (path / "state.json").write_text(json.dumps(content, allow_nan=False, indent=1))
        journal.publish_directory(f"{PREFIX}{state.update:06d}", path)
    for name in journal.names(PREFIX)[:-KEPT]:
        journal.discard(name)


def _kept(tensor: Tensor) -> Tensor:
    return whole(tensor.detach()).cpu().contiguous()


def _moments(policy: Policy, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's tensors as ``<moment>:<parameter>``."""
    return {
        f"{moment}:{name}": _kept(value)
        for name, parameter in policy.trainable().items()
        for moment, value in optimizer.state[parameter].items()
    }


def restore(
    journal: Journal,
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    identity: dict[str, Any],
    progress: Progress,
    processes: Processes = ALONE,
) -> State | None:
    """Load weights and moments of the newest whole checkpoint; return None if there is none.

    A damaged checkpoint (its digests do not fit) is named and the one before it used. Rank 0
    reads it and broadcasts it to the others.

    Raises:
        JournalMismatchError: When it belongs to another model, prompts or settings, with the list
            of differences.
    """
    newest = _newest(journal, identity, progress) if processes.main else None
    newest = processes.from_main(newest)
    if newest is None:
        return None
    _load(newest.weights, newest.moments, policy, optimizer)
    return State(**newest.state)


@dataclass(frozen=True, slots=True)
class _Found:
    state: dict[str, Any]
    weights: dict[str, Tensor]
    moments: dict[str, Tensor]


def _newest(journal: Journal, identity: dict[str, Any], progress: Progress) -> _Found | None:
    for name in reversed(journal.names(PREFIX)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            content = _read_state(path) if journal.read_directory(name, path) else None
            if content is None:
                progress.say(f"{name} is damaged; continuing from the previous one")
                continue
            _refuse_other(name, content["identity"], identity)
            return _Found(
                content["state"],
                load_file(path / "weights.safetensors"),
                load_file(path / "optimizer.safetensors"),
            )
    return None


def _read_state(path: Path) -> dict[str, Any] | None:
    """Return ``state.json``; None when it or a file that it names is damaged."""
    try:
        content: dict[str, Any] = json.loads((path / "state.json").read_bytes())
        digests = content["sha256"].items()
        whole = all(_digest((path / name).read_bytes()) == digest for name, digest in digests)
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return content if whole else None


def _refuse_other(name: str, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    differences = [
        f"{group}.{key} is {stored.get(group, {}).get(key)!r} there and {value.get(key)!r} here"
        for group, value in wanted.items()
        for key in sorted({*value, *stored.get(group, {})})
        if stored.get(group, {}).get(key) != value.get(key)
    ]
    if differences:
        raise JournalMismatchError(
            f"{name} is of another run: {'; '.join(differences)}; use another work directory or"
            " go back to those values"
        )


def _load(
    weights: dict[str, Tensor],
    moments: dict[str, Tensor],
    policy: Policy,
    optimizer: torch.optim.Optimizer,
) -> None:
    parameters = policy.trainable()
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(laid_out_as(weights[name], parameter))
    for key, value in moments.items():
        moment, name = key.split(":", 1)
        parameter = parameters[name]
        # AdamW keeps its step counts on the CPU.
        placed = value if moment == "step" else laid_out_as(value, parameter)
        optimizer.state[parameter][moment] = placed
