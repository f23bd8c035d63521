"""Trains on several nodes: the stage's pod starts a Kubeflow TrainJob and watches it.

The job runs the stage's own command on every node, with the same parameters. Its rank 0 keeps the
journal of the stage in the bucket and leaves the outputs there, as it does in one pod; the pod that
watches then publishes them from the journal. So that pod needs no GPU, and holds no lease.

Nothing but the journal says how far the work is. A pod that is asked to end (SIGTERM: the run was
stopped) removes the job. A pod that is killed leaves it: the job's name follows from the journal's
address, so the next try finds it and watches on, or starts it again from the last checkpoint.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from refine_af.contracts.errors import (
    DataError,
    DependencyError,
    ParameterError,
    RefineAfError,
)
from refine_af.contracts.params import words
from refine_af.contracts.stage import Progress, Stage
from refine_af.processes.job import JOURNAL_VARIABLE, forget_failure, read_failure
from refine_af.processes.kubernetes import Object, TrainJobs
from refine_af.processes.params import ProcessesParams
from refine_af.storage.entry import Identity
from refine_af.storage.journal import Entries, Resume, open_journal
from refine_af.storage.location import join, locate
from refine_af.storage.schemes import open_store

TEMPLATE_VARIABLE = "REFINE_AF_TRAIN_JOB"
"""Environment variable with the job that `refine-af compile` wrote for the stage, as JSON: image,
resources, nodes and secrets. Name, command and counts are added here."""

POLL_SECONDS = 5.0
REPORT_SECONDS = 30.0
GONE_SECONDS = 300.0
"""How long a job that is being removed may take to end its pods."""


@dataclass(frozen=True)
class Job:
    """One stage run that several nodes train.

    Attributes:
        stage: A stage whose parameters are :class:`ProcessesParams`.
        settings: Its parameters.
        identity: Of the stage run: what the journal's folder is named after.
        inputs: Local path of each input.
        work_dir: Folder of the journals, in a bucket.
        label: Of the task, in progress reports.
    """

    stage: Stage
    settings: ProcessesParams
    identity: Identity
    inputs: Mapping[str, Path]
    work_dir: str
    label: str

    @property
    def journal(self) -> str:
        """Return the URI of the journal."""
        return join(self.work_dir, self.identity.key)

    @property
    def name(self) -> str:
        """Return the job's name: the same for every try of the same work in the same bucket."""
        digest = hashlib.sha256(self.journal.encode()).hexdigest()[:10]
        return f"refine-af-{self.stage.command}-{digest}"

    def manifest(self) -> Object:
        """Return the TrainJob.

        Raises:
            ParameterError: In a pod that was not compiled for several nodes.
        """
        template = os.environ.get(TEMPLATE_VARIABLE)
        if not template:
            raise ParameterError(
                f"{self.stage.name}.nodes is {self.settings.nodes}; this pod was compiled for one"
                " node: set it when the pipeline is compiled"
            )
        job: Object = json.loads(template)
        job["metadata"]["name"] = self.name
        trainer = job["spec"]["trainer"]
        trainer["numNodes"] = self.settings.nodes
        gpus = trainer.pop("gpus")
        trainer["numProcPerNode"] = self.settings.processes or max(gpus, 1)
        trainer["command"] = ["python", "-m", "torch.distributed.run", "-m", "refine_af"]
        trainer["args"] = [self.stage.command, *self._arguments()]
        trainer["env"] = [*trainer["env"], {"name": JOURNAL_VARIABLE, "value": self.journal}]
        return job

    def _arguments(self) -> list[str]:
        values = {name: self._uploaded(name) for name in self.inputs}
        values |= {name: words(value) for name, value in self.settings.model_dump().items()}
        values |= {"work_dir": self.work_dir, "label": self.label}
        return [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]

    def upload(self) -> None:
        """Put the inputs into the bucket, where every node reads them."""
        store = open_store(self.work_dir)
        for name, path in self.inputs.items():
            publish = store.publish_directory if path.is_dir() else store.publish
            publish(self._uploaded(name), path)

    def remove_uploads(self) -> None:
        """Remove the inputs from the bucket."""
        open_store(self.work_dir).delete(join(self.journal, "inputs"))

    def _uploaded(self, name: str) -> str:
        return join(join(self.journal, "inputs"), name)


