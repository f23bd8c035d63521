"""The semantic mode against a slow, obvious reference, and on files."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_filter import nearest

from refine_af.contracts.errors import DataError
from refine_af.dedup.embeddings import VECTORS, Vectors, write_embeddings
from refine_af.dedup.filter import filter_rows
from refine_af.dedup.params import FilterParams
from refine_af.dedup.semantic import SemanticGate
from refine_af.dedup.static_vectors import DIMENSION, Rarity, embed

Row = dict[str, Any]


def slow(vectors: Vectors, roots: list[str], pool: Vectors, bound: float, cap: int) -> list[str]:
    """Judge row by row: every earlier vector, one by one."""
    seen = [(f"pool{place}", vector) for place, vector in enumerate(pool)]
    held: Counter[str] = Counter()
    verdicts = []
    for place, vector in enumerate(vectors):
        cosines = [round(float(np.dot(vector, other)), 6) for _, other in seen]
        best = max(cosines, default=-1.0)
        if bound and best > bound:
            verdicts.append(f"semantic {seen[cosines.index(best)][0]}")
        elif cap and held[roots[place]] >= cap:
            verdicts.append("root_full None")
        else:
            verdicts.append("kept")
            seen.append((f"row{place}", vector))
            held[roots[place]] += 1
    return verdicts


def fast(
    vectors: Vectors, roots: list[str], pool: Vectors, bound: float, cap: int, block: int
) -> list[str]:
    gate = SemanticGate(bound, cap, vectors.shape[1])
    gate.add_pool([f"pool{place}" for place in range(len(pool))], pool)
    verdicts = []
    for start in range(0, len(vectors), block):
        places = range(start, min(start + block, len(vectors)))
        names = [f"row{place}" for place in places]
        gate.begin(names, [roots[place] for place in places], vectors[start : places.stop])
        for number in range(len(places)):
            found = gate.repeat(number)
            verdicts.append(f"{found.reason} {found.id}" if found else "kept")
            if found is None:
                gate.accept(number)
        gate.end()
    return verdicts


# Cosines of fifths, so that there are ties; their float32 products differ in the last bits.
UNIT = [(1.0, 0, 0), (0, 1.0, 0), (0.6, 0.8, 0), (0.8, 0, 0.6), (0, 0.6, 0.8), (-1.0, 0, 0)]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(UNIT), max_size=4),
    st.lists(st.tuples(st.sampled_from(UNIT), st.sampled_from("abc")), min_size=1, max_size=25),
    st.sampled_from([0.0, 0.5, 0.79, 0.9]),
    st.integers(0, 3),
    st.integers(1, 8),
)
def test_blocks_decide_as_row_by_row(
    pool: list[tuple[float, ...]],
    rows: list[tuple[tuple[float, ...], str]],
    bound: float,
    cap: int,
    block: int,
) -> None:
    vectors = np.array([vector for vector, _ in rows], np.float32)
    taken = np.array(pool, np.float32).reshape(len(pool), 3)
    roots = [root for _, root in rows]
    wanted = slow(vectors, roots, taken, bound, cap)
    assert fast(vectors, roots, taken, bound, cap, block) == wanted


def filtered(folder: Path, rows: list[Row], pool: list[Row], **values: Any) -> tuple[Any, Any]:  # noqa: ANN401
    paths = {name: folder / name for name in ("rows", "pool", "kept", "rejected")}
    for name, found in (("rows", rows), ("pool", pool)):
        paths[name].write_text("".join(json.dumps(row) + "\n" for row in found))
    embeddings = values.pop("embeddings", None)
    filter_rows(
        [paths["rows"]],
        paths["pool"],
        paths["kept"],
        paths["rejected"],
        FilterParams(**values),
        embeddings=embeddings,
    )
    kept = [json.loads(line)["id"] for line in paths["kept"].read_text().splitlines()]
    dropped = [json.loads(line) for line in paths["rejected"].read_text().splitlines()]
    return kept, {row["parents"][0]: (row["reason"], row["neighbour"]) for row in dropped}


EVOLVED = [
    {"id": "a", "instruction": "List five fruits that grow in cold climates.", "root": "s1"},
    {
        "id": "b",
        "instruction": "In cold climates, which five fruits grow? List five fruits that grow there"
        " and say why each of them survives the winter without protection from frost.",
        "root": "s1",
    },
    {"id": "c", "instruction": "Write a poem about the sea at night.", "root": "s2"},
    {"id": "d", "instruction": "Translate the sentence into French and German.", "root": "s1"},
]


def test_a_rewrite_that_rouge_keeps_is_dropped_by_meaning(tmp_path: Path) -> None:
    assert nearest(EVOLVED[1]["instruction"], [("a", EVOLVED[0]["instruction"])])[1] < 0.7
    kept, dropped = filtered(tmp_path, EVOLVED, [])
    assert kept == ["a", "b", "c", "d"]
    kept, dropped = filtered(tmp_path, EVOLVED, [], max_cosine=0.5)
    assert kept == ["a", "c", "d"]
    assert dropped == {"b": ("semantic", "a")}


def test_a_root_keeps_so_many_rows_and_a_dropped_row_takes_no_place(tmp_path: Path) -> None:
    kept, dropped = filtered(tmp_path, EVOLVED, [], max_per_root=1)
    assert kept == ["a", "c"]
    assert dropped["b"] == ("root_full", None)
    rows = [EVOLVED[0], EVOLVED[0] | {"id": "again"}, EVOLVED[3]]
    kept, dropped = filtered(tmp_path, rows, [], max_per_root=2)
    assert kept == ["a", "d"]
    assert dropped["again"] == ("similar", "a")


def test_pool_rows_are_compared_with_but_fill_no_root(tmp_path: Path) -> None:
    kept, dropped = filtered(tmp_path, EVOLVED[1:], EVOLVED[:1], max_cosine=0.5, max_per_root=1)
    assert kept == ["c", "d"]
    assert dropped == {"b": ("semantic", "a")}


def test_embeddings_of_another_model_are_used_and_must_be_whole(tmp_path: Path) -> None:
    folder = tmp_path / "embeddings"
    eye = np.eye(4, dtype=np.float32)
    eye[3] = eye[2]
    write_embeddings(folder, ["a", "b", "c", "d"], eye)
    kept, dropped = filtered(tmp_path, EVOLVED, [], max_cosine=0.9, embeddings=folder)
    assert kept == ["a", "b", "c"]
    assert dropped == {"d": ("semantic", "c")}
    write_embeddings(folder, ["a", "b"], eye[:2])
    with pytest.raises(DataError, match=r"no embedding of row c \(2 rows"):
        filtered(tmp_path, EVOLVED, [], max_cosine=0.9, embeddings=folder)
    write_embeddings(folder, ["a", "b"], eye)
    with pytest.raises(DataError, match=r"2 ids and vectors of shape \(4, 4\)"):
        filtered(tmp_path, EVOLVED, [], max_cosine=0.9, embeddings=folder)
    (folder / VECTORS).write_text("not an array")
    with pytest.raises(DataError, match="not embeddings"):
        filtered(tmp_path, EVOLVED, [], max_cosine=0.9, embeddings=folder)


def test_static_vectors_are_of_length_one_and_the_same_everywhere() -> None:
    texts = ["Write a poem about the sea.", "", "Напиши стих: море."]
    found = embed(texts)
    assert found.shape == (3, DIMENSION)
    assert np.allclose(np.linalg.norm(found, axis=1), [1, 0, 1], atol=1e-6)
    assert np.array_equal(found, embed(texts))
    near, far = embed(["Write a poem about the ocean.", "Count the vowels of a word."]) @ found[0]
    assert near > 0.5 > 0.3 > far


def test_rarity_counts_each_word_once_a_text_and_knows_common_words() -> None:
    rarity = Rarity()
    rarity.count(["Fruit, fruit and fruit!", "FRUIT of trees", "trees"])
    # 100 made texts (50 with "and") and 3 real ones; "fruit" is in 2, "trees" in 2, "and" in 1.
    assert rarity.weight("fruit") == rarity.weight("trees") == np.log1p(103 / 3) / np.log1p(103)
    assert rarity.weight("and") == np.log1p(103 / 52) / np.log1p(103)
    assert rarity.weight("pear") == 1.0


def test_what_rows_share_with_all_others_says_less_than_what_they_share_alone() -> None:
    frame = "Write a function in Python that takes a list of numbers and returns"
    asked = [f"{frame} {what}" for what in ("their median", "the largest prime", "every third")]
    near = "Given numbers, which one is the largest prime? Write a function."
    rarity = Rarity()
    rarity.count([*asked, near, *(f"{frame} thing{n}" for n in range(1000))])
    plain, weighed = embed([*asked, near]), embed([*asked, near], rarity)
    # Without weights the frame makes all three alike; with them the question comes out nearer.
    assert plain[0] @ plain[1] > plain[3] @ plain[1]
    assert weighed[0] @ weighed[1] < weighed[3] @ weighed[1]
