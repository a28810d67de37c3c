"""In what a verdict on a pod is not the expected one, or not what the pod's manifest asks for."""

from collections.abc import Sequence

from attrs import evolve

from numa_trio.plugin.resource import NumaResource
from numa_trio.simulator.admission import Verdict
from numa_trio.simulator.cpu_policy import whole_cpus
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.node import Placement
from numa_trio.topology.lists import format_list
from numa_trio.workloads.pod import Container, Pod, QosClass
from numa_trio.workloads.quantity import milli

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


def broken_promises(
    machine: SimulatedMachine, resources: Sequence[NumaResource], verdict: Verdict
) -> list[str]:
    """What containers that run did not get of what their manifest asks for; a sentence each.

    A container that asks for a NUMA node gets its NUMA_NODE, and if it gets CPUs for itself or
    memory bound to nodes, then of that node only. Where any of several nodes will do, so will CPUs
    and memory of them all.
    """
    problems: list[str] = []
    for placement in verdict.placements:
        container = placement.container
        asked = [each for each in resources if each.numa_nodes and each.name in container.devices]
        if asked:
            nodes = _suitable(asked)
            name = f"{verdict.pod.name}/{container.name} asks for node {format_list(nodes)}"
            broken = [
                *_wrong_variable(placement, asked),
                *_elsewhere(machine, verdict.pod, placement, nodes),
            ]
            problems += (f"{name}, but {problem}" for problem in broken)
    return problems


def why_not_pinned(pod: Pod, container: Container) -> str | None:
    """Why a container gets no CPUs for itself; None if it does."""
    if whole_cpus(pod, container):
        return None
    if pod.resources is not None:
        return "the pod has pod-level resources"
    if pod.qos is not QosClass.GUARANTEED:
        return f"the pod is {pod.qos}, not Guaranteed"
    cpus = container.resources.requests.get("cpu")
    return f"cpu {milli(cpus)}m is not a whole number of CPUs" if cpus else "it asks for no cpu"


def _suitable(asked: Sequence[NumaResource]) -> frozenset[int]:
    """The nodes that suit all the resources; if there is none, those that suit any of them."""
    suitable = [frozenset(each.numa_nodes) for each in asked]
    return frozenset.intersection(*suitable) or frozenset.union(*suitable)


def _wrong_variable(placement: Placement, asked: Sequence[NumaResource]) -> list[str]:
    variable = placement.environment.get("NUMA_NODE")
    if variable in {format_list(each.numa_nodes) for each in asked}:
        return []
    return [f"NUMA_NODE is {variable if variable is not None else 'not set'}"]


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
