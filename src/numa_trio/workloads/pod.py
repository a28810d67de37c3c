"""Pods, as far as their admission by kubelet depends on it."""

import uuid
from collections.abc import Mapping, Sequence
from enum import StrEnum
from fractions import Fraction

from attrs import Factory, field, frozen

from numa_trio.workloads.resource_names import is_extended_resource

Quantities = Mapping[str, Fraction]

_UID_NAMESPACE = uuid.UUID("3bb8c4f5-9b42-4a0c-8d6c-2f1f6d0d7c5a")  # any fixed one will do


class ContainerKind(StrEnum):
    """When a container runs: before the others, with them from the start, or as an app."""

    INIT = "init"
    SIDECAR = "sidecar"
    APP = "app"


class QosClass(StrEnum):
    """The quality of service class that Kubernetes computes for a pod."""

    GUARANTEED = "Guaranteed"
    BURSTABLE = "Burstable"
    BEST_EFFORT = "BestEffort"


@frozen
class Resources:
    """Requests and limits by resource name, in CPUs, bytes and devices."""

    requests: Quantities = field(factory=dict)
    limits: Quantities = field(factory=dict)


@frozen
class Container:
    """A container of a pod, an init container or not."""

    name: str
    resources: Resources = Resources()
    kind: ContainerKind = ContainerKind.APP

    @property
    def devices(self) -> dict[str, int]:
        """How many devices it asks for, by extended resource."""
        return {
            name: int(quantity)
            for name, quantity in self.resources.limits.items()
            if is_extended_resource(name) and quantity
        }


def _uid_of(pod: "Pod") -> str:
    return str(uuid.uuid5(_UID_NAMESPACE, f"{pod.namespace}/{pod.name}"))


def _qos_of(pod: "Pod") -> QosClass:
    """The class as `ComputePodQOS` has it: only cpu and memory above zero count."""
    parts = [pod.resources] if pod.resources else [each.resources for each in pod.containers]
    requests = [_cpu_and_memory(part.requests) for part in parts]
    limits = [_cpu_and_memory(part.limits) for part in parts]
    if not any(requests) and not any(limits):
        return QosClass.BEST_EFFORT
    if requests == limits and all(len(part) == 2 for part in limits):
        return QosClass.GUARANTEED
    return QosClass.BURSTABLE


@frozen
class Pod:
    """A pod with its containers in the order in which they start.

    `resources` are the pod-level ones (`spec.resources`), None where there are none. `qos` is
    worked out once, as every container of the pod is asked for it.
    """

    name: str
    containers: tuple[Container, ...]
    namespace: str = "default"
    resources: Resources | None = None
    uid: str = Factory(_uid_of, takes_self=True)
    qos: QosClass = field(init=False, eq=False, default=Factory(_qos_of, takes_self=True))

    def total_requests(self) -> dict[str, Fraction]:
        """What the scheduler counts: the most that the pod needs at any time.

        Ordinary init containers run one at a time; sidecars run with all that start after them.
        """
        total = peak_requests([(c.kind, c.resources.requests) for c in self.containers])
        return total | dict(self.resources.requests) if self.resources else total


def peak_requests(containers: Sequence[tuple[ContainerKind, Quantities]]) -> dict[str, Fraction]:
    """The most that such containers, in the order of their start, need at any time."""
    peak: dict[str, Fraction] = {}
    lasting: dict[str, Fraction] = {}
    for kind, requests in containers:
        at_its_start = _sum(lasting, requests)
        for name, needed in at_its_start.items():
            peak[name] = max(needed, peak.get(name, needed))
        if kind is not ContainerKind.INIT:
            lasting = at_its_start
    return peak


def _cpu_and_memory(quantities: Quantities) -> dict[str, Fraction]:
    return {name: quantities[name] for name in ("cpu", "memory") if quantities.get(name)}


def _sum(one: Quantities, other: Quantities) -> dict[str, Fraction]:
    names = [*one, *(name for name in other if name not in one)]
    return {name: one.get(name, Fraction()) + other.get(name, Fraction()) for name in names}
