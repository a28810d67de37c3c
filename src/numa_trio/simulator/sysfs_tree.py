"""A machine as a tree of files like the one that Linux shows in /sys, written and read.

The agent reads NUMA nodes from such a tree; kubelet reads sockets and cores from it as well.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from attrs import evolve

from numa_trio.simulator.cpus import Cpu, SimulatedMachine
from numa_trio.simulator.wiring_tree import write_devices
from numa_trio.topology.lists import MalformedText, format_cpumap, format_list, parse_list
from numa_trio.topology.machine import NumaNode
from numa_trio.topology.sizes import KIB
from numa_trio.topology.sysfs import read_machine

_NODES = Path("devices/system/node")
_CPUS = Path("devices/system/cpu")


def write_sysfs(root: Path, simulated: SimulatedMachine) -> None:
    """Write the files of a machine below `root`."""
    for path, text in _files(simulated):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", encoding="ascii")
    write_devices(root, simulated.wiring)


def read_simulated_machine(root: Path, name: str) -> SimulatedMachine:
    """The machine whose sysfs is at `root`; raises what `read_machine` raises.

    Where the kernel tells nothing of cores and sockets, each CPU is a core, each node a socket.
    Where it knows no NUMA nodes, kubelet takes the memory of the whole machine for the node's.
    Disks, interfaces and GPUs are not read.
    """
    machine = read_machine(root)
    if not machine.numa_aware:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        machine = evolve(machine, nodes=(evolve(machine.nodes[0], memory_bytes=memory),))
    cpus = (_read_cpu(root, node.id, cpu) for node in machine.nodes for cpu in sorted(node.cpus))
    return SimulatedMachine(name, machine, tuple(cpus))


def _files(simulated: SimulatedMachine) -> Iterator[tuple[Path, str]]:
    nodes = simulated.machine.nodes
    online = format_list(node.id for node in nodes)
    with_memory = format_list(node.id for node in nodes if node.has_memory)
    yield _NODES / "online", online
    yield _NODES / "possible", online
    yield _NODES / "has_cpu", format_list(node.id for node in nodes if node.has_cpus)
    yield _NODES / "has_memory", with_memory
    yield _NODES / "has_normal_memory", with_memory
    for node in nodes:
        for name, text in _node_files(node):
            yield _NODES / f"node{node.id}" / name, text
    for name in ("online", "possible", "present"):
        yield _CPUS / name, format_list(cpu.id for cpu in simulated.cpus)
    threads = defaultdict(list)
    for cpu in simulated.cpus:
        threads[cpu.core].append(cpu.id)
    for cpu in simulated.cpus:
        siblings = format_list(threads[cpu.core])
        topology = _CPUS / f"cpu{cpu.id}" / "topology"
        yield topology / "physical_package_id", str(cpu.socket)
        yield topology / "core_id", str(cpu.core)
        yield topology / "thread_siblings_list", siblings
        yield topology / "core_cpus_list", siblings


def _node_files(node: NumaNode) -> Iterator[tuple[str, str]]:
    yield "cpulist", format_list(node.cpus)
    yield "cpumap", format_cpumap(node.cpus)
    yield "distance", " ".join(str(distance) for _, distance in sorted(node.distances.items()))
    if node.memory_bytes is not None:
        free = node.memory_bytes if node.memory_free_bytes is None else node.memory_free_bytes
        amounts = {"MemTotal": node.memory_bytes, "MemFree": free}
        yield (
            "meminfo",
            "\n".join(
                f"Node {node.id} {name}: {amount // KIB:>14} kB" for name, amount in amounts.items()
            ),
        )
    for pages in node.huge_pages:
        folder = f"hugepages/hugepages-{pages.size_bytes // KIB}kB"
        yield f"{folder}/nr_hugepages", str(pages.total)
        yield f"{folder}/free_hugepages", str(pages.free)


def _read_cpu(root: Path, node: int, cpu: int) -> Cpu:
    topology = root / _CPUS / f"cpu{cpu}" / "topology"
    siblings = _numbers(topology / "thread_siblings_list") or {cpu}
    socket = _numbers(topology / "physical_package_id") or {node}
    return Cpu(cpu, node=node, socket=min(socket), core=min(siblings))


def _numbers(path: Path) -> frozenset[int]:
    """The numbers in a file; none if it is missing or tells none (-1 is `unknown`)."""
    try:
        return parse_list(path.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError, MalformedText):
        return frozenset()
