"""The levels and parts of a cluster's graph, and the pages that group tasks in the same parts."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from levels import boxes
from levels import levels as drawn

from refine_af.cluster_commands import compile_pipeline
from refine_af.contracts.groups import LAST, grouped
from refine_af.contracts.stage import task_folder
from refine_af.pipelines.compiling import compile_request
from refine_af.pipelines.config import load_config, preset_names
from refine_af.pipelines.flow import Images
from refine_af.pipelines.graph import levels
from refine_af.pipelines.tasks import planned
from refine_af.reporting.timing import render_timing


@pytest.mark.parametrize("preset", ["quickstart", "teams-rl-controls"])
def test_the_levels_are_those_of_the_page(preset: str) -> None:
    spec = compile_request(load_config(preset, ""), "cpu", Images(), notify=True).spec
    counts = [boxes(spec, dag) for dag in drawn(spec).values()]
    found = list(levels(spec))
    assert [len(level.boxes) for level in found] == counts
    for level in found:
        keys = {box.key for box in level.boxes}
        assert len(keys) == len(level.boxes)
        assert {key for edge in level.edges for key in edge} <= keys
        assert len(set(level.edges)) == len(level.edges)


@pytest.mark.parametrize("values", [(), ("shards=6", "sizes=100,200")])
@pytest.mark.parametrize("preset", preset_names())
def test_pages_group_tasks_in_the_parts_of_the_graph(preset: str, values: tuple[str, ...]) -> None:
    config = load_config(preset, "")
    if values and config.pipeline != "refine-af":
        return
    tasks = planned(config.with_values(values))
    parts: dict[str, list[str]] = {}
    for task in tasks:
        parts.setdefault(task.group.replace("/", " / ") or LAST, []).append(task.name)
    assert grouped([task.name for task in tasks]) == parts
    # the report knows the folders of tasks alone
    folders = {task_folder(task.stage.name, task.label): task.name for task in tasks}
    found = {title: [folders[one] for one in names] for title, names in grouped(folders).items()}
    assert found == parts


def test_the_timing_page_adds_up_the_parts() -> None:
    seconds = {
        "check_inputs": 1.0,
        "train_ppo": 10.0,
        "train_ppo, again 1": 20.0,
        "generate_instances (rl)": 5.0,
        "evaluate (baseline)": 2.0,
        "report": 0.5,
    }
    page = render_timing({name: {"seconds": value} for name, value in seconds.items()})
    table = page.markdown.partition("## By part")[2].partition("## By task")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:3]] for line in table.split("\n")[4:] if line
    ]
    assert rows == [
        ["prepare", "1"],
        ["rl: PPO and data", "35"],
        ["baseline: model", "2"],
        ["after the arms", "0.5"],
    ]
    assert page.html.index("rl: PPO and data") < page.html.index("train_ppo, again 1")


@pytest.mark.parametrize(("values", "said"), [((), False), (("shards=8", "sizes=1,2,3"), True)])
def test_compile_says_where_a_level_does_not_fit_a_screen(
    tmp_path: Path, values: tuple[str, ...], said: bool
) -> None:
    given = [word for value in values for word in ("--set", value)]
    output = str(tmp_path / "x.yaml")
    done = CliRunner().invoke(compile_pipeline, ["--preset", "quickstart", *given, "-o", output])
    assert done.exit_code == 0, done.output
    assert ("the graph's first level has 36 boxes" in done.output) == said, done.output
