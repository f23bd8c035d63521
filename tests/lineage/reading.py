"""Artifacts read the slow and plain way, to compare with."""

import json
from pathlib import Path
from typing import Any


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def every_parent(run: Path) -> dict[str, list[str]]:
    """Parents of every row that stages made, read from the files one by one."""
    found: dict[str, list[str]] = {}
    for pattern in ("seed_ingest/seeds", "generate_in*/in*", "*/rejected"):
        for path in (run / "artifacts").glob(pattern):
            found |= {row["id"]: row["parents"] for row in rows(path)}
    return found


def ancestors(parents: dict[str, list[str]], row_id: str) -> set[str]:
    above = parents.get(row_id, [])
    return set(above).union(*(ancestors(parents, parent) for parent in above))
