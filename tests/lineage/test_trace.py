"""``refine-af trace``: descendants against a plain closure of every row."""

from pathlib import Path

import pytest
from made_folder import shared_folder
from reading import ancestors, every_parent, rows

from refine_af.cli import main
from refine_af.lineage.run import open_run
from refine_af.lineage.trace import trace


@pytest.fixture
def made() -> Path:
    return shared_folder()


def test_descendants_are_the_rows_with_the_seed_among_their_ancestors(made: Path) -> None:
    parents = every_parent(made)
    above = {row_id: ancestors(parents, row_id) for row_id in parents}
    seeds = rows(made / "artifacts" / "seed_ingest" / "seeds")
    for seed in (seeds[0], seeds[17], seeds[-1]):
        found = trace(open_run(made), seed["seed_id"])
        below = {row_id for rows_ in found.descendants.values() for row_id in rows_}
        expected = {row_id for row_id, ids in above.items() if seed["id"] in ids}
        assert below == expected
        used = [row for row in rows(made / "artifacts/train_sft-rl/used") if not row["cut"]]
        assert found.trained_on["train_sft-rl"] == sum(row["id"] in below for row in used)


def test_generations_count_the_shortest_way(made: Path) -> None:
    seed = rows(made / "artifacts" / "seed_ingest" / "seeds")[3]
    parents = every_parent(made)
    found = trace(open_run(made), seed["id"]).descendants
    generations = {row_id: n for listed in found.values() for row_id, n in listed.items()}
    assert max(generations.values()) > 1
    for row_id, generation in generations.items():
        above = [generations.get(one, 0 if one == seed["id"] else 99) for one in parents[row_id]]
        assert generation == min(above) + 1


def test_from_the_command_line(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "--seed", "seed_017", "--run", str(made)]) == 0
    shown = capsys.readouterr()
    assert "\t1\tgenerate_instructions/instructions\n" in shown.out
    assert "Apache-2.0" in shown.err
    assert main(["trace", "--seed", "seed_17", "--run", str(made)]) == 64
    assert "Did you mean" in capsys.readouterr().err
