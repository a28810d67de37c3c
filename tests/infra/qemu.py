"""QEMU command lines for virtual machines with several NUMA nodes."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from attrs import field, frozen
from attrs.validators import ge

# ACPI SLIT: 10 is local, 255 is unreachable.
LOCAL_DISTANCE = 10

QEMU = "qemu-system-x86_64"

# The name of an option without its dash, and its value; an empty value is none.
Options: TypeAlias = list[tuple[str, str]]


class Accelerator(StrEnum):
    """Who runs the guest's instructions: the processor, or QEMU's translator."""

    KVM = "kvm"
    TCG = "tcg"


@frozen
class VirtualNode:
    """One NUMA node of a virtual machine; 0 CPUs make it memory only."""

    cpus: int = field(validator=ge(0))
    memory_mib: int = field(validator=ge(1))


@frozen
class NumaLayout:
    """The NUMA nodes of a virtual machine, and the distances between two different ones."""

    nodes: Sequence[VirtualNode]
    distances: Mapping[tuple[int, int], int] = field()

    @distances.validator
    def _every_pair_once(self, _: object, distances: Mapping[tuple[int, int], int]) -> None:
        count = len(self.nodes)
        expected = {(low, high) for high in range(count) for low in range(high)}
        if set(distances) != expected:
            raise ValueError(
                f"distances for the pairs {sorted(distances)};"
                f" expected each pair (lower node, higher node) once: {sorted(expected)}"
            )

    @property
    def cpu_count(self) -> int:
        """The virtual CPUs of all nodes."""
        return sum(node.cpus for node in self.nodes)

    @property
    def memory_mib(self) -> int:
        """The memory of all nodes."""
        return sum(node.memory_mib for node in self.nodes)

    def cpus_of(self, node_id: int) -> frozenset[int]:
        """The CPU numbers of a node: CPUs are dealt out in the order of the nodes."""
        first = sum(node.cpus for node in self.nodes[:node_id])
        return frozenset(range(first, first + self.nodes[node_id].cpus))

    def distance(self, one: int, other: int) -> int:
        """The relative access cost between two nodes, the same both ways."""
        return LOCAL_DISTANCE if one == other else self.distances[min(one, other), max(one, other)]


def command_line(*groups: Options, program: str = QEMU) -> list[str]:
    """The words to execute for all the options."""
    words = [program]
    for name, value in (option for group in groups for option in group):
        words += [f"-{name}", value] if value else [f"-{name}"]
    return words


def numa_options(layout: NumaLayout) -> Options:
    """The CPUs, memory, nodes and distances of `layout`.

    Each node with CPUs is a socket of its own, as on real servers.
    """
    cores = {node.cpus for node in layout.nodes if node.cpus}
    if len(cores) != 1:
        raise ValueError(
            f"nodes with {sorted(cores)} CPUs; QEMU's sockets are all alike:"
            " give every node that has CPUs the same number of them, and at least one node some"
        )
    sockets = layout.cpu_count // min(cores)
    options = [
        ("smp", f"{layout.cpu_count},sockets={sockets},cores={min(cores)},threads=1"),
        ("m", f"{layout.memory_mib}M"),
    ]
    for node_id, node in enumerate(layout.nodes):
        numbers = sorted(layout.cpus_of(node_id))
        cpus = f",cpus={numbers[0]}-{numbers[-1]}" if numbers else ""
        options += [
            ("object", f"memory-backend-ram,id=memory{node_id},size={node.memory_mib}M"),
            ("numa", f"node,nodeid={node_id}{cpus},memdev=memory{node_id}"),
        ]
    # QEMU mirrors a distance that is given one way.
    options += [
        ("numa", f"dist,src={low},dst={high},val={distance}")
        for (low, high), distance in sorted(layout.distances.items())
    ]
    return options


def accelerator_options(accelerator: Accelerator) -> Options:
    """The processor that the guest sees; emulation gets a host thread for each virtual CPU."""
    match accelerator:
        case Accelerator.KVM:
            return [("accel", "kvm"), ("cpu", "host")]
        case Accelerator.TCG:
            return [("accel", "tcg,thread=multi"), ("cpu", "max")]


def machine_options(
    layout: NumaLayout, accelerator: Accelerator, *, reboots: bool = False
) -> Options:
    """A machine without display or default devices. Unless it `reboots`, QEMU ends instead."""
    return [
        ("machine", "q35"),
        *accelerator_options(accelerator),
        *numa_options(layout),
        ("nodefaults", ""),
        ("no-user-config", ""),
        *([] if reboots else [("no-reboot", "")]),
        ("display", "none"),
    ]


def kernel_options(kernel: Path, initrd: Path, command_line: str) -> Options:
    """A kernel that QEMU loads itself, without boot loader."""
    return [("kernel", str(kernel)), ("initrd", str(initrd)), ("append", command_line)]


def serial_options(*logs: Path) -> Options:
    """Serial ports (ttyS0, ttyS1, …), each written to a file."""
    return [("serial", f"file:{log}") for log in logs]
