"""``refine-af preflight``: measures on a user's rows, before training, what a reward pays for."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.jsonl import iter_objects
from refine_af.contracts.randomness import sample
from refine_af.engines.scorers.opening import open_reward
from refine_af.feedback.interface import Triplet
from refine_af.feedback.params import RewardParams
from refine_af.stages.seed_ingest import read_seeds
from refine_af.storage.sources import BUILTIN, fetch_rows_file

PAIRS = (("better", "worse"), ("chosen", "rejected"), ("output_1", "output_2"))
"""Columns of a preference file; the third kind says by ``label`` (1 or 2) which one is better."""


@click.command("preflight")
@click.option("--reward", required=True, help="A preset, or module:function of your own.")
@click.option(
    "--rows",
    "rows_uri",
    default="builtin:seeds",
    show_default=True,
    metavar="URI",
    help="Right answers: JSON Lines with instruction, output and perhaps input.",
)
@click.option(
    "--preference",
    default="",
    metavar="URI",
    help="What people prefer: instruction (or input) with better and worse, chosen and rejected,"
    " output_1, output_2 and label; or output and rating.",
)
@click.option("--limit", default=100, show_default=True, help="So many rows and pairs, at random.")
@click.option("--seed", default=1, show_default=True, help="Of all draws.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the reward, as score_rewards has it: language_model=PATH; repeat.",
)
def preflight(
    reward: str,
    rows_uri: str,
    preference: str,
    limit: int,
    seed: int,
    assignments: tuple[str, ...],
) -> None:
    """Measure how well a reward tells right answers from faulty ones, and agrees with people."""
    from refine_af.feedback.preflight import preflight as correlations  # loads numpy
    from refine_af.feedback.validity import separations, warnings

    params = RewardParams.parse({"reward": reward} | _assigned(assignments), where="preflight")
    with TemporaryDirectory() as scratch:
        rows = sample(_right_answers(rows_uri, Path(scratch)), limit, seed, "preflight-rows")
        preferred = list(_objects(preference, Path(scratch))) if preference else []
    opened = open_reward(params)
    parts = opened.measure(rows)
    opened.observe(parts)

    def score(some: Sequence[Triplet]) -> list[float]:
        return [score.total for score in opened.combine(opened.measure(some))]

    table = separations(rows, score, seed)
    measured = correlations([part for part in parts if isinstance(part, dict)], opened.preset)
    result: dict[str, Any] = {
        "reward": reward,
        "rows": len(rows),
        "faults": {kind: asdict(fault) for kind, fault in table.items()},
        "spread": measured.spread,
        "warnings": [*warnings(table), *measured.warnings],
    }
    if preferred:
        chosen = sample(preferred, limit, seed, "preflight-preference")
        result["preference"] = _people(chosen, preference, score)
    click.echo(json.dumps(result, indent=1, ensure_ascii=False))


def _assigned(assignments: Sequence[str]) -> dict[str, str]:
    """Return the values of ``--set``.

    Raises:
        ParameterError: For one without an equals sign.
    """
    values = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise ParameterError(f"--set {text!r}: write it as name=value")
        values[name.strip()] = value
    return values


def _right_answers(uri: str, scratch: Path) -> list[Triplet]:
    """Return different rows to be scored as right answers."""
    if uri in BUILTIN:
        seeds = read_seeds(BUILTIN[uri], uri, "").rows
        pairs = [(seed.instruction, seed.instances[0]) for seed in seeds]
        return [Triplet(text, pair.input, pair.output) for text, pair in pairs]
    rows = [_triplet(row, "output", uri) for row in _objects(uri, scratch)]
    return list(dict.fromkeys(row for row in rows if row.output.strip()))


def _objects(uri: str, scratch: Path) -> Iterator[Mapping[str, Any]]:
    for _, value in iter_objects(fetch_rows_file(uri, scratch)):
        yield value


def _triplet(row: Mapping[str, Any], column: str, uri: str) -> Triplet:
    instruction, given = row.get("instruction"), row.get("input") or ""
    if instruction is None:  # LLMBar's instruction is called input
        instruction, given = row.get("input"), ""
    texts = (instruction, given, row.get(column))
    if not all(isinstance(text, str) for text in texts):
        raise DataError(
            f"{uri}: a row has the columns {', '.join(sorted(row)[:10])}; it needs the strings"
            f" instruction and {column}, and may have input"
        )
    return Triplet(*(str(text) for text in texts))


def _people(rows: Sequence[Mapping[str, Any]], uri: str, score: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return how the reward agrees with people: on pairs, or on ratings."""
    from refine_af.feedback.validity import agreement, rank_correlation

    if "rating" in rows[0]:
        rated = [(_triplet(row, "output", uri), float(row["rating"])) for row in rows]
        count, correlation = rank_correlation(rated, score)
        return {"rows": count, "spearman": correlation}
    for names in PAIRS:
        if all(name in rows[0] for name in names):
            pairs = [_pair(row, names, uri) for row in rows]
            result = agreement(pairs, score)
            return {
                "pairs": result.rows,
                "agreement": result.paired,
                "standard_error": result.standard_error,
            }
    raise DataError(
        f"{uri}: no column rating, and none of the pairs"
        f" {', '.join(' and '.join(names) for names in PAIRS)}"
    )


def _pair(row: Mapping[str, Any], names: tuple[str, str], uri: str) -> tuple[Triplet, Triplet]:
    better, worse = (_triplet(row, name, uri) for name in names)
    return (worse, better) if row.get("label") in (2, "2") else (better, worse)
