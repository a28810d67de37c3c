"""What is said of a NUMA node and of the machine, in short lines: for the drawing and the SVG."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from attrs import frozen

from numa_trio.commands.topology_facts import Group, NodeFacts, NodeKind
from numa_trio.topology.lists import format_list, format_nodes
from numa_trio.topology.sizes import format_bytes

if TYPE_CHECKING:
    from numa_trio.commands.topology import Seen
    from numa_trio.locality.listing import Listing
    from numa_trio.locality.result import Resolution
    from numa_trio.topology.cores import Core

# Of more devices of one kind than these, only the names are said.
_MOST_DESCRIBED = 12

_KINDS = {
    NodeKind.CPUS_ONLY: "CPUs without memory",
    NodeKind.MEMORY_ONLY: "memory without CPUs",
    NodeKind.NEITHER: "neither CPUs nor memory",
}


@frozen
class Fact:
    """Lines under one label; each may be continued."""

    label: str
    lines: tuple[str, ...]


def machine_title(seen: "Seen", nodes: Sequence[NodeFacts]) -> str:
    """What the machine has in all, as far as it is known."""
    sockets = {socket for each in nodes for socket in each.sockets}
    cores = {core for each in nodes for core in each.cores}
    cpus = sum(len(each.node.cpus) for each in nodes)
    parts = [_count(len(nodes), "NUMA node")]
    if sockets:
        parts.append(_count(len(sockets), "socket"))
    if cores and sum(len(core.cpus) for core in cores) == cpus:
        parts.append(_count(len(cores), "core"))
    parts.append(_count(cpus, "CPU"))
    sizes = [each.node.memory_bytes for each in nodes]
    free = [each.node.memory_free_bytes for each in nodes]
    if None not in sizes:
        memory = f"{format_bytes(sum(filter(None, sizes)))} of memory"
        if None not in free:
            memory += f" ({format_bytes(sum(filter(None, free)))} free)"
        parts.append(memory)
    return ", ".join(parts)


def offline_line(seen: "Seen") -> str | None:
    """Which CPUs are offline, if any are."""
    cpus = seen.offline_cpus
    return f"Offline: {_count(len(cpus), 'CPU')}: {format_list(cpus)}." if cpus else None


def left_out(nodes: Iterable[NodeFacts]) -> list[str]:
    """A sentence for each reason, with the nodes that are not advertised for it."""
    reasons = defaultdict(list)
    for each in nodes:
        if each.reason is not None:
            reasons[each.reason].append(each.node.id)
    return [f"Not advertised: {format_list(ids)}: {reason}." for reason, ids in reasons.items()]


def group_title(group: Group) -> str:
    """The sockets of a group of nodes."""
    return _sockets(group.sockets).capitalize() if group.sockets else "Other nodes"


def node_title(facts: NodeFacts) -> str:
    """The node's name."""
    return f"NUMA node {facts.node.id}"


def node_words(facts: NodeFacts, *, with_socket: bool, list_cores: bool = True) -> Iterator[Fact]:
    """All that is known of a node; with the CPUs of each core if they are not shown elsewhere."""
    if facts.kind in _KINDS:
        yield Fact("Has", (_KINDS[facts.kind],))
    yield Fact("CPUs", (_cpus(facts, with_socket=with_socket),))
    if facts.cores:
        yield Fact("Cores", (_cores(facts.cores, list_cores),))
    yield Fact("Memory", (memory_words(facts), *_memory_kind(facts)))
    pages = tuple(
        f"{format_bytes(each.size_bytes)}: {each.total - each.free} of {each.total} used,"
        f" {each.free} free"
        for each in facts.node.huge_pages
        if each.total
    )
    if pages:
        yield Fact("Huge pages", pages)
    if facts.nearest:
        yield Fact("Nearest", (_nearest(facts),))
    yield from device_words(facts.devices, facts.node.id)


def memory_words(facts: NodeFacts) -> str:
    """How much memory the node has, and how much of it is used."""
    total, free, used = (
        facts.node.memory_bytes,
        facts.node.memory_free_bytes,
        facts.memory_used_bytes,
    )
    if total is None:
        return "unknown"
    if not total or free is None or used is None:
        return format_bytes(total) if total else "none"
    return f"{format_bytes(used)} of {format_bytes(total)} used, {format_bytes(free)} free"


