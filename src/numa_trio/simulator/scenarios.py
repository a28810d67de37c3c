"""Stories of a NUMA node that is full: which pods are created and deleted, in which order."""

from collections.abc import Callable, Mapping
from fractions import Fraction

from attrs import frozen

from numa_trio.plugin.resource import NumaResource
from numa_trio.settings import BadConfiguration
from numa_trio.simulator.counted_pods import with_counts
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.ideal import Offer
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.simulator.node import Node
from numa_trio.simulator.pod_resources import allocatable_of
from numa_trio.workloads.pod import Container, ContainerKind, Pod, Resources
from numa_trio.workloads.quantity import parse_quantity

_REPLICAS = 5
_MEMORY = parse_quantity("64Mi")


@frozen
class Step:
    """Pods that are deleted, then pods that are created; `event` says so in a few words."""

    event: str
    creates: tuple[Pod, ...] = ()
    deletes: tuple[Pod, ...] = ()


@frozen
class Scenario:
    """What happens on a machine, step by step, around one NUMA node: `title` says what it shows."""

    name: str
    title: str
    numa_node: int
    steps: tuple[Step, ...]

    @property
    def pods(self) -> tuple[Pod, ...]:
        """All pods, in the order of their creation."""
        return tuple(pod for step in self.steps for pod in step.creates)


@frozen
class _Stage:
    """The NUMA node that the story is about: its slots, and how many CPUs it can give away."""

    offer: Offer
    slots: NumaResource
    room: int

    @property
    def node(self) -> str:
        return f"NUMA node {self.slots.numa_nodes[0]}"

    @property
    def half(self) -> int:
        """So many CPUs that two pods fit."""
        return self.room // 2

    def pod(self, name: str, cpus: int, init_cpus: int = 0) -> Pod:
        """A pod for this node; with an init container if that has any CPUs."""
        containers = [self._container("app", cpus, ContainerKind.APP)]
        if init_cpus:
            containers.insert(0, self._container("init", init_cpus, ContainerKind.INIT))
        return with_counts(Pod(name, tuple(containers)), self.offer)

    def _container(self, name: str, cpus: int, kind: ContainerKind) -> Container:
        return container_for(name, cpus, kind, self.slots)


def room_of_nodes(
    machine: SimulatedMachine, config: KubeletConfig, offer: Offer
) -> dict[NumaResource, int]:
    """How many CPUs kubelet can give away of each node whose slots are offered."""
    allocatable = allocatable_of(Node.create(machine, config)).cpus
    cpus_of = {node.id: node.cpus & allocatable for node in machine.machine.nodes}
    return {slots: len(cpus_of[slots.numa_nodes[0]]) for slots in offer.slots}


def plan_scenario(
    name: str, machine: SimulatedMachine, config: KubeletConfig, offer: Offer
) -> Scenario:
    """The scenario of this name, around the NUMA node with the most CPUs to give away.

    Raises `BadConfiguration` if no node has two.
    """
    rooms = room_of_nodes(machine, config, offer)
    slots = max(offer.slots, key=lambda each: rooms[each])
    if rooms[slots] < 2:
        raise BadConfiguration(
            f"--scenario {name}: no NUMA node of {machine.name} has two CPUs that kubelet can give"
            " away; choose another machine, or reserve fewer CPUs"
        )
    return _SCENARIOS[name](_Stage(offer, slots, rooms[slots]))


def _overfull(stage: _Stage) -> Scenario:
    pods = tuple(stage.pod(f"replica-{n}", stage.half) for n in range(1, _REPLICAS + 1))
    return Scenario(
        "overfull",
        f"{_REPLICAS} pods of {_cpus(stage.half)} for {stage.node}, which has {_cpus(stage.room)}",
        stage.slots.numa_nodes[0],
        (
            Step(f"{_REPLICAS} pods are created", creates=pods),
            Step("replica-1 is deleted", deletes=pods[:1]),
        ),
    )


def _stranger(stage: _Stage) -> Scenario:
    stranger = Pod("stranger", (container_for("app", stage.room, ContainerKind.APP),))
    aligned = stage.pod("aligned", stage.half)
    return Scenario(
        "stranger",
        f"A pod that asks for no NUMA node gets all {_cpus(stage.room)} of {stage.node};"
        f" another asks for {_cpus(stage.half)} there",
        stage.slots.numa_nodes[0],
        (
            Step("stranger is created", creates=(stranger,)),
            Step("aligned is created", creates=(aligned,)),
            Step("stranger is deleted", deletes=(stranger,)),
        ),
    )


def _large_init(stage: _Stage) -> Scenario:
    large = stage.pod("large-init", stage.half, init_cpus=stage.room)
    second = stage.pod("second", stage.half)
    return Scenario(
        "large-init",
        f"An init container of {_cpus(stage.room)} before an app of {_cpus(stage.half)} on"
        f" {stage.node}: kubelet keeps them all for the pod while it runs",
        stage.slots.numa_nodes[0],
        (
            Step("large-init is created", creates=(large,)),
            Step("second is created", creates=(second,)),
            Step("large-init is deleted", deletes=(large,)),
        ),
    )


_SCENARIOS: Mapping[str, Callable[[_Stage], Scenario]] = {
    "overfull": _overfull,
    "stranger": _stranger,
    "large-init": _large_init,
}


def container_for(name: str, cpus: int, kind: ContainerKind, *asked: NumaResource) -> Container:
    """A container of a Guaranteed pod, with one slot of each resource that it asks for."""
    amounts = {
        "cpu": Fraction(cpus),
        "memory": _MEMORY,
        **{each.name: Fraction(1) for each in asked},
    }
    return Container(name, Resources(amounts, amounts), kind)


def _cpus(count: int) -> str:
    return "1 CPU" if count == 1 else f"{count} CPUs"
