"""Reads filled-in sheets: levels per arm, and comparisons of arms and of raters."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from refine_af.contracts.errors import DataError
from refine_af.rating.agreement import RANK, agreement
from refine_af.rating.sheet import LEVELS

Key = Mapping[str, Mapping[str, str]]
"""Item id to ``arm``, ``task`` and ``instance``."""


def read_key(path: Path) -> Key:
    """Return the items of a key file."""
    try:
        items = json.loads(path.read_text(encoding="utf-8"))["items"]
        return {
            name: {k: str(row[k]) for k in ("arm", "task", "instance")}
            for name, row in items.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not a key of a rating sheet ({type(error).__name__}: {error}); give the"
            " key.json that `refine-af rating-sheet` wrote"
        ) from None


def read_ratings(path: Path, key: Key) -> dict[str, str]:
    """Return the level of each rated item of a filled-in sheet; items without one are left out.

    Reads the columns ``item`` and ``rating`` wherever they stand, separated by commas, semicolons
    or tabs, as spreadsheet programs of different countries save them.

    Raises:
        DataError: For an unknown item, one met twice, or an unknown rating.
    """
    # What is read is ASCII; the rest may have been saved in another encoding.
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    head = text.split("\n", 1)[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_separator(head))
    if not {"item", "rating"} <= set(reader.fieldnames or ()):
        raise DataError(
            f"{path}: the columns are {reader.fieldnames}; 'item' and 'rating' are needed"
        )
    ratings: dict[str, str] = {}
    seen: set[str] = set()
    for number, row in enumerate(reader, start=1):
        location = f"{path}, answer {number}"
        item, level = (row["item"] or "").strip(), (row["rating"] or "").strip().upper()
        if item not in key:
            raise DataError(f"{location}: item {item!r} is not in the key; give its own key")
        if item in seen:
            raise DataError(f"{location}: item {item!r} occurs twice")
        seen.add(item)
        if level and level not in LEVELS:
            raise DataError(f"{location}: rating {level!r}; it must be A, B, C, D or empty")
        if level:
            ratings[item] = level
    return ratings


def result(raters: Mapping[str, Mapping[str, str]], key: Key) -> dict[str, Any]:
    """Return all numbers of the human rating, ready for JSON.

    Shares count every rating; of two arms a question is won by the higher mean rank over its
    raters (A 4 to D 1), over the questions for which both arms were rated by the same people.
    """
    arms = sorted({row["arm"] for row in key.values()})
    return {
        "kind": "human ratings",
        "levels": LEVELS,
        "rated": {name: len(levels) for name, levels in raters.items()},
        "items": len(key),
        "arms": {arm: _arm(arm, raters, key) for arm in arms},
        "pairs": {
            f"{first} against {second}": _pair(first, second, raters, key)
            for first, second in combinations(arms, 2)
        },
        "agreement": {
            f"{first} and {second}": _agreement(raters[first], raters[second])
            for first, second in combinations(raters, 2)
        },
    }


def _agreement(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, Any]:
    both = sorted(set(first) & set(second))
    return asdict(agreement([first[item] for item in both], [second[item] for item in both]))


def _arm(arm: str, raters: Mapping[str, Mapping[str, str]], key: Key) -> dict[str, Any]:
    given = [
        level
        for levels in raters.values()
        for item, level in levels.items()
        if key[item]["arm"] == arm
    ]
    counts = Counter(given)
    good = counts["A"] + counts["B"]
    return {
        "ratings": {level: counts[level] for level in LEVELS},
        "share_a_b": good / len(given) if given else None,
    }


def _pair(
    first: str, second: str, raters: Mapping[str, Mapping[str, str]], key: Key
) -> dict[str, int]:
    ranks: dict[tuple[str, str], dict[str, dict[str, int]]] = {}
    for rater, levels in raters.items():
        for item, level in levels.items():
            row = key[item]
            question = ranks.setdefault((row["task"], row["instance"]), {})
            question.setdefault(row["arm"], {})[rater] = RANK[level]
    outcomes = Counter(
        _outcome(by_arm.get(first, {}), by_arm.get(second, {})) for by_arm in ranks.values()
    )
    return {name: outcomes[name] for name in ("wins", "ties", "losses", "not_rated_alike")}


def _outcome(ours: Mapping[str, int], theirs: Mapping[str, int]) -> str:
    if not ours or set(ours) != set(theirs):
        return "not_rated_alike"
    # The same raters, so sums compare as means do, without rounding.
    first, second = sum(ours.values()), sum(theirs.values())
    return "ties" if first == second else "wins" if first > second else "losses"


def _separator(head: str) -> str:
    return max(",;\t", key=head.count)


def rater_names(paths: Sequence[Path]) -> list[str]:
    """Return a name per file: its stem, with a number where two are alike."""
    stems = [path.stem for path in paths]
    return [
        stem if stems.count(stem) == 1 else f"{stem} {stems[: index + 1].count(stem)}"
        for index, stem in enumerate(stems)
    ]
