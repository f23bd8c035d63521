"""No stage republishes what it made of other content: each parameter that names some, in turn."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from refine_af.contracts.content import BY_ENGINE, Content
from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.params import declared
from refine_af.contracts.stage import Metrics, Stage, Task
from refine_af.engines.params import EngineParams
from refine_af.identity import UNPINNED, content_digests
from refine_af.pipelines.config import load_config, preset_names
from refine_af.pipelines.tasks import planned
from refine_af.runner import run_stage
from refine_af.stages import STAGES
from refine_af.storage.schemes import open_store

NAMED = [
    (stage, name)
    for stage in STAGES
    for name, field in stage.params.model_fields.items()
    if declared(field)["names"]
]
SETTINGS: dict[str, dict[str, Any]] = {
    "reward_model": {"reward": "reward_model"},
    "unieval": {"reward": "balanced", "reward_model": "builtin:fixture"},
    "language_model": {"reward_extra": "language_model"},
    "judge": {"reward": "judge", "judge_url": "http://localhost:1/v1"},
    "judge_url": {"reward": "judge", "judge": "m", "judge_engine": "openai"},
}
"""What makes a stage read the content of these parameters."""

Change = Callable[[str], None]
"""Writes content of that word behind the parameter."""


@pytest.fixture
def module_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def write_model(folder: Path, word: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text(word)


def content_of(kind: str, folder: Path) -> tuple[str, Change]:
    """Return a value that names content of a kind, and what changes the content in place."""
    if kind == "model":
        path = folder / "model"
        return str(path), lambda word: write_model(path, word)
    if kind == "code":
        (folder / "ours.py").write_text("import beside\n\ndef reward(rows):\n    return [1.0]\n")
        return "ours:reward", lambda word: _write(folder / "beside.py", f"WORD = {word!r}\n")
    if kind == "harness":
        return str(folder / "own.yaml"), lambda word: _write(folder / "own.yaml", word)
    if kind == "tasks":
        (folder / "list.txt").write_text("task1\n")
        return str(folder / "list.txt"), lambda word: _write(folder / "task1.json", word)
    return str(folder / "content"), lambda word: _write(folder / "content", word)


def _write(path: Path, text: str) -> None:
    path.write_text(text)


class Counted:
    """A stage that counts its runs and writes something for each output."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.runs = 0
        self.stage = replace(stage, run=self._run, cache=True)
        self.folder = folder
        self.inputs = {
            item.name: str(self._input(item.name, item.kind))
            for item in stage.inputs
            if not item.optional
        }

    def _input(self, name: str, kind: str) -> Path:
        path = self.folder / f"input-{name}"
        if kind in ("model", "folder"):
            path.mkdir()
            (path / "file").write_text("x")
        else:
            path.write_text("x")
        return path

    def _run(self, _params: object, task: Task) -> Metrics:
        self.runs += 1
        for item in self.stage.outputs:
            if item.kind in ("model", "folder"):
                task.outputs[item.name].mkdir()
            else:
                task.outputs[item.name].write_text(str(self.runs))
        return {}

    def __call__(self, params: dict[str, Any]) -> int:
        """Run the stage and return how often it ran so far."""
        outputs = {
            item.name: str(self.folder / f"output-{item.name}") for item in self.stage.outputs
        }
        work = str(self.folder / "work")
        run_stage(self.stage, inputs=self.inputs, outputs=outputs, params=params, work_dir=work)
        return self.runs


def settings(stage: Stage, name: str) -> dict[str, Any]:
    """Return parameters under which ``stage`` is run: nothing else that it reads is remote."""
    fields = stage.params.model_fields
    local = {"reward_model": "builtin:tiny", "language_model": "builtin:tiny"}
    required = {key: value for key, value in local.items() if key in fields}
    if stage.name == "evolve_instructions":
        required["policy"] = "uniform"
    if stage.name == "seed_ingest" and name in EngineParams.model_fields:
        required["classification"] = "ask"
    return required | SETTINGS.get(name, {})


def test_the_walk_counts_every_parameter_that_names_content() -> None:
    assert len(NAMED) >= 50
    assert {stage.name for stage, _ in NAMED} == {
        stage.name for stage in STAGES if not stage.name.startswith("report")
    }


@pytest.mark.parametrize(("stage", "name"), NAMED, ids=lambda item: getattr(item, "name", item))
def test_changed_content_behind_a_parameter_is_another_run(
    stage: Stage, name: str, module_path: Path
) -> None:
    about = declared(stage.params.model_fields[name])
    kinds = [about["names"]]
    if about["opened_by"] in stage.params.model_fields:
        kinds = list(dict.fromkeys(BY_ENGINE.values()))
    for kind in kinds:
        folder = module_path / kind
        folder.mkdir()
        check(stage, name, kind, about["opened_by"], folder, module_path)


