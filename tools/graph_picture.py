"""Draws docs/images/graph-*.svg: the levels of a compiled pipeline as KFP's page lays them out.

Of each pipeline a picture of the first level, and one of all levels below it.
``tools/architecture_picture.py`` writes them. Boxes
have the page's size and distances; as there, a box stands below all boxes that lead to it, and the
order in a row keeps crossings few (Sugiyama, Tagawa and Toda 1981, as in the page's layout library
dagre). What learns by reinforcement is coloured, which the page does not do.
"""

from collections import defaultdict
from html import escape
from itertools import pairwise
from pathlib import Path

from refine_af.pipelines.compiling import compile_request
from refine_af.pipelines.config import load_config
from refine_af.pipelines.flow import Images
from refine_af.pipelines.graph import Box, Level, levels

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "images"
PRESETS = {"refine-af": "quickstart", "teams-rl": "teams-rl-quickstart"}

WIDTH, HEIGHT, BESIDE, BELOW = 224.0, 48.0, 50.0, 50.0
"""Of a box, and between boxes, in pixels: those of the page."""

MARGIN, TITLE = 40.0, 46.0
SWEEPS = 24
LONGEST = 27
"""Characters of a label; the page cuts there too."""

LEARNS = ("train_ppo", "train_operator_policy", "PPO", ": RL")

Positions = dict[str, tuple[float, float]]


def ranks(level: Level) -> dict[str, int]:
    """Return the row of each box: below what leads to it, and close to what it leads to."""
    before, after = _neighbours(level)
    rank: dict[str, int] = {}
    for key in _sorted(level):
        rank[key] = max((rank[other] + 1 for other in before[key]), default=0)
    for key in reversed(_sorted(level)):
        if after[key] and not before[key]:
            rank[key] = min(rank[other] for other in after[key]) - 1
    return rank


def _neighbours(level: Level) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    before: dict[str, list[str]] = defaultdict(list)
    after: dict[str, list[str]] = defaultdict(list)
    for first, second in level.edges:
        before[second].append(first)
        after[first].append(second)
    return before, after


def _sorted(level: Level) -> list[str]:
    """Return the boxes in an order in which each comes after those that lead to it."""
    before, _ = _neighbours(level)
    waiting, ordered = [box.key for box in level.boxes], list[str]()
    while waiting:
        ready = [key for key in waiting if not set(before[key]) & set(waiting)]
        ordered += ready
        waiting = [key for key in waiting if key not in set(ready)]
    return ordered


def rows(level: Level) -> tuple[list[list[str]], dict[str, list[str]]]:
    """Return the boxes of each row from left to right, with points that long edges pass through.

    Returns:
        The rows, and of each box or point those that it leads to in the next row.
    """
    rank = ranks(level)
    lines: list[list[str]] = [[] for _ in range(max(rank.values()) + 1)]
    for key in _sorted(level):
        lines[rank[key]].append(key)
    down: dict[str, list[str]] = defaultdict(list)
    for first, second in level.edges:
        chain = [first]
        for at in range(rank[first] + 1, rank[second]):
            point = f"{first}>{second}>{at}"
            lines[at].append(point)
            chain.append(point)
        for one, other in zip(chain, [*chain[1:], second], strict=True):
            down[one].append(other)
    _order(lines, down)
    return lines, down


def _order(lines: list[list[str]], down: dict[str, list[str]]) -> None:
    """Sort each row by the middle of what its boxes are joined to; keep the best of all sweeps."""
    up = _turned(down)
    best, fewest = [list(line) for line in lines], crossings(lines, down)
    for sweep in range(SWEEPS):
        joined = up if sweep % 2 == 0 else down
        order = range(1, len(lines)) if sweep % 2 == 0 else range(len(lines) - 2, -1, -1)
        for at in order:
            fixed = lines[at - 1] if sweep % 2 == 0 else lines[at + 1]
            place = {key: number for number, key in enumerate(fixed)}
            middle = {}
            for number, key in enumerate(lines[at]):
                found = sorted(place[item] for item in joined[key])
                middle[key] = sum(found) / len(found) if found else float(number)
            lines[at].sort(key=lambda key: middle[key])
        if (count := crossings(lines, down)) < fewest:
            best, fewest = [list(line) for line in lines], count
    for line, kept in zip(lines, best, strict=True):
        line[:] = kept


