"""What a pod that does not run would have needed, and what there was."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

from numa_trio.plugin.resource import NEAR, NEAR_VOLUME, NumaResource
from numa_trio.simulator.admission import Verdict
from numa_trio.simulator.expectation import asked_of
from numa_trio.simulator.room import NodeRoom
from numa_trio.simulator.trial import Setup
from numa_trio.topology.lists import format_list
from numa_trio.topology.sizes import format_bytes
from numa_trio.workloads.pod import Container, Pod, Quantities, peak_requests
from numa_trio.workloads.quantity import decimal, whole
from numa_trio.workloads.rules import is_counted


def missing_resources(
    setup: Setup, resources: Sequence[NumaResource], verdict: Verdict
) -> Iterator[str]:
    """Which resources the pod asks for that are not offered, or not often enough."""
    offered = {each.name: each for each in resources}
    short = f"{(verdict.message or '').removesuffix('.')},"
    for name in dict.fromkeys(n for each in verdict.pod.containers for n in each.devices):
        if name not in offered:
            yield f"{name} {_why_not_offered(setup, name)}"
        elif f"Insufficient {name}," in short:
            count = offered[name].healthy_count
            raise_it = "." if is_counted(offered[name].local_name) else ": raise NUMA_CAPACITY."
            yield f"{name}: too few of its {count} devices are free{raise_it}"


def _why_not_offered(setup: Setup, name: str) -> str:
    domain, _, local_name = name.partition("/")
    if domain != setup.offer.domain:
        return "is of another device plugin, and the simulation has none."
    if local_name == NEAR_VOLUME:
        return "needs NUMA_NRI and the container runtime: the simulation has kubelet only."
    slots = [each.local_name for each in setup.offer.all_slots]
    base, _, kind = local_name.rpartition("-")
    if is_counted(local_name) and base in slots and kind not in setup.offer.counted:
        return "is not counted: set NUMA_COUNTED in the cluster, --counted cpu,memory here."
    near = " NUMA_NEAR, or --near here, gives names." if local_name.startswith(NEAR) else ""
    return f"is not offered on {setup.machine.name}: name one of {', '.join(slots)}.{near}"


def missing_room(
    resources: Sequence[NumaResource], pod: Pod, before: Mapping[int, NodeRoom]
) -> Iterator[str]:
    """Which nodes the pod needed, what was free there, and where else there was room."""
    by_nodes: dict[frozenset[int], list[Container]] = {}
    for container in pod.containers:
        asked = [frozenset(each.numa_nodes) for each in asked_of(resources, container)]
        if asked and (nodes := frozenset.intersection(*asked)):
            by_nodes.setdefault(nodes, []).append(container)
    others = {node for each in resources for node in each.numa_nodes}
    for nodes, containers in by_nodes.items():
        needed = peak_requests([(each.kind, each.resources.requests) for each in containers])
        yield _compared(nodes, needed, before, others - nodes)


def _compared(
    nodes: frozenset[int],
    needed: Quantities,
    before: Mapping[int, NodeRoom],
    others: set[int],
) -> str:
    cpus, memory = needed.get("cpu", Fraction()), needed.get("memory", Fraction())
    rooms = [before[node] for node in sorted(nodes)]
    amount = f"{decimal(cpus)} {'CPU' if cpus == 1 else 'CPUs'}, {format_bytes(whole(memory))}"
    free = _listed(nodes, before) if len(nodes) > 1 else str(rooms[0])
    text = f"Needed on node {format_list(nodes)}: {amount}. Free there: {free}."
    if any(each.has(cpus, memory) for each in rooms):
        return text
    if roomy := [node for node in others if before[node].has(cpus, memory)]:
        return f"{text} There is room on {_listed(roomy, before)}."
    if any(each.cpus >= cpus and each.memory >= memory for each in rooms):
        return f"{text} No other node has room either: ask for less, or make room."
    if any(each.cpus < cpus <= each.cpus + each.reserved_cpus for each in rooms):
        kept = sum(each.reserved_cpus for each in rooms)
        return f"{text} Kubelet keeps {kept} CPUs there for the system: reserve fewer."
    return f"{text} Pods can never have so much there: ask for less."


def _listed(nodes: Iterable[int], before: Mapping[int, NodeRoom]) -> str:
    return "; ".join(f"node {node}: {before[node]}" for node in sorted(nodes))