def check(stage: Stage, name: str, kind: str, opened_by: str, folder: Path, root: Path) -> None:
    params = settings(stage, name)
    if opened_by in stage.params.model_fields:
        params[opened_by] = next(engine for engine, read in BY_ENGINE.items() if read == kind)
        if params[opened_by] == "openai" and "base_url" in stage.params.model_fields:
            params["base_url"] = "http://localhost:1/v1"
    counted = Counted(stage, folder)
    if kind in ("endpoint", "served_model"):
        check_unpinned(stage, name, params)
        return
    value, change = content_of(kind, root if kind == "code" else folder)
    params[name] = value
    change("first")
    assert counted(params) == 1, (stage.name, name, kind)
    assert counted(params) == 1, f"{stage.name}.{name}: equal content is not run again"
    change("other")
    assert counted(params) == 2, f"{stage.name}.{name} ({kind}): republished after a change"


def check_unpinned(stage: Stage, name: str, params: dict[str, Any]) -> None:
    """An endpoint's model cannot be pinned; its name and address count, and the word is said."""
    found = [
        content_digests(stage.params.parse(params | {name: value}).content())[name]
        for value in ("http://localhost:1/a", "http://localhost:1/b")
    ]
    assert found[0] != found[1]
    assert all(text.startswith(UNPINNED) for text in found)


@pytest.mark.parametrize("root", ["s3", "gs"], indirect=True)
@pytest.mark.parametrize(
    ("stage", "name"),
    [(stage, name) for stage, name in NAMED
     if declared(stage.params.model_fields[name])["names"] in ("file", "tasks", "operators")],
    ids=lambda item: getattr(item, "name", item),
)  # fmt: skip
def test_changed_content_in_a_bucket_is_another_run(
    stage: Stage, name: str, root: str, tmp_path: Path
) -> None:
    uri, store = f"{root}/folder", open_store(root)
    counted = Counted(stage, tmp_path)
    params = settings(stage, name) | {name: uri}
    for turn, word in enumerate((b"first", b"other"), start=1):
        store.publish_bytes(f"{uri}/task1.json", word)
        assert counted(params) == turn
        assert counted(params) == turn


def test_a_model_in_a_bucket_is_known_by_its_versions(s3_root: str, tmp_path: Path) -> None:
    stage = next(stage for stage in STAGES if stage.name == "train_sft")
    counted = Counted(stage, tmp_path)
    for turn, word in enumerate(("first", "other"), start=1):
        write_model(tmp_path / "m", word)
        open_store(s3_root).publish_directory(f"{s3_root}/m", tmp_path / "m")
        assert counted({"model": f"{s3_root}/m"}) == turn


def test_a_failure_is_remembered_only_while_its_cause_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def fail(_params: object, _task: Task) -> Metrics:
        tries.append(1)
        raise DataError("row 3 is torn")

    stage = next(stage for stage in STAGES if stage.name == "seed_ingest")
    counted = Counted(stage, tmp_path)
    counted.stage = replace(counted.stage, run=fail)
    seeds = tmp_path / "seeds"
    seeds.write_text("1")
    params = {"seeds_uri": str(seeds)}
    with pytest.raises(DataError, match="row 3 is torn"):
        counted(params)
    with pytest.raises(DataError, match=r"change what the message names, or .* --resume never"):
        counted(params)
    assert len(tries) == 1
    seeds.write_text("2")
    with pytest.raises(DataError, match=r"^row 3 is torn$"):
        counted(params)
    monkeypatch.setattr("refine_af.runner.environment", lambda: "another machine")
    with pytest.raises(DataError, match=r"^row 3 is torn$"):
        counted(params)
    assert len(tries) == 3


def test_what_is_missing_is_asked_again(tmp_path: Path, s3_root: str) -> None:
    stage = next(stage for stage in STAGES if stage.name == "seed_ingest")
    counted = Counted(stage, tmp_path)
    for uri, write in (
        (str(tmp_path / "late"), lambda: (tmp_path / "late").write_text("x")),
        (f"{s3_root}/late", lambda: open_store(s3_root).publish_bytes(f"{s3_root}/late", b"x")),
    ):
        before = counted.runs
        with pytest.raises(DataError, match="late"):
            counted({"seeds_uri": uri})
        write()
        assert counted({"seeds_uri": uri}) == before + 1


