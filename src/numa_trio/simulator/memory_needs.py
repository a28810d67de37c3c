"""What memory a container asks to be bound to NUMA nodes, and whose it may use again."""

from collections.abc import Iterable
from fractions import Fraction

from numa_trio.workloads.pod import Container, ContainerKind, Pod, QosClass, Quantities
from numa_trio.workloads.resource_names import is_huge_pages


def bound_memory(pod: Pod, container: Container) -> dict[str, Fraction]:
    """What is bound to nodes: nothing unless the pod is Guaranteed, by its containers."""
    if pod.qos is not QosClass.GUARANTEED or pod.resources:
        return {}
    return {
        name: quantity
        for name, quantity in container.resources.requests.items()
        if name == "memory" or is_huge_pages(name)
    }


def in_whole_bytes(needed: Quantities) -> bool:
    """Whether all amounts are whole numbers."""
    return all(amount.denominator == 1 for amount in needed.values())


def ordinary_init_containers_before(pod: Pod, container: Container) -> Iterable[Container]:
    """Those that have ended when the container starts."""
    for earlier in pod.containers:
        if earlier.name == container.name:
            return
        if earlier.kind is ContainerKind.INIT:
            yield earlier
