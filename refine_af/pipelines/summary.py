"""The closing message of a run: a short table and the path of the report."""

import shlex
from pathlib import Path
from typing import Any

from refine_af.lineage.digest_list import PAGE


def closing_lines(result: dict[str, Any], folder: Path) -> str:
    """Return the table of arms, the comparison in one sentence and the report's path."""
    lines: list[str] = []
    arms: dict[str, dict[str, float]] = result.get("arms", {})
    if arms:
        names = sorted({name for numbers in arms.values() for name in numbers}, reverse=True)
        lines.append("  ".join([f"{'arm':12}", *(f"{name:>14}" for name in names)]))
        for arm, numbers in arms.items():
            cells = [
                f"{numbers[name]:z14.2f}" if name in numbers else f"{'-':>14}" for name in names
            ]
            lines.append("  ".join([f"{arm:12}", *cells]))
    if result.get("copies"):
        lines += [
            "",
            f"{result['instructions']} instructions kept; {result['copies']:.0%} of all that were"
            " written copied a training instruction (ROUGE-L over 0.7) and were dropped",
        ]
    if answer := result.get("answer"):
        lines += ["", str(answer)]
    page, artifacts = folder / PAGE, folder / "artifacts"
    lines += ["", f"report: {page}" if page.exists() else f"artifacts: {artifacts}"]
    if digest := result.get("digest"):
        lines.append(f"digest: {digest} (refine-af verify {shlex.quote(str(folder))} --expect ...)")
    return "\n".join(lines)