def train_on_nodes(job: Job, resume: Resume, progress: Progress) -> None:
    """Let a TrainJob do the work; afterwards the journal holds the stage's outputs.

    Raises:
        ParameterError: ``work_dir`` is not in a bucket, the pod is not in a cluster, the cluster
            has no TrainJobs or refuses this one.
        DataError: As the stage raises it.
        DependencyError: The job failed for another reason; the next try continues.
    """
    if not job.work_dir or not locate(job.work_dir).bucket:
        raise ParameterError(
            f"{job.stage.name}.nodes is {job.settings.nodes}, and work_dir is {job.work_dir!r}; it"
            " must be in a bucket that all nodes reach, such as s3://BUCKET/work"
        )
    manifest, cluster = job.manifest(), TrainJobs()
    cluster.check_installed()
    there = cluster.read(job.name)
    if there is None or _ended(there) or resume == "never":
        if there is not None:
            _remove(cluster, job.name)
        with open_journal(job.work_dir, job.identity, resume) as journal:
            if journal.finished():
                return
            forget_failure(job.journal)
            job.upload()
        try:
            cluster.create(manifest)
        except RefineAfError:
            job.remove_uploads()
            raise
        progress.say(f"started the TrainJob {job.name} on {job.settings.nodes} nodes")
    else:
        progress.say(f"the TrainJob {job.name} of an earlier try still runs; watching it")
    try:
        _follow(cluster, job, progress)
    except KeyboardInterrupt:
        cluster.delete(job.name)
        progress.say(f"removed the TrainJob {job.name}; its checkpoints stay")
        raise
    # its pods would stay for ever; what they did is in the journal
    cluster.delete(job.name)
    job.remove_uploads()


def _follow(cluster: TrainJobs, job: Job, progress: Progress) -> None:
    """Wait for the end of the job, and report how far it is.

    Raises:
        RefineAfError: When it ends without the stage's outputs.
    """
    entries = Entries(open_store(job.work_dir), job.journal)
    reported = float("-inf")
    while True:
        current = cluster.read(job.name)
        if current is None:
            raise DependencyError(
                f"the TrainJob {job.name} was removed while it ran; the next try continues from"
                " its last checkpoint"
            )
        if end := _ended(current):
            break
        if time.monotonic() - reported >= REPORT_SECONDS:
            reported = time.monotonic()
            progress.say(_state(current, job, entries))
        time.sleep(POLL_SECONDS)
    if end["type"] == "Failed":
        raise _failure(job, cluster.namespace, end)
    if not entries.finished():
        raise DependencyError(
            f"the TrainJob {job.name} is complete and its journal {job.journal} holds no outputs"
        )


def _ended(job: Object) -> Object | None:
    """Return the condition with which a job has ended."""
    for condition in job.get("status", {}).get("conditions", []):
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return dict(condition)
    return None


def _state(current: Object, job: Job, entries: Entries) -> str:
    groups = current.get("status", {}).get("jobsStatus", [])
    ready = sum(group["ready"] for group in groups if group["name"] == "node")
    steps = entries.names("checkpoint-")
    kept = f"; in the journal: {steps[-1]}" if steps else ""
    return f"TrainJob {job.name}: {ready} of {job.settings.nodes} nodes ready{kept}"


def _failure(job: Job, namespace: str, end: Object) -> RefineAfError:
    """Return why a job failed, in the words of the rank that failed first, where it left any."""
    message, exit_code = read_failure(job.journal)
    for kind in (ParameterError, DataError):
        if exit_code == kind.exit_code:
            return kind(message)
    return DependencyError(
        f"the TrainJob {job.name} failed: {message or end['message']}; `kubectl logs -n"
        f" {namespace} -l jobset.sigs.k8s.io/jobset-name={job.name} --tail=50` shows more. The"
        " next try continues from the last checkpoint"
    )


def _remove(cluster: TrainJobs, name: str) -> None:
    cluster.delete(name)
    end = time.monotonic() + GONE_SECONDS
    while cluster.read(name) is not None:
        if time.monotonic() > end:
            raise DependencyError(f"the TrainJob {name} of an earlier try does not end; remove it")
        time.sleep(POLL_SECONDS)
