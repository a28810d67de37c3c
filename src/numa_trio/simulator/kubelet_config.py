"""How kubelet is configured, and where it does not start."""

from enum import StrEnum
from fractions import Fraction

from attrs import frozen

from numa_trio.kubelet_limits import ENDLESS_NUMA_NODES, MAX_NUMA_NODES
from numa_trio.simulator.cpus import CpuSet, SimulatedMachine
from numa_trio.simulator.hints import Policy, Scope
from numa_trio.topology.lists import format_list
from numa_trio.topology.machine import NumaNode

MAX_NUMA_NODE_ID = 63  # the Topology Manager's masks have 64 bits


class KubeletWillNotStart(Exception):
    """Kubelet cannot run on this machine with this configuration."""


class CpuManagerPolicy(StrEnum):
    """CPU Manager policies: whether containers can get CPUs of their own."""

    NONE = "none"
    STATIC = "static"


class MemoryManagerPolicy(StrEnum):
    """Memory Manager policies: whether containers' memory can be bound to NUMA nodes."""

    NONE = "None"
    STATIC = "Static"


@frozen
class KubeletConfig:
    """What kubelet is configured to do.

    `reserved_cpus` is a number of CPUs, of which kubelet chooses the lowest, or the CPUs of
    `reservedSystemCPUs`. `reserved_memory` is how many bytes are kept from pods on each NUMA node
    that has CPUs, an eighth of its memory at the most. `full_pcpus_only` to
    `max_allowable_numa_nodes` are policy options of the CPU and the Topology Manager, under their
    own names.
    """

    policy: Policy = Policy.SINGLE_NUMA_NODE
    scope: Scope = Scope.CONTAINER
    reserved_cpus: int | CpuSet = 1
    reserved_memory: int = 512 << 20
    full_pcpus_only: bool = False
    prefer_closest_numa_nodes: bool = False
    max_allowable_numa_nodes: int = MAX_NUMA_NODES
    cpu_manager: CpuManagerPolicy = CpuManagerPolicy.STATIC
    memory_manager: MemoryManagerPolicy = MemoryManagerPolicy.STATIC

    @property
    def aligns(self) -> bool:
        """Whether pods that run are on the node that they ask for: others are refused."""
        return self.policy in {Policy.RESTRICTED, Policy.SINGLE_NUMA_NODE}

    @property
    def advice(self) -> str:
        """What the policy does to pods, where it lets them run elsewhere; else nothing."""
        return _ADVICE.get(self.policy, "")


_ADVICE = {
    Policy.NONE: (
        "The topology manager policy none does not look at NUMA nodes: pods are on the node that"
        " they ask for by chance only. Set topologyManagerPolicy to single-numa-node or restricted."
    ),
    Policy.BEST_EFFORT: (
        "The topology manager policy best-effort lets pods run elsewhere where their node has no"
        " room. Set topologyManagerPolicy to single-numa-node or restricted."
    ),
}


def check_start(machine: SimulatedMachine, config: KubeletConfig) -> None:
    """Raise `KubeletWillNotStart` where a real kubelet would not, or would take for ever."""
    nodes = frozenset(node.id for node in machine.machine.nodes)
    most = config.max_allowable_numa_nodes
    if most < MAX_NUMA_NODES:
        raise KubeletWillNotStart(
            f"the policy option max-allowable-numa-nodes is {most}: kubelet allows no less than"
            f" {MAX_NUMA_NODES}"
        )
    if len(nodes) > most and config.policy is not Policy.NONE:
        raise KubeletWillNotStart(
            f"{machine.name} has {len(nodes)} NUMA nodes: with a topology policy, kubelet runs"
            f" on at most {most} (its policy option max-allowable-numa-nodes);"
            " choose another machine, the policy none, or a higher number"
        )
    if len(nodes) > ENDLESS_NUMA_NODES:
        raise KubeletWillNotStart(
            f"{machine.name} has {len(nodes)} NUMA nodes: kubelet's static Memory Manager"
            " tries every set of nodes, which would take it for ever; choose another machine"
        )
    if max(nodes, default=0) > MAX_NUMA_NODE_ID:
        raise KubeletWillNotStart(
            f"{machine.name} has a NUMA node {max(nodes)}: kubelet's Topology and Memory"
            f" Managers know the numbers 0 to {MAX_NUMA_NODE_ID}; choose another machine"
        )
    _check_reserved_cpus(machine, config.reserved_cpus)
    binds_memory = config.memory_manager is MemoryManagerPolicy.STATIC
    if binds_memory and not sum(reserved_memory(node, config) for node in machine.machine.nodes):
        raise KubeletWillNotStart(
            f"no memory is reserved on {machine.name}, as no NUMA node with CPUs has any: kubelet's"
            " static Memory Manager does not start without; choose another machine"
        )


def _check_reserved_cpus(machine: SimulatedMachine, reserved: int | CpuSet) -> None:
    count = reserved if isinstance(reserved, int) else len(reserved)
    if not 1 <= count <= len(machine.cpus):
        raise KubeletWillNotStart(
            f"{count} CPUs are reserved of the {len(machine.cpus)} that"
            f" {machine.name} has: the static CPU Manager needs at least 1, and has no more"
            " than all"
        )
    if not isinstance(reserved, int) and (strays := reserved - {cpu.id for cpu in machine.cpus}):
        raise KubeletWillNotStart(
            f"CPU {format_list(strays)} is reserved, but {machine.name} has only the CPUs"
            f" {format_list(cpu.id for cpu in machine.cpus)}"
        )


def reserved_memory(node: NumaNode, config: KubeletConfig) -> Fraction:
    """The bytes of a NUMA node that are kept from pods."""
    eighth = Fraction(node.memory_bytes or 0) / 8
    return min(Fraction(config.reserved_memory), eighth) if node.has_cpus else Fraction()
