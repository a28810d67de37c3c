"""What the container runtime pins, as the plugin says, and what a container then sees. Pure."""

import re

from attrs import frozen

from e2e.objects import KubeletPolicies, Placement
from e2e.verdicts import Finding, judge, skip
from numa_trio.setting_values import MemoryPolicy, PinnedPart, parse_pinned_parts
from numa_trio.topology.lists import format_list


@frozen
class Pinning:
    """The `parts` that the runtime is asked to pin; `told` is what /readyz says of it, if it does.

    A `problem` says why the plugin says nothing.
    """

    parts: tuple[PinnedPart, ...] = ()
    policy: str = MemoryPolicy.BIND
    told: str = ""
    problem: str | None = None


def parse_pinning(text: str) -> Pinning:
    """The output of `pods.TELL_PINNING`. Raises `ValueError` if it says no setting."""

    def setting(name: str) -> str:
        match = re.search(rf"^{name}=(.*)$", text, re.MULTILINE)
        if match is None:
            raise ValueError(f"no {name}= in {text!r}")
        return match[1]

    told = re.search(r"^(not )?pinning: .*$", text, re.MULTILINE)
    return Pinning(
        parse_pinned_parts(setting("NUMA_NRI")),
        setting("NUMA_MEMORY_POLICY"),
        told[0] if told else "",
    )


def is_connected(pinning: Pinning) -> Finding:
    """The plugin is connected to the container runtime."""
    return judge(pinning.told.startswith("pinning: "), pinning.told or "/readyz says nothing of it")


def cpus_are_pinned(
    placement: Placement, node_cpus: frozenset[int], pinning: Pinning, policies: KubeletPolicies
) -> Finding:
    """All CPUs that the container may use are the NUMA node's, without any policy of kubelet's."""
    if PinnedPart.CPUS not in pinning.parts:
        return skip(f"NUMA_NRI is {','.join(pinning.parts)}: CPUs are left alone")
    if not placement.cpus:
        return judge(False, "the container told no Cpus_allowed_list")
    seen = f"CPUs {format_list(placement.cpus)} of {format_list(node_cpus)}"
    if policies.pins_cpus and not placement.cpus & node_cpus:
        return skip(f"{seen}: kubelet's shared pool has no CPU of the NUMA node")
    return judge(placement.cpus <= node_cpus, seen)


def memory_is_pinned(placement: Placement, numa_node: int, pinning: Pinning) -> Finding:
    """The container's memory comes from this NUMA node only."""
    if pinning.policy != MemoryPolicy.BIND:
        return skip(f"NUMA_MEMORY_POLICY is {pinning.policy}: memory need not be of the NUMA node")
    if not placement.memory_nodes:
        return judge(False, "the container told no Mems_allowed_list")
    seen = f"memory of node {format_list(placement.memory_nodes)}"
    return judge(placement.memory_nodes == {numa_node}, seen)
