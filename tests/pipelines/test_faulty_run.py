"""A whole run whose stages read, write and keep their journals in a store that keeps failing."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from argo_machines import Processes
from argo_repository import Repository, S3Repository
from argo_run import Cluster, Execution, load
from argo_smoke import REGISTRY, compile_smoke, digests_of, run_by_kfp, unfold
from servers import BUCKET, Faults

from refine_af.storage.manifest import MANIFEST_NAME

pytestmark = pytest.mark.chaos

Object = dict[str, Any]


class StagesOwnStorage(Cluster):
    """No init and no wait containers: each stage reads and publishes URIs by itself."""

    def _pod(
        self, template: Object, sources: dict[str, str], pod: Path, task: str, done: Execution
    ) -> int:
        (pod / "tmp").mkdir(parents=True)
        (pod / "artifacts").mkdir()
        keys = {item["name"]: item["s3"]["key"] for item in template["outputs"]["artifacts"]}
        folder = next(iter(keys.values())).rpartition("/")[0]
        box = template["container"]
        own = ("--inputs-", "--outputs-", "--records=")
        words = [f"--outputs-dir=s3://{BUCKET}/{folder}"]
        words += [
            f"--{name.replace('_', '-')}=s3://{BUCKET}/{key}" for name, key in sources.items()
        ]
        words += [f"--records=s3://{BUCKET}/{folder}/records"] if "records" in keys else []
        words += [word for word in box["args"] if not word.startswith(own)]
        code = self._machine.run(template | {"container": box | {"args": words}}, pod)
        if code == 0:
            done.keys[task] = keys
            for item in template["outputs"].get("parameters", []):
                value = pod / item["name"]
                self._repository.get(f"{folder}/{item['name']}", value)
                done.parameters.setdefault(task, {})[item["name"]] = value.read_text("utf-8")
        return code


def fetched(repository: Repository, prefix: str, folder: Path) -> dict[str, str]:
    for key in repository.keys(prefix):
        if key.rpartition("/")[2] != MANIFEST_NAME:
            repository.get(key, folder / key.removeprefix(prefix))
    for task in folder.iterdir():
        unfold(task)
    return digests_of(folder)


def test_nothing_is_lost_half_written_or_there_twice(
    s3_faults: Faults, moto_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = digests_of(run_by_kfp(tmp_path / "kfp"))
    s3_faults.once = ("500", "503", "429", "lost", "cut")
    s3_faults.share = 0.1
    templates, submitted = compile_smoke(tmp_path / "yaml", f"work_dir=s3://{BUCKET}/faulty-work")
    (workflow,) = load(submitted)
    quiet = S3Repository(BUCKET, f"http://{moto_address}")
    cluster = StagesOwnStorage(load(templates), quiet, Processes(), tmp_path / "pods")
    done = cluster.submit(workflow, "faulty", {"registry": REGISTRY})
    assert not done.failed, (tmp_path / "pods" / done.failed / "0" / "log").read_text()
    assert len(s3_faults.log) > 50
    assert {line.split()[0] for line in s3_faults.log} == {"500", "503", "429", "lost", "cut"}
    assert fetched(quiet, "refine-af/faulty/", tmp_path / "got") == wanted
    for name in ("generate_instructions/instructions", "dedup_filter/kept"):
        rows = (tmp_path / "got" / name).read_bytes().split(b"\n")[:-1]
        ids = Counter(json.loads(row)["id"] for row in rows)
        assert ids
        assert set(ids.values()) == {1}
