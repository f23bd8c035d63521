"""Charts as inline SVG: the same bytes for the same numbers, in the page's own colours.

Text and colours are written as marks and replaced by CSS variables, so that one drawing follows
the light and the dark page. Series differ in line style or marker too, not in colour alone.
"""

import io
import re
from collections.abc import Sequence
from textwrap import fill
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

INK = "#010203"
FAINT = "#040506"
SERIES = ("#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04", "#0a0b05", "#0a0b06")
"""Marks; the page maps them to the colours of Okabe and Ito, chosen for the colour-blind."""

STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))

VARIABLES = {INK: "currentColor", FAINT: "var(--line)"} | {
    mark: f"var(--c{number})" for number, mark in enumerate(SERIES, start=1)
}

LEGEND_LETTERS = 78
"""Letters that a line of the legend takes, the samples of the series included."""

MOST_LETTERS_ACROSS = 26
"""Letters of a label along the y axis in one line; a longer one is broken, not clipped."""

LEGEND_GAP = 8
"""Letters that a sample and the space around it take."""

SETTINGS: Any = {
    "svg.hashsalt": "refine-af",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}

Line = tuple[str, Sequence[float], Sequence[float]]
"""A named series: x and y."""


def lines(
    name: str,
    series: Sequence[Line],
    x_label: str,
    y_label: str,
    *,
    band: Sequence[float] = (),
    floor: float | None = None,
    ceiling: float | None = None,
) -> str:
    """Return a line chart.

    Args:
        name: Unique on the page; opens every id in the drawing.
        series: At most six.
        x_label: With the unit.
        y_label: With the unit.
        band: Half width of a band around the first series, such as a standard deviation.
        floor: Lower end of the y axis.
        ceiling: Upper end.
    """
    with rc_context(SETTINGS):
        figure, axes = _axes(x_label, y_label)
        for index, (label, x, y) in enumerate(series):
            marker = "o" if len(x) < 3 else None
            style = {"color": SERIES[index], "linestyle": STYLES[index], "marker": marker}
            axes.plot(x, y, label=label, **style)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        if band:
            _, x, y = series[0]
            low, high = _band(y, band)
            axes.fill_between(x, low, high, color=SERIES[0], alpha=0.15, linewidth=0)
        _limit(axes, floor, ceiling)
        _legend(figure, [label for label, *_ in series])
        return _svg(name, figure)


def histogram(
    name: str,
    series: Sequence[tuple[str, Sequence[float]]],
    edges: Sequence[float],
    x_label: str,
    y_label: str,
    *,
    mark: tuple[float, str] | None = None,
) -> str:
    """Return step histograms as shares of each series; ``mark`` is a named vertical line."""
    with rc_context(SETTINGS):
        figure, axes = _axes(x_label, y_label)
        for index, (label, values) in enumerate(series):
            weights = [100 / len(values)] * len(values)
            axes.hist(
                values,
                bins=list(edges),
                weights=weights,
                label=label,
                histtype="stepfilled" if len(series) == 1 else "step",
                color=SERIES[index],
                linestyle=STYLES[index],
                linewidth=1.5,
                alpha=0.75 if len(series) == 1 else 1.0,
            )
        if mark:
            axes.axvline(mark[0], color=INK, linewidth=1, linestyle=":")
            axes.annotate(
                mark[1],
                (mark[0], 0.97),
                xycoords=("data", "axes fraction"),
                fontsize=8.5,
                ha="left",
                va="top",
                xytext=(4, 0),
                textcoords="offset points",
            )
        axes.set_xlim(edges[0], edges[-1])
        _legend(figure, [label for label, *_ in series])
        return _svg(name, figure)


def bars(name: str, labels: Sequence[str], values: Sequence[float], x_label: str) -> str:
    """Return horizontal bars, the first on top; ``labels`` must be short and our own."""
    with rc_context(SETTINGS | {"axes.grid.axis": "x"}):
        height = 0.6 + 0.24 * len(labels)
        figure, axes = _axes(x_label, "", height=height)
        axes.barh(range(len(labels)), values, color=SERIES[0], height=0.7, alpha=0.85)
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        return _svg(name, figure)


