"""How kubelet admits a pod: devices, CPUs and memory aligned by topology, then the sums.

The algorithms and the words of refusals are those of Kubernetes 1.36 (pkg/kubelet/cm,
pkg/kubelet/lifecycle/predicate.go). No I/O happens here: `Plugins` says how plugins are called.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from attrs import frozen

from numa_trio.plugin.messages import ContainerAllocation, PreferredAllocationRequest
from numa_trio.simulator.cpu_policy import SmtAlignmentError
from numa_trio.simulator.cpus import NotEnoughCpus
from numa_trio.simulator.devices import Allocation, NoDevices
from numa_trio.simulator.hints import Hint, Policy, Scope, merge
from numa_trio.simulator.memory import NoMemory
from numa_trio.simulator.node import Node, Placement
from numa_trio.workloads.pod import Container, ContainerKind, Pod

UNSCHEDULABLE = "Unschedulable"  # the scheduler's reason, of a pod that stays Pending

_NO_HINT = Hint(None, preferred=False)


class PluginFailed(Exception):
    """A plugin did not answer a call, or not with what was asked."""


class Plugins(Protocol):
    """The plugins' side of admission. Each method may raise `PluginFailed`."""

    def prefers(self, resource: str) -> bool:
        """Whether the plugin offers GetPreferredAllocation."""

    async def preferred(self, resource: str, request: PreferredAllocationRequest) -> Sequence[str]:
        """Ask the plugin for its preferred devices."""

    async def allocate(self, resource: str, device_ids: Sequence[str]) -> ContainerAllocation:
        """Tell the plugin that a container gets these devices."""

    def allocated(self) -> None:
        """Hear that a container has all its devices, and write that down."""


@frozen
class Verdict:
    """What kubelet says of a pod: placements if it was admitted, else reason and message."""

    pod: Pod
    placements: tuple[Placement, ...] = ()
    reason: str | None = None
    message: str | None = None

    @property
    def admitted(self) -> bool:
        """Whether the pod runs."""
        return self.reason is None


class _Refused(Exception):
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def admit(node: Node, pod: Pod, plugins: Plugins) -> Verdict:
    """Place a pod on the node, or refuse it and leave the node as it was."""
    verdict = None
    try:
        verdict = await _admit(node, pod, plugins)
    finally:
        if verdict is None or not verdict.admitted:
            node.release(pod)
    return verdict


async def admit_again(node: Node, pods: Sequence[Pod], plugins: Plugins) -> list[Verdict]:
    """Admit the pods that were there before, in this order, as kubelet does after its start.

    Their sidecars and app containers run, their other init containers have ended. Of the pods that
    are `down` no container runs; what they have is theirs if the plugin still has it. What a
    refused pod has is free only after the last one: until then kubelet does not know which pods
    there are.
    """
    node.restart()
    verdicts: list[Verdict] = []
    try:
        for pod in pods:
            running = _running_containers(node, pod)
            verdicts.append(await _admit(node, pod, plugins, running))
    finally:
        for verdict in verdicts:
            if not verdict.admitted:
                node.release(verdict.pod)
        for pod in pods[len(verdicts) :]:  # kubelet ended before it came to them: they run on
            node.pods[pod.uid] = pod
    return verdicts


def _running_containers(node: Node, pod: Pod) -> set[str]:
    if pod.uid in node.down:
        return set()
    return {c.name for c in pod.containers if c.kind is not ContainerKind.INIT}


async def _admit(node: Node, pod: Pod, plugins: Plugins, running: Collection[str] = ()) -> Verdict:
    try:
        await _allocate(node, pod, plugins, running)
        _check_sums(node, pod)
    except _Refused as refusal:
        return Verdict(pod, reason=refusal.reason, message=f"Pod was rejected: {refusal}")
    except SmtAlignmentError as problem:
        return Verdict(pod, reason="SMTAlignmentError", message=f"Pod was rejected: {problem}")
    except (NoDevices, NotEnoughCpus, NoMemory, PluginFailed) as problem:
        message = f"Pod was rejected: Allocate failed due to {problem}, which is unexpected"
        return Verdict(pod, reason="UnexpectedAdmissionError", message=message)
    node.pods[pod.uid] = pod
    return Verdict(pod, tuple(node.placement(pod, container) for container in pod.containers))


def scheduler_verdict(node: Node, pod: Pod) -> Verdict | None:
    """What the scheduler says of a pod that would not fit on the only node; None if it fits.

    Such a pod stays Pending and kubelet never sees it.
    """
    short = node.shortfalls(pod)
    if not short:
        return None
    reasons = sorted(
        "Too many pods" if s.resource == "pods" else f"Insufficient {s.resource}" for s in short
    )
    message = ", ".join(f"1 {reason}" for reason in reasons)
    return Verdict(pod, reason=UNSCHEDULABLE, message=f"0/1 nodes are available: {message}.")


async def _allocate(node: Node, pod: Pod, plugins: Plugins, running: Collection[str]) -> None:
    policy, scope = node.config.policy, node.config.scope
    hint = _NO_HINT
    if policy is not Policy.NONE and scope is Scope.POD:
        hint = _aligned(node, pod, None)
    for container in pod.containers:
        if policy is not Policy.NONE and scope is Scope.CONTAINER:
            hint = _aligned(node, pod, container)
        await _allocate_devices(node, pod, container, hint, plugins, container.name in running)
        node.cpus.allocate(pod, container, hint)
        node.memory.allocate(pod, container, hint)


def _aligned(node: Node, pod: Pod, container: Container | None) -> Hint:
    """What the Topology Manager makes of the hints for a container, or else for the pod."""
    providers = (node.devices, node.cpus, node.memory)
    provided = [
        provider.pod_hints(pod) if container is None else provider.hints(pod, container)
        for provider in providers
    ]
    hint, admitted = merge(node.config.policy, node.numa_nodes, provided, node.distances)
    if not admitted:
        raise _Refused(
            "TopologyAffinityError", "Resources cannot be allocated with Topology locality"
        )
    return hint


async def _allocate_devices(
    node: Node, pod: Pod, container: Container, hint: Hint, plugins: Plugins, running: bool
) -> None:
    devices = node.devices
    changed = False
    for resource in devices.wanted(container):
        if not devices.lacks(pod, container, resource, running=running):
            continue
        choice = devices.choose(pod, container, resource, hint.nodes)
        preferred: Sequence[str] = ()
        if choice.missing and plugins.prefers(resource):
            preferred = await plugins.preferred(resource, choice.question)
        device_ids = choice.complete(preferred)
        answer = await plugins.allocate(resource, device_ids)
        devices.allocate(pod, container, resource, Allocation(device_ids, answer))
        changed = True
    if changed:
        plugins.allocated()


def _check_sums(node: Node, pod: Pod) -> None:
    """Kubelet's own look at the sums; it names the first that does not suffice."""
    for short in node.shortfalls(pod, by_kubelet=True):
        raise _Refused(
            f"OutOf{short.resource}",
            f"Node didn't have enough resource: {short.resource}, requested:"
            f" {short.requested}, used: {short.used}, capacity: {short.capacity}",
        )
