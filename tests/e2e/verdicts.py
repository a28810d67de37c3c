"""Whether what was seen is what had to be. Pure."""

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import TypeVar

from attrs import frozen

from e2e.objects import ClusterNode, KubeletPolicies, NearReport, Placement, PodState
from numa_trio.topology.lists import format_list

ALIGNMENT_REFUSED = "TopologyAffinityError"


class Verdict(StrEnum):
    """What became of a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@frozen
class Finding:
    """A verdict, and what was seen, or why it was skipped."""

    verdict: Verdict
    seen: str

    @property
    def passed(self) -> bool:
        """Whether it was checked and holds."""
        return self.verdict is Verdict.PASSED


def judge(holds: bool, seen: str) -> Finding:
    """Passed if it holds."""
    return Finding(Verdict.PASSED if holds else Verdict.FAILED, seen)


def skip(reason: str) -> Finding:
    """Not checked, for this reason."""
    return Finding(Verdict.SKIPPED, reason)


def slots_are(node: ClusterNode, numa_nodes: Iterable[int], capacity: int) -> Finding:
    """Each NUMA node has `capacity` slots, all of them allocatable, and no others are there.

    Resources of which no slot is left in capacity are those of an earlier deployment: kubelet
    forgets them only when it starts again.
    """
    expected = dict.fromkeys(numa_nodes, capacity)
    return _all_usable("numa", node.capacity, node.allocatable, expected)


def near_slots_are(node: ClusterNode, near: NearReport, capacity: int) -> Finding:
    """The same of each name that the plugin says it offers near something."""
    expected = {name.name: capacity for name in near.offered}
    return _all_usable("near", node.near_capacity, node.near_allocatable, expected)


_Key = TypeVar("_Key", int, str)


def _all_usable(
    kind: str,
    capacity: Mapping[_Key, int],
    allocatable: Mapping[_Key, int],
    expected: Mapping[_Key, int],
) -> Finding:
    total = {key: count for key, count in capacity.items() if count}
    usable = {key: allocatable.get(key, 0) for key in total}
    seen = f"capacity {_listed(kind, total)}; allocatable {_listed(kind, usable)}"
    if total == usable == expected:
        return judge(True, seen)
    return judge(False, f"{seen}; expected {_listed(kind, expected)}")


def _listed(kind: str, slots: Mapping[_Key, int]) -> str:
    return ", ".join(f"{kind}-{key}: {slots[key]}" for key in sorted(slots)) or "none"


def ran(state: PodState, denied: str | None) -> Finding:
    """The pod was admitted, ran and ended well; skipped where the cluster has no room for it."""
    if denied is not None:
        return judge(False, f"not admitted by the API server: {denied}")
    if state.phase == "Pending" and re.search(r"Insufficient (cpu|memory)\b", state.message):
        return skip(f"no room for a pod of 1 CPU and 64 MiB: {state.message}")
    return judge(state.phase == "Succeeded", str(state))


def ran_on(state: PodState) -> Finding:
    """A pod that ran before something happened runs still."""
    return judge(state.phase == "Running", str(state))


def none_failed(pods: Mapping[str, PodState]) -> Finding:
    """No pod of a Deployment has been refused by kubelet."""
    failed = [state for state in pods.values() if state.phase == "Failed"]
    seen = f"{len(failed)} of {len(pods)} pods Failed"
    return judge(bool(pods) and not failed, f"{seen}, as {failed[0]}" if failed else seen)


def surplus_waits(pods: Mapping[str, PodState], room: int, resource: str) -> Finding:
    """As many pods run as there is room for, and the others wait for the counted resource.

    Skipped where the scheduler finds no room for something else on the whole machine before.
    """
    running, waiting = phases(pods, "Running"), phases(pods, "Pending")
    for_other = [
        state.message
        for state in waiting.values()
        if not re.search(rf"Insufficient {re.escape(resource)}(?![-\w./])", state.message)
    ]
    seen = f"{len(running)} of {room} run, {len(waiting)} wait"
    if for_other:
        full = all(re.search(r"Insufficient (cpu|memory)\b", message) for message in for_other)
        if full and len(running) < room:
            return skip(f"{seen}: no room on the whole machine: {for_other[0]}")
        return judge(False, f"{seen}, not for {resource}: {for_other[0]}")
    return judge(len(running) == room and bool(waiting), f"{seen} for {resource}")


def phases(pods: Mapping[str, PodState], phase: str) -> dict[str, PodState]:
    """The pods in this phase."""
    return {name: state for name, state in pods.items() if state.phase == phase}


def environment_is(placement: Placement, numa_nodes: AbstractSet[int]) -> Finding:
    """NUMA_NODE names the nodes that were asked for; it is unset if none is known."""
    seen, expected = placement.numa_node, format_list(numa_nodes) or None
    told = "NUMA_NODE is unset" if seen is None else f"NUMA_NODE={seen}"
    return judge(seen == expected, told)


def cpus_are_of(
    placement: Placement, node_cpus: frozenset[int], policies: KubeletPolicies
) -> Finding:
    """All CPUs that the container may use are the NUMA nodes'."""
    if not policies.pins_cpus:
        return skip(f"kubelet's cpuManagerPolicy is {policies.cpu}, not static")
    if not policies.aligns:
        return skip(f"kubelet's topologyManagerPolicy is {policies.topology}: no alignment")
    if not placement.cpus:
        return judge(False, "the container told no Cpus_allowed_list")
    seen = f"CPUs {format_list(placement.cpus)} of {format_list(node_cpus)}"
    return judge(placement.cpus <= node_cpus, seen)


def memory_is_of(
    placement: Placement, numa_nodes: AbstractSet[int], policies: KubeletPolicies
) -> Finding:
    """The container's memory comes from these NUMA nodes only."""
    if not policies.pins_memory:
        return skip(f"kubelet's memoryManagerPolicy is {policies.memory}, not Static")
    if not policies.aligns:
        return skip(f"kubelet's topologyManagerPolicy is {policies.topology}: no alignment")
    if not placement.memory_nodes:
        return judge(False, "the container told no Mems_allowed_list")
    seen = f"memory of node {format_list(placement.memory_nodes)}"
    return judge(placement.memory_nodes <= numa_nodes, seen)


def why_not_refused(
    policies: KubeletPolicies, numa_nodes: Iterable[int], *, by_cpus: bool
) -> str | None:
    """Why kubelet would not refuse a pod that cannot be aligned, or None if it would.

    `by_cpus`: it is the CPU Manager's choice that cannot be aligned.
    """
    if len(set(numa_nodes)) < 2:
        return "only one NUMA node is advertised here"
    if not policies.aligns:
        return f"kubelet's topologyManagerPolicy is {policies.topology}: it refuses no pod"
    if by_cpus and not policies.pins_cpus:
        return f"kubelet's cpuManagerPolicy is {policies.cpu}: any CPU suits"
    return None


def refused(state: PodState, denied: str | None, code: str) -> Finding:
    """Kubelet rejected the pod for its alignment, or the API server by the policy of that code."""
    if denied is not None:
        return judge(code in denied, f"not admitted by the API server: {denied}")
    return judge(state.phase == "Failed" and state.reason == ALIGNMENT_REFUSED, str(state))
