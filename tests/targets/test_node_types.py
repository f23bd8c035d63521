"""Pods of every packaged profile fit the nodes that the profile is made for."""

from dataclasses import dataclass

import pytest

from refine_af.pipelines.devices import GIB, GPUS
from refine_af.stages import STAGES
from refine_af.targets.placement import on_gpu, place
from refine_af.targets.profile import PROFILE_FOLDER, load_profile, quantity

GPU_STAGES = [stage for stage in STAGES if stage.resources.gpu]


@dataclass(frozen=True)
class Node:
    """A node type: what it has, and how many pods with a GPU it must hold at once.

    Source of sizes: cloud.google.com/compute/docs/accelerator-optimized-machines,
    aws.amazon.com/ec2/instance-types (g6, p4, p5).
    """

    cloud: str
    cpus: int
    memory_gib: float
    gpus: int
    max_pods: int = 110


NODES = {
    "l4": Node("gke", 8, 32, 1),  # g2-standard-8
    "l4x2": Node("gke", 24, 96, 2),  # g2-standard-24
    "a100": Node("gke", 12, 170, 1),  # a2-ultragpu-1g
    "h100": Node("gke", 26, 234, 1),  # a3-highgpu-1g
    "eks-g6": Node("eks", 8, 32, 1, 58),  # g6.2xlarge
    "eks-p4d": Node("eks", 96, 1152, 8, 737),  # p4d.24xlarge
    "eks-p5": Node("eks", 192, 2048, 8, 737),  # p5.48xlarge
    "nvidia-a100": Node("eks", 12, 96, 1),  # smaller than any machine with this GPU
    "cpu-small": Node("gke", 2, 8, 0),  # e2-standard-2
}

HYPERVISOR = 0.97
"""Share of a machine's memory that its kernel sees, at least; the rest is firmware and kernel."""

DAEMONS = (0.5, 1.0)
"""CPUs and GiB for what clusters run on every node: network, metrics, the GPU's plugin."""


def reserved_cpus(cpus: int) -> float:
    """Return what the kubelet keeps of the CPUs.

    6 % of the first core, 1 % of the second, 0.5 % of two more, 0.25 % of the rest.

    Source: cloud.google.com/kubernetes-engine/docs/concepts/plan-node-sizes; EKS' nodes the same
    (awslabs/amazon-eks-ami, nodeadm).
    """
    shares = [0.06, 0.01, 0.005, 0.005]
    return sum(shares[:cpus]) + 0.0025 * max(0, cpus - 4)


def reserved_memory(node: Node) -> float:
    """Return GiB that the kubelet keeps, with its eviction threshold of 100 MiB.

    GKE: 25 % of the first 4 GiB, 20 % of the next 4, 10 % of the next 8, 6 % of the next 112, 2 %
    of the rest. EKS: 255 MiB and 11 MiB a pod that the node may hold. Sources as above.
    """
    if node.cloud == "eks":
        return (255 + 11 * node.max_pods + 100) / 1024
    left, kept = node.memory_gib, 0.0
    for size, share in ((4, 0.25), (4, 0.2), (8, 0.1), (112, 0.06), (float("inf"), 0.02)):
        kept += share * min(left, size)
        left -= min(left, size)
    return kept + 100 / 1024


def test_every_profile_with_a_gpu_has_its_node() -> None:
    with_gpu = {path.stem for path in PROFILE_FOLDER.glob("*.yaml") if load_profile(path.stem).gpus}
    assert with_gpu == {name for name, node in NODES.items() if node.gpus}


@pytest.mark.parametrize("name", sorted(NODES))
def test_the_pods_of_a_profile_fit_its_node(name: str) -> None:
    profile, node = load_profile(name), NODES[name]
    at_once = node.gpus // max(1, profile.gpus) or profile.parallelism or 1
    stages = GPU_STAGES if node.gpus else STAGES
    cpus = node.cpus - reserved_cpus(node.cpus) - DAEMONS[0]
    memory = HYPERVISOR * node.memory_gib - reserved_memory(node) - DAEMONS[1]
    for stage in stages:
        requests = place(stage, profile).requests
        assert at_once * quantity(requests["cpu"]) <= cpus, (stage.name, requests, cpus)
        assert at_once * quantity(requests["memory"]) / GIB <= memory, (stage.name, requests)


@pytest.mark.parametrize("name", sorted(name for name, node in NODES.items() if node.gpus))
def test_a_profile_says_what_its_gpu_is(name: str) -> None:
    profile = load_profile(name)
    assert GPUS[profile.gpu_kind].memory == profile.gpu_memory_gib * GIB
    placement = place(GPU_STAGES[0], profile)
    assert on_gpu(GPU_STAGES[0], profile)
    assert placement.node_selector
    # /dev/shm counts against the pod's memory
    assert quantity(placement.shm) < quantity(placement.requests["memory"]) / 2


def test_reservations_by_hand() -> None:
    assert reserved_cpus(12) == pytest.approx(0.06 + 0.01 + 0.01 + 8 * 0.0025)
    assert reserved_memory(Node("gke", 8, 32, 1)) == pytest.approx(
        1 + 0.8 + 0.8 + 0.96 + 100 / 1024
    )
    assert reserved_memory(Node("eks", 8, 32, 1, 58)) == pytest.approx(993 / 1024)
