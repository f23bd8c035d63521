"""The artifacts of a local run, laid out as Argo and KFP leave them in a bucket."""

import hashlib
import json
import shutil
from pathlib import Path

from refine_af.runner import find_stage
from refine_af.storage.schemes import open_store


def as_argo(run: Path, target: Path) -> Path:
    """Lay out ``<task>/<artifact>`` and the pods' logs."""
    shutil.copytree(run / "artifacts", target)
    pod = target / "refine-af-abcde-train-sft-1051970763"
    pod.mkdir()
    (pod / "main.log").write_text("train_sft (rl): start\n", encoding="utf-8")
    return target


def as_kfp(run: Path, target: Path) -> Path:
    """Lay out ``<task>/<id>/<artifact>``: numbers for arms, no metrics, a try that failed."""
    numbers: dict[str, int] = {}
    for folder in sorted((run / "artifacts").iterdir()):
        stage, _, label = folder.name.partition("-")
        numbers[stage] = numbers.get(stage, 0) + 1
        command = find_stage(stage).command
        task = command if numbers[stage] == 1 else f"{command}-{numbers[stage]}"
        place = target / task / _identifier(folder.name)
        shutil.copytree(folder, place, ignore=shutil.ignore_patterns("metrics"))
        telemetry = {"stage": stage, "label": label, "started": 5.0, "seconds": 1.0}
        (place / "telemetry").write_text(json.dumps(telemetry), encoding="utf-8")
        (place / "executor-logs-0").write_text("...", encoding="utf-8")
    failed = target / "train-sft" / _identifier("failed")
    failed.mkdir()
    (failed / "executor-logs-0").write_text("killed", encoding="utf-8")
    return target


def _identifier(name: str) -> str:
    digits = hashlib.sha256(name.encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"


def upload(folder: Path, uri: str) -> str:
    """Put every file of a folder below a URI, one by one as launchers do."""
    store = open_store(uri)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            store.publish_bytes(f"{uri}/{name}", path.read_bytes(), durable=False)
    return uri