def _turned(down: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the edges from their ends."""
    up: dict[str, list[str]] = defaultdict(list)
    for one, others in down.items():
        for other in others:
            up[other].append(one)
    return up


def crossings(lines: list[list[str]], down: dict[str, list[str]]) -> int:
    """Return how many pairs of edges between neighbouring rows cross."""
    total = 0
    for line, below in pairwise(lines):
        place = {key: number for number, key in enumerate(below)}
        ends = [sorted(place[other] for other in down[key]) for key in line]
        seen: list[int] = []
        for targets in ends:
            total += sum(other > target for target in targets for other in seen)
            seen += targets
    return total


def positions(level: Level) -> tuple[Positions, dict[str, list[str]]]:
    """Return the middle of each box and point, and what each leads to in the next row."""
    lines, down = rows(level)
    up = _turned(down)
    x: dict[str, float] = {}
    for line in lines:
        for number, key in enumerate(line):
            x[key] = number * (WIDTH + BESIDE)
    for sweep in range(SWEEPS):
        for line in lines if sweep % 2 == 0 else reversed(lines):
            wanted = {}
            for key in line:
                near = [x[item] for item in (*up[key], *down[key])]
                wanted[key] = sum(near) / len(near) if near else x[key]
            _spread(line, wanted, x)
    left = min(x.values())
    places = {
        key: (x[key] - left + WIDTH / 2 + MARGIN, at * (HEIGHT + BELOW) + HEIGHT / 2)
        for at, line in enumerate(lines)
        for key in line
    }
    return places, down


def _width(key: str) -> float:
    return 12.0 if ">" in key else WIDTH


def _spread(line: list[str], wanted: dict[str, float], x: dict[str, float]) -> None:
    """Put each box as near as possible to where it is wanted, without overlap, in order.

    Boxes that would overlap form a block, which stands at the mean of what its boxes want.
    """
    blocks: list[tuple[list[str], list[float], float]] = []
    for key in line:
        blocks.append(([key], [0.0], wanted[key]))
        while len(blocks) > 1:
            (keys, offsets, at), (more, further, then) = blocks[-2:]
            step = offsets[-1] + (_width(keys[-1]) + _width(more[0])) / 2 + BESIDE
            if at + step <= then:
                break
            keys = keys + more
            offsets = offsets + [step + offset for offset in further]
            pulls = [wanted[one] - offset for one, offset in zip(keys, offsets, strict=True)]
            blocks[-2:] = [(keys, offsets, sum(pulls) / len(pulls))]
    for keys, offsets, at in blocks:
        x.update({key: at + offset for key, offset in zip(keys, offsets, strict=True)})


def panel(level: Level, top: float) -> tuple[str, float, float]:
    """Return the SVG of a level below ``top``, its width and its height."""
    places, down = positions(level)
    title = " / ".join(("First level", *level.path))
    lines = [f'<text class="title" x="{MARGIN:g}" y="{top + 28:g}">{escape(title)}</text>']
    start = top + TITLE
    for one, others in down.items():
        for other in others:
            lines.append(_edge(places[one], places[other], start, ">" in one, ">" in other))
    lines += [_box(box, *places[box.key], start) for box in level.boxes]
    width = max(x for x, _ in places.values()) + WIDTH / 2 + MARGIN
    height = max(y for _, y in places.values()) + HEIGHT / 2 + TITLE + MARGIN
    return "\n".join(lines), width, height


def _edge(
    one: tuple[float, float], other: tuple[float, float], top: float, passes: bool, passed: bool
) -> str:
    x1, y1 = one[0], top + one[1] + (0 if passes else HEIGHT / 2)
    x2, y2 = other[0], top + other[1] - (0 if passed else HEIGHT / 2)
    middle = (y1 + y2) / 2
    end = "" if passed else ' marker-end="url(#a)"'
    return (
        f'<path class="edge" d="M{x1:.0f} {y1:.0f}C{x1:.0f} {middle:.0f} {x2:.0f} {middle:.0f}'
        f' {x2:.0f} {y2:.0f}"{end}/>'
    )


def _box(box: Box, x: float, y: float, top: float) -> str:
    learns = box.kind != "artifact" and any(word in box.label for word in LEARNS)
    shown = box.label if len(box.label) <= LONGEST else box.label[: LONGEST - 1] + "…"
    return (
        f'<g class="{box.kind}{" learns" if learns else ""}"><title>{escape(box.label)}</title>'
        f'<rect x="{x - WIDTH / 2:.0f}" y="{top + y - HEIGHT / 2:.0f}" width="{WIDTH:g}"'
        f' height="{HEIGHT:g}" rx="{24 if box.kind == "artifact" else 6}"/>'
        f'<text x="{x:.0f}" y="{top + y + 5:.0f}">{escape(shown)}</text></g>'
    )


STYLE = (
    "rect{fill:#fff;stroke:#90a4ae}.dag rect{fill:#e3f2fd;stroke:#1565c0;stroke-width:2}"
    ".artifact rect{fill:#fafafa;stroke:#cfd8dc}.learns rect{fill:#ffe0b2;stroke:#e65100;"
    "stroke-width:3}text{font:15px sans-serif;fill:#263238;text-anchor:middle}"
    ".title{font:600 20px sans-serif;text-anchor:start}.edge{fill:none;stroke:#90a4ae}"
    ".artifact text{fill:#546e7a}"
)


def pictures() -> dict[Path, str]:
    """Return the SVGs by their paths."""
    drawn: dict[Path, str] = {}
    for name, preset in PRESETS.items():
        first, *below = levels(compile_request(load_config(preset, ""), "cpu", Images()).spec)
        drawn[FOLDER / f"graph-{name}.svg"] = picture(preset, [first])
        drawn[FOLDER / f"graph-{name}-below.svg"] = picture(preset, below)
    return drawn


def picture(preset: str, drawn: list[Level]) -> str:
    """Return the SVG of levels, one below the other."""
    top, widest, parts = 10.0, 0.0, list[str]()
    for level in drawn:
        text, width, height = panel(level, top)
        parts.append(text)
        top, widest = top + height, max(widest, width)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {widest:.0f} {top:.0f}" role="img"'
        f' aria-label="The graph of the preset {preset}, level by level">\n<style>{STYLE}</style>\n'
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7"'
        ' orient="auto"><path d="M0 0L8 4L0 8z" fill="#90a4ae"/></marker></defs>\n'
        f'<rect width="{widest:.0f}" height="{top:.0f}" style="stroke:none"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
