"""Whether what was seen is what had to be. Pure."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

from attrs import frozen

from e2e.objects import ClusterNode, KubeletPolicies, Placement, PodState
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
    expected = dict.fromkeys(sorted(numa_nodes), capacity)
    total = {numa_node: count for numa_node, count in node.capacity.items() if count}
    usable = {numa_node: node.allocatable.get(numa_node, 0) for numa_node in total}
    seen = f"capacity {_by_node(total)}; allocatable {_by_node(usable)}"
    if total == usable == expected:
        return judge(True, seen)
    return judge(False, f"{seen}; expected {_by_node(expected)}")


def _by_node(slots: Mapping[int, int]) -> str:
    return ", ".join(f"numa-{node}: {count}" for node, count in sorted(slots.items())) or "none"


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


def environment_is(placement: Placement, numa_node: int) -> Finding:
    """NUMA_NODE names the node that was asked for."""
    seen = "unset" if placement.numa_node is None else placement.numa_node
    return judge(seen == str(numa_node), f"NUMA_NODE={seen}")


def cpus_are_of(
    placement: Placement, node_cpus: frozenset[int], policies: KubeletPolicies
) -> Finding:
    """All CPUs that the container may use are the NUMA node's."""
    if not policies.pins_cpus:
        return skip(f"kubelet's cpuManagerPolicy is {policies.cpu}, not static")
    if not policies.aligns:
        return skip(f"kubelet's topologyManagerPolicy is {policies.topology}: no alignment")
    if not placement.cpus:
        return judge(False, "the container told no Cpus_allowed_list")
    seen = f"CPUs {format_list(placement.cpus)} of {format_list(node_cpus)}"
    return judge(placement.cpus <= node_cpus, seen)


def memory_is_of(placement: Placement, numa_node: int, policies: KubeletPolicies) -> Finding:
    """The container's memory comes from the NUMA node only."""
    if not policies.pins_memory:
        return skip(f"kubelet's memoryManagerPolicy is {policies.memory}, not Static")
    if not policies.aligns:
        return skip(f"kubelet's topologyManagerPolicy is {policies.topology}: no alignment")
    if not placement.memory_nodes:
        return judge(False, "the container told no Mems_allowed_list")
    seen = f"memory of node {format_list(placement.memory_nodes)}"
    return judge(placement.memory_nodes == {numa_node}, seen)


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


def is_refused(state: PodState) -> Finding:
    """Kubelet rejected the pod for its alignment, and for nothing else."""
    return judge(state.phase == "Failed" and state.reason == ALIGNMENT_REFUSED, str(state))


def is_denied(said: str, code: str) -> Finding:
    """The API server denied the pod by the policy of that code."""
    return judge(code in said, f"not admitted by the API server: {said}")