def differences(name: str, values: Sequence[float], x_label: str, y_label: str) -> str:
    """Return sorted bars around zero: wins and losses at a glance, by side and by hatch."""
    ranked = sorted(values, reverse=True)
    with rc_context(SETTINGS):
        figure, axes = _axes(x_label, y_label)
        for mark, hatch, chosen in (
            (SERIES[0], "", [value if value > 0 else 0.0 for value in ranked]),
            (SERIES[1], "////", [value if value < 0 else 0.0 for value in ranked]),
        ):
            axes.bar(
                range(1, len(ranked) + 1), chosen, width=0.8, color=mark, hatch=hatch, alpha=0.85
            )
        axes.axhline(0, color=INK, linewidth=0.8)
        return _svg(name, figure)


def heat(
    name: str, rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]]
) -> str:
    """Return a table of numbers whose cells are the darker the larger they are.

    Args:
        name: Unique on the page; opens every id in the drawing.
        rows: Labels, short and our own, the first on top.
        columns: Labels likewise.
        values: Finite, shape (rows, columns); shown with two digits.
    """
    low = min(min(row) for row in values)
    high = max(max(row) for row in values)
    with rc_context(SETTINGS | {"axes.grid": False}):
        figure, axes = _axes("", "", height=0.9 + 0.3 * len(rows))
        for line, row in enumerate(values):
            for column, value in enumerate(row):
                share = (value - low) / (high - low) if high > low else 0.0
                corner = (column - 0.5, line - 0.5)
                cell = Rectangle(corner, 1, 1, color=SERIES[0], alpha=0.05 + 0.6 * share, lw=0)
                axes.add_patch(cell)
                axes.text(column, line, f"{value:.2f}", ha="center", va="center", fontsize=8)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xticks(range(len(columns)), columns, rotation=25, ha="right", fontsize=8)
        axes.set_yticks(range(len(rows)), rows, fontsize=8)
        return _svg(name, figure)


def _band(y: Sequence[float], half: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return the edges of a band; of a share, which lies within 0 and 1, it stays within them."""
    low = [value - width for value, width in zip(y, half, strict=True)]
    high = [value + width for value, width in zip(y, half, strict=True)]
    if all(0 <= value <= 1 for value in y):
        return [max(0.0, value) for value in low], [min(1.0, value) for value in high]
    return low, high


def _legend(figure: Figure, names: Sequence[str]) -> None:
    """Name the series above the axes, where no line can run through their names."""
    if len(names) > 1:
        columns = max(1, LEGEND_LETTERS // (max(map(len, names)) + LEGEND_GAP))
        figure.set_figheight(figure.get_figheight() + 0.2 * -(-len(names) // columns))
        figure.legend(loc="outside upper left", ncols=columns, fontsize=8.5)


def _limit(axes: Any, floor: float | None, ceiling: float | None) -> None:  # noqa: ANN401
    low, high = axes.get_ylim()
    bottom = low if floor is None else floor
    # A little air at a fixed end, or the line at the limit is half hidden.
    top = high if ceiling is None else ceiling + 0.02 * (ceiling - bottom)
    axes.set_ylim(bottom=bottom, top=top if top > bottom else bottom + 1)


def _axes(x_label: str, y_label: str, height: float = 2.6) -> tuple[Figure, Any]:
    figure = Figure(figsize=(4.9, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(x_label)
    axes.set_ylabel(fill(y_label, MOST_LETTERS_ACROSS))
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    return figure, axes


def _svg(name: str, figure: Figure) -> str:
    sink = io.StringIO()
    figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None})
    text = sink.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(xlink:href="|url\()#', rf"\1#{name}-", text)
    for mark, variable in VARIABLES.items():
        text = text.replace(mark, variable)
    return _no_font(text)


def _no_font(text: str) -> str:
    """Leave the font family to the page; matplotlib would name its own."""
    text = re.sub(r"font: ([0-9.]+)px [^;\"]*", r"font-size: \1px", text)
    return re.sub(r"font-family: [^;\"]*;?", "", text)