def test_missing_software_is_asked_again(tmp_path: Path) -> None:
    from refine_af.contracts.errors import MissingLibraryError

    raised: Iterator[Exception | None] = iter([MissingLibraryError("no vllm"), None])

    def run(params: object, task: Task) -> Metrics:
        if error := next(raised):
            raise error
        return counted._run(params, task)

    stage = next(stage for stage in STAGES if stage.name == "seed_ingest")
    counted = Counted(stage, tmp_path)
    counted.stage = replace(counted.stage, run=run)
    with pytest.raises(MissingLibraryError, match="no vllm") as caught:
        counted({})
    assert caught.value.exit_code == ParameterError.exit_code
    assert counted({}) == 1


def test_provenance_says_what_was_read(tmp_path: Path) -> None:
    stage = next(stage for stage in STAGES if stage.name == "seed_ingest")
    target = tmp_path / "provenance"
    counted = Counted(stage, tmp_path)
    outputs = {item.name: str(tmp_path / item.name) for item in stage.outputs}
    run_stage(counted.stage, inputs={}, outputs=outputs | {"provenance": str(target)}, params={})
    assert len(json.loads(target.read_text())["inputs"]["seeds_uri"]) == 64


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_has_an_identity_for_what_travels_with_the_package(preset: str) -> None:
    """A run would fail at the first stage that names what has none, such as the quickstart's."""
    for task in planned(load_config(preset, "")):
        packaged = [one for one in task.params.content() if one.value.startswith("builtin:")]
        digests = content_digests(packaged)
        assert digests.keys() == {one.parameter for one in packaged}


def test_everything_that_a_harness_task_reads_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mine" / "task.yml").write_text(
        "task: mine\ninclude: ../base.yaml\ndataset_kwargs: {data_files: elsewhere/rows.bin}\n"
        "doc_to_text: !function utils.text\n"
    )
    (tmp_path / "base.yaml").write_text("dataset_path: 'elsewhere/folder'\n")
    (tmp_path / "elsewhere" / "folder").mkdir()
    names = ("task.yml", "../base.yaml", "utils.py", "rows.csv")
    read = [tmp_path / "mine" / name for name in names]
    read += [tmp_path / "elsewhere" / name for name in ("rows.bin", "folder/rows.json")]
    for path in read:
        path.touch()
    seen = [content_digests([Content("lm_eval", "harness", "mine/task.yml")])]
    for path in read:
        path.write_bytes(path.read_bytes() + b"# changed\n")
        seen.append(content_digests([Content("lm_eval", "harness", "mine/task.yml")]))
    assert len({str(digests) for digests in seen}) == len(read) + 1


@pytest.mark.parametrize(
    ("code", "read"),
    [
        ("import importlib\nimportlib.import_module('late')\n", "late.py"),
        ("from importlib import import_module\nimport_module('late.inner')\n", "late.py"),
        ("__import__('late')\n", "late.py"),
        ("def reward(rows):\n    from late import score\n", "late.py"),
        ("WORDS = open('words.lst').read()\n", "words.lst"),
        ("from pathlib import Path\nHERE = Path(__file__).parent / 'weights.npz'\n", "weights.npz"),
    ],
)
def test_what_reward_code_reads_by_name_counts(code: str, read: str, module_path: Path) -> None:
    name = f"reads_{abs(hash((code, read)))}"
    (module_path / f"{name}.py").write_text(code)
    seen = []
    for text in ("1\n", "2\n"):
        (module_path / read).write_text(text)
        seen.append(content_digests([Content("reward", "code", f"{name}:reward")]))
    assert seen[0] != seen[1]


@pytest.mark.parametrize("name", ["words", "weights.npz", "model.safetensors", "list.dic"])
def test_any_file_of_a_package_counts(
    name: str, module_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = module_path / ".hidden" / "rewards_with_data"
    monkeypatch.syspath_prepend(str(folder.parent))
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__init__.py").touch()
    code = Content("reward", "code", "rewards_with_data:reward")
    before = content_digests([code])
    (folder / "__pycache__" / "a.pyc").write_text("1")
    assert content_digests([code]) == before
    (folder / name).write_text("1")
    assert content_digests([code]) != before


@pytest.mark.parametrize("marker", ["__init__.py", ""])
def test_a_package_of_the_user_counts_whole(
    marker: str, module_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = module_path / f"rewards_{'regular' if marker else 'namespace'}" / "inner"
    folder.mkdir(parents=True)
    if marker:
        (folder.parent / marker).touch()
        (folder / marker).touch()
    code = Content("reward", "code", f"{folder.parent.name}.inner.fn:reward")
    seen = [content_digests([code])]
    for name in ("fn.py", "words.txt", "other.py", "weights.json"):
        (folder / name).write_text("x = 1\n")
        seen.append(content_digests([code]))
    assert len({str(digests) for digests in seen}) == 5
