"""What kubelet's pod-resources API says of a node: what it can give away, and who has what of it.

Source: pkg/kubelet/apis/podresources/server_v1.go of Kubernetes 1.36. No I/O happens here.
"""

from collections.abc import Iterator

from numa_trio.plugin.holdings import Allocatable, ContainerHoldings, MemoryBlock
from numa_trio.simulator.node import Node
from numa_trio.workloads.pod import Container, ContainerKind, Pod


def allocatable_of(node: Node) -> Allocatable:
    """The answer to GetAllocatableResources, without the devices.

    Nothing of what a manager with the policy `none` does not give away.
    """
    blocks = (
        MemoryBlock(resource, int(amount), (each.id,))
        for each in node.memory.nodes.values()
        for resource, amount in each.allocatable.items()
        if amount and node.memory.static
    )
    return Allocatable(node.cpus.allocatable, (*blocks,))


def holdings_of(node: Node) -> tuple[ContainerHoldings, ...]:
    """The answer to List: sidecars and app containers; ordinary init containers are left out.

    Of pods that a reboot ended kubelet knows nothing until it admits them.
    """
    return tuple(
        _holdings(node, pod, container)
        for pod in node.pods.values()
        if pod.uid not in node.down
        for container in _listed(pod)
    )


def _listed(pod: Pod) -> Iterator[Container]:
    """The containers that are listed, sidecars first as in the pod's manifest."""
    for kind in (ContainerKind.SIDECAR, ContainerKind.APP):
        yield from (each for each in pod.containers if each.kind is kind)


def _holdings(node: Node, pod: Pod, container: Container) -> ContainerHoldings:
    devices = node.devices.allocations_of(pod, container)
    return ContainerHoldings(
        pod.namespace,
        pod.name,
        container.name,
        {resource: allocation.device_ids for resource, allocation in devices.items()},
        node.cpus.exclusive(pod, container),
        tuple(
            MemoryBlock(resource, int(size), tuple(sorted(nodes)))
            for resource, nodes, size in node.memory.blocks_of(pod, container)
        ),
    )
