"""Charts of an evolution run: the policy's choices, its training, and its results."""

from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev
from typing import Any

from refine_af.contracts.records import OperatorStep
from refine_af.reporting import svg
from refine_af.reporting.charts import Chart
from refine_af.reporting.evolution_inputs import EvolutionArm


def operator_names(arms: Mapping[str, EvolutionArm], table: Mapping[str, Any]) -> list[str]:
    """Return the operators in the order of the file, as far as the rows name them."""
    if table.get("operators"):
        return [str(name) for name in table["operators"]]
    names = {row.action: row.operator for arm in arms.values() for row in arm.trace}
    return [names[action] for action in sorted(names) if names[action] != "stop"]


def mixes(name: str, trace: Sequence[OperatorStep], operators: Sequence[str]) -> list[Chart]:
    """Return the operator mix over steps and by cluster, and the transitions, of one arm."""
    moved = [row for row in trace if row.action < len(operators)]
    if not moved:
        return []
    return [
        _over_steps(name, moved, operators),
        _by_cluster(name, moved, operators),
        _transitions(name, moved, operators),
    ]


def _over_steps(name: str, rows: Sequence[OperatorStep], operators: Sequence[str]) -> Chart:
    steps = sorted({row.step for row in rows})
    counts = {step: [row.action for row in rows if row.step == step] for step in steps}
    series = [
        (
            operator,
            [step + 1.0 for step in steps],
            [100 * counts[step].count(index) / len(counts[step]) for step in steps],
        )
        for index, operator in enumerate(operators)
    ]
    return Chart(
        f"Operators over the steps: {name}",
        svg.lines(
            f"mix-{name}", series[: len(svg.SERIES)], "step", "share of the choices, %", floor=0
        ),
        "Lines that stay flat and equal are a uniform choice.",
    )


def _by_cluster(name: str, rows: Sequence[OperatorStep], operators: Sequence[str]) -> Chart:
    clusters = sorted({row.cluster for row in rows})
    values = []
    for cluster in clusters:
        chosen = [row.action for row in rows if row.cluster == cluster]
        values.append([chosen.count(index) / len(chosen) for index in range(len(operators))])
    return Chart(
        f"Operators by cluster of seeds: {name}",
        svg.heat(
            f"cluster-{name}", [f"seeds {cluster}" for cluster in clusters], operators, values
        ),
        "Share of each operator among the choices for like seeds; rows that differ mean that the"
        " text decides.",
    )


def _transitions(name: str, rows: Sequence[OperatorStep], operators: Sequence[str]) -> Chart:
    names = [*operators, "(start)"]
    values = []
    for before in range(len(names)):
        chosen = [row.action for row in rows if row.last == before]
        shares = [
            chosen.count(index) / len(chosen) if chosen else 0.0 for index in range(len(operators))
        ]
        values.append(shares)
    return Chart(
        f"Which operator follows which: {name}",
        svg.heat(f"transition-{name}", names, operators, values),
        "Row: the operator before; column: the one chosen next, share of the row.",
    )


def learning(curve: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Return reward and entropy over updates: mean over policy seeds, with their spread."""
    charts = []
    for key, title, label in (
        ("reward", "Learning curve", "mean reward per operation"),
        ("entropy", "Entropy of the policy", "nats"),
    ):
        series: list[svg.Line] = []
        band: list[float] = []
        for phase, name in (("held_out", "held-out seeds"), ("train", "training")):
            rows = [row for row in curve if row["phase"] == phase]
            updates = sorted({int(row["update"]) for row in rows})
            values = [[float(r[key]) for r in rows if r["update"] == update] for update in updates]
            if not updates:
                continue
            series.append((name, list(map(float, updates)), list(map(fmean, values))))
            band = band or list(map(pstdev, values))
        if series:
            charts.append(
                Chart(
                    title,
                    svg.lines(f"policy-{key}", series, "update", label, band=band),
                    _spread(len({row["policy_seed"] for row in curve})),
                )
            )
    return charts


def _spread(policies: int) -> str:
    if policies == 1:
        return "One policy was trained; with policy_seeds above 1 a band shows their spread."
    return (
        f"Mean over {policies} policies trained independently; the band is their standard"
        " deviation."
    )


def over_steps(arms: Mapping[str, EvolutionArm]) -> list[Chart]:
    """Return novelty and words of the kept instructions over the steps, per arm."""
    charts = []
    for key, title, label, note in (
        (
            "novelty",
            "Novelty over the steps",
            "1 - cosine, 0 to 1",
            "The cosine is that with the nearest sibling, ancestor or row of the memory bank.",
        ),
        (
            "words",
            "Complexity over the steps",
            "words of an instruction",
            "Length is the plainest sign of complexity, and no proof of it.",
        ),
    ):
        series = []
        for name, arm in arms.items():
            rows = [row for row in arm.trace if row.status == "kept"]
            steps = sorted({row.step for row in rows})
            means = [fmean(_value(row, key) for row in rows if row.step == step) for step in steps]
            if steps:
                series.append((name, [step + 1.0 for step in steps], means))
        if series:
            drawing = svg.lines(f"step-{key}", series[: len(svg.SERIES)], "step", label, floor=0)
            charts.append(Chart(title, drawing, f"Means of the kept rewrites of each step. {note}"))
    return charts


def one_step(table: Mapping[str, Any]) -> list[Chart]:
    """Return the one-step table as a heat map."""
    if not table.get("clusters"):
        return []
    rows = [f"seeds {row['cluster']} (n {row['seeds']})" for row in table["clusters"]]
    values = [row["mean"] for row in table["clusters"]]
    return [
        Chart(
            "One step of every operator",
            svg.heat("one-step", [*rows, "all"], table["operators"], [*values, table["mean"]]),
            "Mean reward by cluster of seeds and operator, before any learning.",
        )
    ]


def _value(row: OperatorStep, key: str) -> float:
    return len(row.text.split()) if key == "words" else row.parts.get("novelty", 0.0)
