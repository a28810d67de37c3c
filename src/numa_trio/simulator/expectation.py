"""In what a verdict on a pod is not the expected one, or not what the pod's manifest asks for."""

from collections.abc import Mapping, Sequence

from attrs import evolve

from numa_trio.plugin.resource import NumaResource
from numa_trio.simulator.admission import Verdict
from numa_trio.simulator.cpu_policy import whole_cpus
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.node import Placement
from numa_trio.topology.lists import format_list
from numa_trio.workloads.pod import Container, ContainerKind, Pod

_OF_HOST = "NUMA_HOST_NODE_"  # such variables say what a node of the host has


def differences(expected: Verdict, seen: Verdict) -> list[str]:
    """In what a verdict is not the expected one; a sentence each.

    Which devices a container has does not matter, as kubelet takes any: only how many. Nor does
    what the agent tells it of the host's nodes (NUMA_ENV).
    """
    name = seen.pod.name
    if expected.reason != seen.reason:
        return [f"{name}: expected that it {_outcome(expected)}, but it {_outcome(seen)}"]
    if expected.message != seen.message:
        return [f"{name}: expected the message {expected.message!r}, got {seen.message!r}"]
    return [
        f"{name}/{now.container.name}: expected {_place(planned)}, got {_place(now)}"
        for planned, now in zip(expected.placements, seen.placements, strict=True)
        if _comparable(planned) != _comparable(now)
    ]


def lasting(verdict: Verdict) -> Mapping[str, object]:
    """What the containers have that run on: their own CPUs, bound memory and devices."""
    return {
        placement.container.name: (
            placement.cpus if placement.exclusive else "shared",
            placement.memory_nodes,
            placement.devices,
            placement.environment,
        )
        for placement in verdict.placements
        if placement.container.kind is not ContainerKind.INIT
    }


def broken_promises(
    machine: SimulatedMachine,
    resources: Sequence[NumaResource],
    verdict: Verdict,
    *,
    aligns: bool = True,
) -> list[str]:
    """What containers that run did not get of what their manifest asks for; a sentence each.

    A container that asks for a NUMA node gets its NUMA_NODE, and if it gets CPUs for itself or
    memory bound to nodes, then of that node only. Where any of several nodes will do, so will CPUs
    and memory of them all. Where the topology policy does not align, only NUMA_NODE is promised.
    """
    told_wrongly = wrong_variables(resources, verdict)
    return told_wrongly + (strays(machine, resources, verdict) if aligns else [])


def wrong_variables(resources: Sequence[NumaResource], verdict: Verdict) -> list[str]:
    """Which containers were not told the node that they ask for; a sentence each."""
    problems = []
    for placement in verdict.placements:
        asked = asked_of(resources, placement.container)
        variable = placement.environment.get("NUMA_NODE")
        if asked and variable not in {format_list(each.numa_nodes) for each in asked}:
            told = f"NUMA_NODE is {variable if variable is not None else 'not set'}"
            problems.append(f"{_asking(verdict, placement, asked)}, but {told}")
    return problems


def strays(
    machine: SimulatedMachine, resources: Sequence[NumaResource], verdict: Verdict
) -> list[str]:
    """Which containers have CPUs or memory of another node than they ask for; a sentence each."""
    problems: list[str] = []
    for placement in verdict.placements:
        if asked := asked_of(resources, placement.container):
            nodes = suitable_nodes(asked)
            broken = _elsewhere(machine, verdict.pod, placement, nodes)
            asking = _asking(verdict, placement, asked)
            problems += (f"{asking}, but {problem}" for problem in broken)
    return problems


def asked_of(resources: Sequence[NumaResource], container: Container) -> list[NumaResource]:
    """The resources near a NUMA node that a container asks for."""
    return [each for each in resources if each.numa_nodes and each.name in container.devices]


def suitable_nodes(asked: Sequence[NumaResource]) -> frozenset[int]:
    """The nodes that suit all the resources; if there is none, those that suit any of them."""
    suitable = [frozenset(each.numa_nodes) for each in asked]
    return frozenset.intersection(*suitable) or frozenset.union(*suitable)


def _asking(verdict: Verdict, placement: Placement, asked: Sequence[NumaResource]) -> str:
    nodes = format_list(suitable_nodes(asked))
    return f"{verdict.pod.name}/{placement.container.name} asks for node {nodes}"


def _elsewhere(
    machine: SimulatedMachine, pod: Pod, placement: Placement, nodes: frozenset[int]
) -> list[str]:
    problems = []
    if count := whole_cpus(pod, placement.container):
        if not placement.exclusive or len(placement.cpus) != count:
            problems.append(f"has CPUs {format_list(placement.cpus)} instead of {count} of its own")
        there = {cpu.id for cpu in machine.cpus if cpu.node in nodes}
        if strays := placement.cpus - there:
            problems.append(f"its CPUs {format_list(strays)} are elsewhere")
    if placement.memory_bound and (strays := placement.memory_nodes - nodes):
        problems.append(f"its memory is on node {format_list(strays)}")
    return problems


def _comparable(placement: Placement) -> Placement:
    variables = placement.environment.items()
    return evolve(
        placement,
        devices={name: ("any",) * len(ids) for name, ids in placement.devices.items()},
        environment={name: text for name, text in variables if not name.startswith(_OF_HOST)},
    )


def _outcome(verdict: Verdict) -> str:
    return "runs" if verdict.admitted else f"is refused with {verdict.reason}: {verdict.message}"


def _place(placement: Placement) -> str:
    environment = " ".join(f"{name}={value}" for name, value in placement.environment.items())
    devices = ", ".join(f"{len(ids)} of {name}" for name, ids in placement.devices.items())
    return (
        f"{devices or 'no devices'}, CPUs {format_list(placement.cpus)},"
        f" memory of {format_list(placement.memory_nodes)}, {environment or 'no variables'}"
    )
