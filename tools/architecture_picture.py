"""Draws docs/images/architecture.svg: the packages by layer, from the import contracts.

``python tools/architecture_picture.py`` writes all derived pictures of the documentation, those of
the pipelines' graphs (:mod:`graph_picture`) with them; ``--check`` fails when one is stale.
"""

import ast
import sys
import tomllib
from html import escape
from pathlib import Path

from graph_picture import pictures as graph_pictures

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
WIDTH, BOX_HEIGHT, GAP, LEFT = 1120, 64, 10, 16
CHARACTER = 6.3
"""Width of a character of the small text, pixels."""


def layers() -> list[list[str]]:
    """Return the packages of each layer, the highest first, as the import contracts have them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (found,) = [
        contract["layers"]
        for contract in contracts["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    return [[name.strip() for name in layer.split("|")] for layer in found]


def summary(name: str) -> str:
    """Return the first line of a package's or module's docstring."""
    package = ROOT / "refine_af" / name / "__init__.py"
    path = package if package.exists() else ROOT / "refine_af" / f"{name}.py"
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0].rstrip(".").replace("``", "")


def wrapped(text: str, most: int) -> list[str]:
    """Return at most two lines of at most ``most`` characters."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) + 1 > most and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines[:2] if len(lines) <= 2 else [lines[0], lines[1][: most - 1] + "…"]


def box(name: str, left: float, top: float, width: float) -> str:
    """Return the SVG of one package."""
    lines = [
        f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{BOX_HEIGHT}" rx="6"/>',
        f'<text class="name" x="{left + 10:g}" y="{top + 22:g}">{escape(name)}</text>',
    ]
    for number, line in enumerate(wrapped(summary(name), int((width - 20) / CHARACTER))):
        lines.append(
            f'<text x="{left + 10:g}" y="{top + 40 + 15 * number:g}">{escape(line)}</text>'
        )
    return "\n".join(lines)


def picture() -> str:
    """Return the SVG: one row per layer; a package may import only what stands below it."""
    rows, top = [], 44.0
    for layer in layers():
        width = (WIDTH - 2 * LEFT - GAP * (len(layer) - 1)) / len(layer)
        rows += [box(name, LEFT + at * (width + GAP), top, width) for at, name in enumerate(layer)]
        top += BOX_HEIGHT + GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 6:g}" role="img"'
        ' aria-label="Packages of refine_af by layer">\n<style>'
        "rect{fill:#e8f3f1;stroke:#00796b}text{font:11px sans-serif;fill:#263238}"
        ".name{font:600 14px sans-serif}.head{font:13px sans-serif}</style>\n"
        f'<rect x="0" y="0" width="{WIDTH}" height="{top + 6:g}" style="fill:#fff;stroke:none"/>\n'
        f'<text class="head" x="{LEFT}" y="28">A package imports only packages in rows below its'
        " own (checked on every build).</text>\n"
    )
    return head + "\n".join(rows) + "\n</svg>\n"


def main() -> int:
    """Write the pictures, or with ``--check`` return 1 when one is stale."""
    stale = 0
    for path, text in ({PICTURE: picture()} | graph_pictures()).items():
        if "--check" not in sys.argv[1:]:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"{path.relative_to(ROOT)} is stale; run make gen\n")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
