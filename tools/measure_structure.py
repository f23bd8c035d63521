"""Prints the size of the package: modules, lines, functions. ``measure_structure.py [FOLDER]``."""

import ast
import statistics
import sys
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


def quantile(values: list[int], share: float) -> int:
    """Return the smallest value that at least ``share`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


def functions(tree: ast.Module) -> list[Function]:
    """Return all functions and methods, nested ones too."""
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def length(node: Function) -> int:
    """Return the lines from ``def`` to the end, decorators left out."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def main(folder: Path) -> None:
    """Print one table for a folder of Python files."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))}
    lines = [text.count("\n") for text in texts.values()]
    found = [node for text in texts.values() for node in functions(ast.parse(text))]
    sizes = [length(node) for node in found]
    public = [node for node in found if not node.name.startswith("_")]
    documented = sum(ast.get_docstring(node) is not None for node in public)
    print(f"modules                      {len(texts)}")
    print(f"lines                        {sum(lines)}")
    print(f"module lines, median / p90   {statistics.median(lines):g} / {quantile(lines, 0.9)}")
    print(f"functions                    {len(found)}")
    shares = " / ".join(str(quantile(sizes, share)) for share in (0.5, 0.9, 0.99, 1.0))
    print(f"function lines, median / p90 / p99 / max   {shares}")
    print(f"public functions with a docstring          {documented / len(public):.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "refine_af"))
