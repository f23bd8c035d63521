"""Somebody else's Argo workflow that has one of our stages in it, as our page shows."""

import json
from pathlib import Path

import yaml
from argo_repository import Repository
from argo_run import Cluster, Machine, load
from argo_smoke import REGISTRY

from refine_af import __version__
from refine_af.generate import ROOT

ROWS = [{"instruction": text, "mine": 1} for text in ("Name a colour.", "Name a colour!", "Sing.")]
MINE = {
    "name": "mine",
    "inputs": {"parameters": [], "artifacts": []},
    "outputs": {
        "artifacts": [
            {
                "name": "rows",
                "path": "/artifacts/rows",
                "archive": {"none": {}},
                "s3": {"key": "mine/rows"},
            }
        ]
    },
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532},
    "volumes": [{"name": "artifacts", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    "container": {
        "image": f"{REGISTRY}/refine-af-core:{__version__}",
        "command": ["python", "-c", "import sys; open(sys.argv[2], 'w').write(sys.argv[1])"],
        "args": ["".join(json.dumps(row) + "\n" for row in ROWS), "/artifacts/rows"],
        "env": [],
        "securityContext": {"readOnlyRootFilesystem": True},
        "volumeMounts": [
            {"name": "artifacts", "mountPath": "/artifacts"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  a volume of the pod
        ],
    },
}
"""A template of somebody else's, which writes rows of its own."""

ENTRY = {"entrypoint": "dag", "arguments": {"parameters": []}}


def filtered_by_a_stage(repository: Repository, machine: Machine, folder: Path) -> list[object]:
    """Run the page's example of a stage in a workflow of one's own; return the kept rows."""
    page = (ROOT / "manifests" / "argo" / "README.md").read_text(encoding="utf-8")
    example = page.partition("## A stage in a workflow of your own")[2]
    shipped = load(ROOT / "manifests" / "argo" / "quickstart.cpu" / "templates.yaml")
    names = [item["metadata"]["name"] for item in shipped]
    (name,) = [name for name in names if name.startswith("refine-af-dedup-filter-")]
    example = example.partition("```yaml\n")[2].partition("```")[0]
    (theirs,) = yaml.safe_load(example.replace("refine-af-dedup-filter-DIGEST", name))
    mine = {
        "name": "mine",
        "templateRef": {"name": "mine", "template": "mine"},
        "arguments": {"parameters": []},
    }
    dag = {"name": "dag", "dag": {"tasks": [mine, theirs | {"depends": "mine"}]}}
    own = [
        {"metadata": {"name": "mine"}, "spec": {"templates": [MINE]}},
        {"metadata": {"name": "own"}, "spec": {**ENTRY, "templates": [dag]}},
    ]
    cluster = Cluster([*shipped, *own], repository, machine, folder / "pods")
    done = cluster.submit({"spec": {"workflowTemplateRef": {"name": "own"}}}, "own-1", {})
    assert done.attempts == {"mine": [0], "filter": [0]}
    repository.get(done.keys["filter"]["kept"], folder / "kept")
    return [json.loads(line) for line in (folder / "kept").read_text().splitlines()]
