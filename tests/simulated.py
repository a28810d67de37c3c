"""Pods, a machine and plugins in a few words, for the tests of the stand-in."""

from collections.abc import Sequence

from attrs import define, field

from numa_trio.plugin.messages import ContainerAllocation, PreferredAllocationRequest
from numa_trio.plugin.resource import NumaResource
from numa_trio.simulator.admission import Verdict, admit
from numa_trio.simulator.cpus import Cpu, SimulatedMachine
from numa_trio.simulator.hints import Policy, Scope
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.simulator.node import Node
from numa_trio.topology.machine import Machine, NumaNode
from numa_trio.workloads.pod import Container, ContainerKind, Pod, Resources
from numa_trio.workloads.quantity import parse_quantity

GIB = 1 << 30


def machine(*node_cpus: Sequence[int], threads: int = 1, memory: int = 4 * GIB) -> SimulatedMachine:
    """Nodes 0, 1, … with these CPUs, each a socket; the siblings of a core are neighbours."""
    nodes = [
        NumaNode(number, frozenset(cpus), memory_bytes=memory)
        for number, cpus in enumerate(node_cpus)
    ]
    cpus = [
        Cpu(cpu, node=number, socket=number, core=ids[place - place % threads])
        for number, ids in enumerate(node_cpus)
        for place, cpu in enumerate(ids)
    ]
    return SimulatedMachine("test", Machine(tuple(nodes)), tuple(cpus))


def container(
    name: str = "app",
    cpu: str | None = "1",
    numa: Sequence[int] = (),
    *,
    memory: str | None = "128Mi",
    kind: ContainerKind = ContainerKind.APP,
    limits: bool = True,
    slots: int = 1,
) -> Container:
    """Requests equal limits, unless there are no limits for cpu and memory."""
    native = {"cpu": cpu, "memory": memory}
    requests = {name: parse_quantity(value) for name, value in native.items() if value}
    devices = {f"numa-align/numa-{node}": parse_quantity(slots) for node in numa}
    return Container(
        name, Resources(requests | devices, (requests if limits else {}) | devices), kind
    )


def init(cpu: str = "1", numa: Sequence[int] = (), name: str = "init") -> Container:
    return container(name, cpu, numa, kind=ContainerKind.INIT)


def sidecar(cpu: str = "1", numa: Sequence[int] = (), name: str = "sidecar") -> Container:
    return container(name, cpu, numa, kind=ContainerKind.SIDECAR)


def pod(*containers: Container, name: str = "pod") -> Pod:
    return Pod(name, containers)


@define
class Answering:
    """Plugins that answer at once; `calls` are the devices of each Allocate."""

    resources: dict[str, NumaResource]
    preferring: bool = False
    calls: list[tuple[str, tuple[str, ...]]] = field(factory=list)
    questions: list[PreferredAllocationRequest] = field(factory=list)

    def prefers(self, resource: str) -> bool:
        return self.preferring

    async def preferred(self, resource: str, request: PreferredAllocationRequest) -> list[str]:
        self.questions.append(request)
        return sorted(request.available, reverse=True)[: request.size]

    async def allocate(self, resource: str, device_ids: Sequence[str]) -> ContainerAllocation:
        self.calls.append((resource, tuple(device_ids)))
        return self.resources[resource].allocate([device_ids])[0]

    def allocated(self) -> None:
        pass


@define
class Cluster:
    """One node with a plugin for each NUMA node."""

    node: Node
    plugins: Answering

    async def admit(self, *containers: Container, name: str = "pod") -> Verdict:
        return await admit(self.node, pod(*containers, name=name), self.plugins)


def cluster(
    simulated: SimulatedMachine,
    policy: Policy = Policy.SINGLE_NUMA_NODE,
    scope: Scope = Scope.CONTAINER,
    *,
    capacity: int = 100,
    reserved_cpus: int = 1,
    registered: bool = True,
) -> Cluster:
    node = Node.create(simulated, KubeletConfig(policy, scope, reserved_cpus))
    resources = {}
    for numa_node in simulated.machine.nodes:
        resource = NumaResource.of_node(numa_node.id, capacity)
        resources[resource.name] = resource
        if registered:
            node.devices.update(resource.name, resource.devices())
    return Cluster(node, Answering(resources))
