"""A KServe ``InferenceService`` for a run: the start model with the adapter that an arm tuned."""

import re
from pathlib import Path
from typing import Any

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.jsonl import parse_object
from refine_af.contracts.yaml_text import yaml_text
from refine_af.lineage.run import Run, RunTask, check_arm, open_run
from refine_af.runner import find_stage
from refine_af.storage.location import locate
from refine_af.targets.placement import place
from refine_af.targets.profile import Profile

API = "serving.kserve.io/v1beta1"
MODELS = "/mnt/models"
"""KServe downloads everything below one folder."""

_COMMIT = re.compile(r"[0-9a-f]{40}")


def write_serving(root: str, arm: str, profile: Profile, name: str, target: Path) -> None:
    """Write the object that serves an arm's model under the name ``<name>-<arm>``.

    KServe's Hugging Face runtime serves it by vLLM, behind OpenAI's API: the model ``arm`` is the
    tuned one, ``<name>-<arm>`` the start model.

    Raises:
        ParameterError: For an arm that the run has not, or files that a cluster cannot fetch.
    """
    run = open_run(root)
    tuned = check_arm(run, "train_sft", arm)
    service = f"{name}-{arm}".replace("_", "-")
    base = base_uri(run)
    adapter = _adapter_uri(tuned)
    rank = _rank(tuned)
    placement = place(find_stage("evaluate"), profile)
    predictor: dict[str, Any] = {
        "model": {
            "modelFormat": {"name": "huggingface"},
            "args": [
                f"--model_name={service}",
                f"--model_dir={MODELS}/base",
                "--backend=vllm",
                "--enable-lora",
                f"--lora-modules={arm}={MODELS}/adapter",
                f"--max-lora-rank={rank}",
            ],
            "resources": {"requests": placement.requests, "limits": placement.limits},
        },
        "storageUris": [
            {"uri": base, "mountPath": f"{MODELS}/base"},
            {"uri": adapter, "mountPath": f"{MODELS}/adapter"},
        ],
    }
    if placement.node_selector:
        predictor["nodeSelector"] = dict(placement.node_selector)
    if placement.tolerations:
        predictor["tolerations"] = [
            item.model_dump(exclude_none=True) for item in placement.tolerations
        ]
    document = {
        "apiVersion": API,
        "kind": "InferenceService",
        "metadata": {"name": service, "labels": {"app.kubernetes.io/name": "refine-af"}},
        "spec": {"predictor": predictor},
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(yaml_text(document), encoding="utf-8")


def base_uri(run: Run) -> str:
    """Return where KServe fetches the start model: a bucket, or the Hub at the run's revision.

    Raises:
        ParameterError: For a model that only one machine has.
    """
    manifest = run.manifest
    model = str(manifest.get("model", ""))
    if locate(model).bucket:
        return _for_kserve(model)
    if re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", model):
        name, _, revision = model.partition("@")
        digest = str(manifest.get("model_digest", ""))
        pinned = digest if _COMMIT.fullmatch(digest) else revision
        return f"hf://{name}:{pinned}" if pinned else f"hf://{name}"
    raise ParameterError(
        f"{run.uri}: the start model is {model!r}, which a cluster cannot fetch; serve runs whose"
        " model is on the Hub or in a bucket"
    )


def _adapter_uri(tuned: RunTask) -> str:
    uri = tuned.outputs.get("adapter", "")
    if not uri:
        raise ParameterError(f"{tuned.uri}: no adapter there; only adapters are served")
    if not locate(uri).bucket:
        raise ParameterError(
            f"{uri}: a cluster cannot read this machine; copy the run to a bucket and name that"
        )
    return _for_kserve(uri)


def _for_kserve(uri: str) -> str:
    """Return a URI in KServe's words: it knows no ``minio://``, which speaks S3."""
    return re.sub(r"^minio://", "s3://", uri)


def _rank(tuned: RunTask) -> int:
    """Return the adapter's rank, up to which vLLM makes room."""
    folder = tuned.path("adapter")
    assert folder is not None  # noqa: S101  its URI was just read
    path = folder / "adapter_config.json"
    return int(parse_object(path.read_bytes(), str(path))["r"])
