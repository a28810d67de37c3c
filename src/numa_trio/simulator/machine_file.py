"""Machines described in YAML: those that ship with numa-trio, and files of one's own.

    threads_per_core: 2          # 1 if left out
    nodes:
      - id: 0
        cpus: 0-15,32-47         # a list as the kernel writes it; left out: a node without CPUs
        memory: 128Gi            # left out: no memory
        distances: [10, 21]      # to each node of the list; left out: 10 to itself, 20 to others
        socket: 0                # left out: each node is a socket
        huge_pages: {2Mi: 512}   # how many of each size; 2Mi and 1Gi: 0 if left out

and what hangs on the nodes, as `wiring` says.

The threads of a core are numbered as Linux numbers them on x86: first one thread of each core of
the node, then the second ones. With two threads, CPUs 0-15,32-47 are the cores 0/32 to 15/47.
"""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from numa_trio.simulator.cpus import Cpu, SimulatedMachine
from numa_trio.simulator.wiring import Kind, read_wiring
from numa_trio.topology.lists import MalformedText, parse_list
from numa_trio.topology.machine import HugePages, Machine, NumaNode
from numa_trio.topology.sizes import KIB
from numa_trio.workloads.fields import BadFile, Field, read_documents

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_LARGEST_CPU = 8191  # the kernel's NR_CPUS is at most 8192
_LARGEST_NODE = 1023  # the kernel's CONFIG_NODES_SHIFT is at most 10
_LOCAL, _REMOTE = 10, 20  # the kernel's distances where the firmware tells none
_UNREACHABLE = 255
_MOST_THREADS = 8
_MOST_PAGES = 1 << 40
_USUAL_PAGES = {2 << 20: 0, 1 << 30: 0}  # Linux on x86 shows both sizes, used or not


def shipped_machines() -> "dict[str, Traversable]":
    """The machines that come with numa-trio, by name; they may be in a zip."""
    folder = files("numa_trio.simulator") / "machines"
    found = {Path(each.name): each for each in folder.iterdir()}
    return {name.stem: found[name] for name in sorted(found) if name.suffix == ".yaml"}


def load_machine(path: "Path | Traversable") -> SimulatedMachine:
    """Read a machine; raises `BadFile`."""
    documents = list(read_documents(path))
    if len(documents) != 1:
        raise BadFile(f"{path}: found {len(documents)} documents; expected one machine")
    (document,) = documents
    document.only("threads_per_core", "nodes", *Kind)
    nodes = document.child("nodes")
    fields = list(nodes.elements())
    for field in fields:
        field.only("id", "cpus", "memory", "distances", "socket", "huge_pages")
    ids = [field.child("id").whole_number(0, _LARGEST_NODE) for field in fields]
    if ids != sorted(set(ids)):
        raise BadFile(f"{nodes.where}: the ids are {ids}; expected them in ascending order")
    machine = Machine(tuple(_node(field, ids) for field in fields))
    _check_cpus(machine, nodes)
    threads = document.child("threads_per_core")
    cpus = tuple(_cpus(machine, fields, threads))
    return SimulatedMachine(Path(path.name).stem, machine, cpus, read_wiring(document, ids))


def _node(field: Field, ids: list[int]) -> NumaNode:
    memory = field.child("memory")
    size = None if memory.value is None else int(memory.quantity() // KIB) * KIB
    node = field.child("id").whole_number(0, _LARGEST_NODE)
    return NumaNode(
        id=node,
        cpus=_cpu_list(field.child("cpus")),
        memory_bytes=size,
        memory_free_bytes=size,
        distances=_distances(field.child("distances"), node, ids),
        huge_pages=tuple(_huge_pages(field.child("huge_pages"))),
    )


def _cpu_list(field: Field) -> frozenset[int]:
    if field.value is None:
        return frozenset()
    if isinstance(field.value, int):
        return frozenset({field.whole_number(0, _LARGEST_CPU)})
    try:
        cpus = parse_list(field.text() or "")
    except MalformedText as problem:
        raise BadFile(f"{field.where}: {problem}") from None
    if max(cpus, default=0) > _LARGEST_CPU:
        raise field.bad(f"CPUs from 0 to {_LARGEST_CPU}, the most that Linux numbers")
    return cpus


def _distances(field: Field, node: int, ids: list[int]) -> dict[int, int]:
    if field.value is None:
        return {other: _LOCAL if other == node else _REMOTE for other in ids}
    distances = [each.whole_number(_LOCAL, _UNREACHABLE) for each in field.elements()]
    if len(distances) != len(ids):
        raise field.bad(f"{len(ids)} distances, one to each node")
    return dict(zip(ids, distances, strict=True))


def _huge_pages(field: Field) -> Iterator[HugePages]:
    counts = dict(_USUAL_PAGES)
    for size, count in field.items():
        size_bytes = Field(count.document, size, count.path).quantity()
        if size_bytes < KIB or size_bytes % KIB:
            raise BadFile(f"{count.where}: found size {size}; expected one such as 2Mi or 1Gi")
        counts[int(size_bytes)] = count.whole_number(0, _MOST_PAGES)
    for page, pages in sorted(counts.items()):
        yield HugePages(page, total=pages, free=pages)


def _check_cpus(machine: Machine, nodes: Field) -> None:
    owner: dict[int, int] = {}
    for node in machine.nodes:
        for cpu in sorted(node.cpus):
            if cpu in owner:
                raise BadFile(
                    f"{nodes.where}: CPU {cpu} is on the nodes {owner[cpu]} and {node.id};"
                    " expected each CPU on one node"
                )
            owner[cpu] = node.id
    if not owner:
        raise nodes.bad("at least one node with CPUs")


def _cpus(machine: Machine, fields: list[Field], threads: Field) -> Iterator[Cpu]:
    per_core = 1 if threads.value is None else threads.whole_number(1, _MOST_THREADS)
    for node, field in zip(machine.nodes, fields, strict=True):
        socket = field.child("socket")
        socket_id = node.id if socket.value is None else socket.whole_number(0, _LARGEST_NODE)
        ids = sorted(node.cpus)
        cores, rest = divmod(len(ids), per_core)
        if rest:
            raise field.child("cpus").bad(f"a multiple of {per_core} CPUs, the threads of a core")
        for place, cpu in enumerate(ids):
            yield Cpu(cpu, node=node.id, socket=socket_id, core=ids[place % cores])
