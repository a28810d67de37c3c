"""Who has which CPU, as kubelet said last: nothing is claimed where nobody asked kubelet."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Self

from attrs import field, frozen

from numa_trio.agent.counting import Answer
from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.monitor.page.history import last_answer
from numa_trio.agent.monitor.page.markup import Markup, element
from numa_trio.plugin.holdings import ContainerHoldings

_HUES = 6  # of style.css
_MOST_SHOWN = 64


@frozen
class Holder:
    """A container with CPUs of a node for itself, or with slots there and no CPUs."""

    name: str
    cpus: frozenset[int]
    has_slot: bool
    tone: str


@frozen
class Holders:
    """Who has the CPUs of one node.

    `shared` are those that kubelet can give away and nobody has, `reserved` those that it keeps.
    """

    containers: Sequence[Holder]
    shared: frozenset[int]
    reserved: frozenset[int]

    @property
    def tones(self) -> dict[int, str]:
        """The class of each CPU in style.css."""
        held = {cpu: each.tone for each in self.containers for cpu in each.cpus}
        free = dict.fromkeys(self.shared, "shared")
        return {**free, **dict.fromkeys(self.reserved, "reserved"), **held}

    @property
    def shown(self) -> Sequence[Holder]:
        """As many containers as have their place."""
        return self.containers[:_MOST_SHOWN]

    @property
    def not_shown(self) -> int:
        """How many others there are."""
        return len(self.containers) - len(self.shown)


@frozen
class Held:
    """What kubelet has given away on the whole machine, found by CPU and by resource.

    `slots` has, by resource, the containers that have a device of it and no CPUs. Where kubelet
    gives away no CPUs, nothing is `known`.
    """

    given_away: frozenset[int] = frozenset()
    by_cpu: Mapping[int, ContainerHoldings] = field(factory=dict)
    slots: Mapping[str, Sequence[ContainerHoldings]] = field(factory=dict)

    @classmethod
    def of(cls, answer: Answer | None) -> Self:
        """What kubelet said."""
        if answer is None or not answer.allocatable.cpus:
            return cls()
        slots: dict[str, list[ContainerHoldings]] = {}
        for container in answer.holdings:
            for resource in container.devices if not container.cpus else ():
                slots.setdefault(resource, []).append(container)
        by_cpu = {cpu: container for container in answer.holdings for cpu in container.cpus}
        return cls(answer.allocatable.cpus, by_cpu, slots)

    @property
    def known(self) -> bool:
        """Whether kubelet gives away CPUs at all."""
        return bool(self.given_away)

    def on(self, cpus: AbstractSet[int], resources: Sequence[str]) -> Holders | None:
        """Who has these CPUs, by the first of them, and then who has only slots; None: unknown."""
        if not self.known:
            return None
        having = _once(self.by_cpu[cpu] for cpu in sorted(cpus & self.by_cpu.keys()))
        without = _once(each for name in resources for each in self.slots.get(name, ()))
        found = [
            _holder(container, container.cpus & cpus, resources, f"h{number % _HUES}")
            for number, container in enumerate(having)
        ]
        found += (
            _holder(container, frozenset(), resources, "")
            for container in sorted(without, key=_name)
        )
        held = frozenset[int]().union(*(each.cpus for each in found))
        given_away = self.given_away & cpus
        return Holders(found, given_away - held, frozenset(cpus - given_away - held))


def _once(containers: Iterable[ContainerHoldings]) -> list[ContainerHoldings]:
    return list({id(each): each for each in containers}.values())


def _holder(
    container: ContainerHoldings, cpus: frozenset[int], resources: Sequence[str], tone: str
) -> Holder:
    has_slot = any(name in container.devices for name in resources)
    return Holder(_name(container), cpus, has_slot, tone)


def _name(container: ContainerHoldings) -> str:
    return f"{container.namespace}/{container.pod} {container.container}"


def held_line(observed: Observation) -> Markup:
    """How far what is said of CPUs can be trusted."""
    return element("p", _held(observed), id="held", class_="meaning")


def _held(observed: Observation) -> str:
    counting = observed.counting
    if counting is None:
        return (
            "Which container has which CPU is not shown: the agent asks kubelet only where"
            " something is counted (NUMA_COUNTED)."
        )
    last = last_answer(counting, observed)
    if counting.answer is None:
        return f"Which container has which CPU is not known: kubelet {last}."
    if not counting.answer.allocatable.cpus:
        return "No container has CPUs of its own: kubelet's CPU Manager is not static."
    doubt = "" if counting.answer.complete else " It had just started, and may not have named all."
    return (
        f"Which container has which CPU is as kubelet said: it {last}."
        f"{doubt} Init containers are not in its answer."
    )
