"""A whole run, in any layout, as an input of records."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from refine_af.contracts.stage import Stage
from refine_af.lineage.run import open_run
from refine_af.storage.task_records import ARTIFACTS


@contextmanager
def as_records(stage: Stage, inputs: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Give a stage's inputs, each run of a cluster among them gathered into a folder of records.

    What the report reads of such a run is copied, from its bucket where it lies there.

    Args:
        stage: The stage that is to read them.
        inputs: Path or URI by name; empty where an optional one is absent.
    """
    kinds = {item.name: item.kind for item in stage.inputs}
    runs = {name for name, uri in inputs.items() if uri and kinds.get(name) == "records"}
    with tempfile.TemporaryDirectory(prefix="refine-af-records-") as folder:
        gathered = {name: _gathered(inputs[name], Path(folder, name)) for name in sorted(runs)}
        yield {**inputs, **gathered}


def _gathered(uri: str, folder: Path) -> str:
    if "://" not in uri and Path(uri, ARTIFACTS).is_dir():
        return uri
    for task in open_run(uri).tasks:
        target = folder / ARTIFACTS / task.name
        target.mkdir(parents=True)
        for name in task.stage.recorded:
            path = task.path(name)
            if path is not None and path.is_file():
                shutil.copyfile(path, target / name)
    return str(folder)