def device_words(devices: "Listing", here: int | None) -> Iterator[Fact]:
    """The devices and mounts near a node; `here` is None for those that are near none."""
    groups: dict[str, list[tuple[Resolution, tuple[str | None, ...]]]] = {
        "Disks": [
            (
                each.resolution,
                (each.model, None if each.size_bytes is None else format_bytes(each.size_bytes)),
            )
            for each in devices.disks
        ],
        "Network": [
            (
                each.resolution,
                (each.driver, None if each.speed_mbps is None else f"{each.speed_mbps} Mb/s"),
            )
            for each in devices.interfaces
        ],
        "InfiniBand": [(each.resolution, ()) for each in devices.infiniband],
        "GPUs": [(each.resolution, (each.driver, each.model)) for each in devices.gpus],
        "Mounts": [(each.resolution, (each.file_system, each.source)) for each in devices.mounts],
    }
    for label, each in groups.items():
        if len(each) > _MOST_DESCRIBED:
            names = ", ".join(resolution.target for resolution, _ in each)
            yield Fact(label, (f"{len(each)}: {names}",))
        elif each:
            yield Fact(label, tuple(_device(*one, here) for one in each))


def _device(resolution: "Resolution", facts: Sequence[str | None], here: int | None) -> str:
    """The name, what it is, what told its node and which other nodes it is near."""
    told = resolution.chain[-1] if resolution.nodes and resolution.chain else resolution.reason
    by = None if told == resolution.target else told
    others = [node for node in resolution.nodes if node != here]
    also = f"near {format_nodes(others)} too" if others else None
    said = ", ".join(filter(None, (*facts, by, also)))
    return f"{resolution.target}: {said}" if said else resolution.target


def _cpus(facts: NodeFacts, *, with_socket: bool) -> str:
    node = facts.node
    if not node.cpus_known:
        return "unknown"
    if not node.cpus:
        return "none"
    cpus = f"{len(node.cpus)}: {format_list(node.cpus)}"
    return f"{cpus}, {_sockets(facts.sockets)}" if with_socket and facts.sockets else cpus


def _sockets(sockets: Sequence[int]) -> str:
    """The sockets in words, as in `socket 1` or `sockets 0-1`."""
    return f"socket{'s' if len(sockets) > 1 else ''} {format_list(sockets)}"


def _cores(cores: "Sequence[Core]", list_cores: bool) -> str:
    """How many cores of how many threads; where they have several, with which CPUs if wanted."""
    threads = Counter(len(core.cpus) for core in cores)
    if len(threads) == 1:
        (number,) = threads
        text = f"{len(cores)}, {_count(number, 'thread')} each"
    else:
        counts = sorted(threads.items())
        each = ", ".join(f"{count} of {_count(number, 'thread')}" for number, count in counts)
        text = f"{len(cores)} ({each})"
    return text if max(threads) == 1 or not list_cores else f"{text}: {' '.join(_runs(cores))}"


def _runs(cores: "Sequence[Core]") -> Iterator[str]:
    """The CPUs of each core; of cores whose numbers go on evenly, only the first two and the last.

    Cores 0,32 and 1,33 up to 15,47 are `0,32 1,33 … 15,47`.
    """
    runs: list[list[tuple[int, ...]]] = []
    for core in cores:
        run = runs[-1] if runs else None
        if run and _goes_on([*run[-2:], core.cpus]):
            run.append(core.cpus)
        else:
            runs.append([core.cpus])
    for run in runs:
        shown = [format_threads(cpus) for cpus in run]
        yield from shown if len(shown) < 5 else (*shown[:2], "…", shown[-1])


def format_threads(cpus: Sequence[int]) -> str:
    """The CPUs of one core, each by its number."""
    return ",".join(map(str, cpus))


def _goes_on(cores: Sequence[tuple[int, ...]]) -> bool:
    """Whether each core's numbers are the one's before, all plus the same."""
    if len({len(cpus) for cpus in cores}) != 1:
        return False
    steps = {
        after - before
        for first, second in pairwise(cores)
        for before, after in zip(first, second, strict=True)
    }
    return len(steps) == 1


def _nearest(facts: NodeFacts) -> str:
    distance = facts.node.distances[facts.nearest[0]]
    all_alike = len(facts.nearest) > 1 and len(facts.nearest) == len(facts.node.distances) - 1
    return f"{'all others' if all_alike else format_nodes(facts.nearest)} at {distance}"


def _memory_kind(facts: NodeFacts) -> Iterator[str]:
    """What the kernel and the firmware tell, if it is not just ordinary memory beside CPUs."""
    memory = facts.memory
    named = [] if memory.kind is None else [f"{memory.kind} memory"]
    if memory.tier is not None and (memory.kind or facts.kind is NodeKind.MEMORY_ONLY):
        named.append(f"memory tier {memory.tier}")
    if named:
        yield ", ".join(named)
    bandwidth, latency = memory.read_bandwidth_mb_per_s, memory.read_latency_ns
    speed = [f"{bandwidth} MB/s"] if bandwidth else []
    if speed := [*speed, *([f"{latency} ns"] if latency else [])]:
        yield f"reads from {format_nodes(memory.initiators)}: {', '.join(speed)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
