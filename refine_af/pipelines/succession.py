"""A run's folder belongs to its configuration, and a finished run stays whole until it is replaced.

A run in a folder that holds a finished run, or one of another configuration, works in ``next/``
below it; what it made takes the earlier run's place when all of it is there. Journals are kept by
content in ``work/`` and serve both.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.jsonl import parse_object
from refine_af.lineage.configuration import deciding, differences
from refine_af.lineage.digest_list import LIST, PAGE
from refine_af.lineage.run import ARTIFACTS, CONFIGURATION
from refine_af.pipelines.config import RunConfig
from refine_af.storage.atomic import put_in_place

NEXT = "next"
SHOWN = 5
_BESIDE = (CONFIGURATION, "events.jsonl", "run.log", PAGE, LIST)
"""Files and folders beside the artifacts, in the order in which they replace the earlier ones."""


def default_folder(preset: str, config: RunConfig) -> Path:
    """Return ``runs/<preset>-seed<seed>-<digest>``: another configuration, another folder."""
    seed = config.parameters.get("seed", 1)
    return Path("runs", f"{preset}-seed{seed}-{configuration_digest(config)}")


def configuration_digest(config: RunConfig) -> str:
    """Return six hexadecimal digits of everything that decides about a run."""
    values = deciding(config.model_dump(mode="json"))
    text = json.dumps(values, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def working_folder(
    folder: Path, config: dict[str, Any], again: Collection[str] | None, replace: bool
) -> Path:
    """Return where a run may work: ``folder``, or ``next`` in it while an earlier run is there.

    Args:
        folder: The run's folder.
        config: What ``run.json`` will hold as configuration.
        again: Stages of the part that is run again on the folder's artifacts, whose own
            parameters may change; None runs everything.
        replace: Whether a run of another configuration may be replaced.

    Raises:
        ParameterError: When the folder holds a run of another configuration.
    """
    path = folder / CONFIGURATION
    if not path.is_file():
        return folder
    earlier = parse_object(path.read_bytes(), str(path)).get("config", {})
    changed = differences(earlier, config)
    foreign = {
        name: values
        for name, values in changed.items()
        if again is None or name.split(".")[0] != "stages" or name.split(".")[1] not in again
    }
    if foreign and not replace:
        raise ParameterError(_refusal(folder, foreign))
    if not changed and not (folder / LIST).exists():
        return folder  # the same run, continued
    work = folder / NEXT
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    if again is not None and not foreign:
        shutil.copytree(folder / ARTIFACTS, work / ARTIFACTS, copy_function=os.link)
    return work


def _refusal(folder: Path, foreign: dict[str, tuple[Any, Any]]) -> str:
    lines = [f"{name} was {old!r}, now {new!r}" for name, (old, new) in foreign.items()]
    more = f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return (
        f"{folder} holds a run of another configuration ({'; '.join(lines[:SHOWN])}{more});"
        " choose another --output-dir, or say --replace: that run is removed when the new one is"
        " whole"
    )


def take_place(work: Path, folder: Path) -> None:
    """Replace the earlier run in ``folder`` by the one in ``work``."""
    if work == folder:
        return
    put_in_place(work / ARTIFACTS, folder / ARTIFACTS)
    (folder / LIST).unlink(missing_ok=True)
    for name in _BESIDE:
        if (work / name).exists():
            os.replace(work / name, folder / name)
    shutil.rmtree(work)
