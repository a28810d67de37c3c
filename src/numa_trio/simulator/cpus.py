"""The CPUs of a machine, and which of them kubelet's CPU Manager takes.

Source: pkg/kubelet/cm/cpumanager/cpu_assignment.go and topology/topology.go of Kubernetes 1.36.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import frozen

from numa_trio.simulator.wiring import Attached
from numa_trio.topology.machine import Machine

CpuSet = frozenset[int]


class NotEnoughCpus(Exception):
    """Fewer CPUs are free than a container needs."""


@frozen
class Cpu:
    """A logical CPU and where it is. `core` is the lowest id of the CPUs that share its core."""

    id: int
    node: int
    socket: int
    core: int


@frozen
class SimulatedMachine:
    """A machine: its NUMA nodes, how their CPUs form cores and sockets, and what hangs on them."""

    name: str
    machine: Machine
    cpus: tuple[Cpu, ...]
    wiring: tuple[Attached, ...] = ()


Unit = Callable[[Cpu], int]  # which NUMA node, socket, core or CPU a CPU belongs to


def _node(cpu: Cpu) -> int:
    return cpu.node


def _socket(cpu: Cpu) -> int:
    return cpu.socket


def _core(cpu: Cpu) -> int:
    return cpu.core


def take(cpus: Iterable[Cpu], available: CpuSet, count: int) -> CpuSet:
    """Choose `count` of the available CPUs, close together.

    Whole sockets and NUMA nodes go first (whichever contains the other), then whole cores, then
    single CPUs; what has the fewest free CPUs is filled before the rest. Raises `NotEnoughCpus`.
    """
    if count > len(available):
        raise NotEnoughCpus(
            "not enough cpus available to satisfy request:"
            f" requested={count}, available={len(available)}"
        )
    machine = tuple(cpus)
    nodes_outermost = len(set(map(_socket, machine))) >= len(set(map(_node, machine)))
    levels = [_node, _socket, _core] if nodes_outermost else [_socket, _node, _core]
    free = {cpu for cpu in machine if cpu.id in available}
    taken: set[Cpu] = set()
    for depth, level in enumerate(levels, start=1):
        units = _units(machine, level)
        average = len(machine) // len(units)
        for unit in _fullest_first(free, levels[:depth]):
            whole = units[unit]
            # Of sockets and cores kubelet knows the average size only. So it never takes a smaller
            # one for free, and takes a larger one whole if as many are free as an average one has.
            size = len(whole) if level is _node else average
            if len(whole & free) == size and len(whole) <= count - len(taken):
                taken |= whole
                free -= whole
    singles = list(_fullest_first(free, [*levels, lambda cpu: cpu.id]))
    return frozenset({cpu.id for cpu in taken} | set(singles[: count - len(taken)]))


def cpus_per_core(cpus: Sequence[Cpu]) -> int:
    """How many threads kubelet takes each core to have: the average, rounded down."""
    return len(cpus) // len(set(map(_core, cpus)))


def _units(machine: Sequence[Cpu], level: Unit) -> dict[int, set[Cpu]]:
    units: dict[int, set[Cpu]] = {}
    for cpu in machine:
        units.setdefault(level(cpu), set()).add(cpu)
    return units


def _fullest_first(free: set[Cpu], levels: Sequence[Unit]) -> Iterator[int]:
    """The units of the last level, ordered level by level by how few free CPUs they have."""
    sizes = [Counter(map(level, free)) for level in levels]

    def order(cpu: Cpu) -> list[tuple[int, int]]:
        units = [level(cpu) for level in levels]
        return [(size[unit], unit) for size, unit in zip(sizes, units, strict=True)]

    return iter(dict.fromkeys(levels[-1](cpu) for cpu in sorted(free, key=order)))
