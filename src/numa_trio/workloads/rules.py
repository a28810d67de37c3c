"""What keeps a pod from the NUMA node that it asks for: the rules NA001 to NA008.

They are those of deploy/kustomize/components/admission-policies, in the same order and the same
words; docs/policies.md explains each.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from numa_trio.workloads.pod import Container, ContainerKind, Pod
from numa_trio.workloads.quantity import binary
from numa_trio.workloads.resource_names import is_huge_pages

_COMPUTE = ("cpu", "memory")
_COUNTED = re.compile(r"(numa-[0-9]+|near-.+)-(cpu|memory)")


@frozen
class Spot:
    """A place in the pod: `resources.<kind>.<resource>` of a container, or of the pod itself.

    `kind` is `limits` or `requests`; an empty name stands for the whole.
    """

    container: str | None = None
    kind: str = ""
    resource: str = ""


@frozen
class BrokenRule:
    """The code of a rule, what is wrong with the pod and what to change, and where."""

    code: str
    text: str
    spots: tuple[Spot, ...] = ()

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


def broken_rules(
    pod: Pod, domain: str = "numa-align", memory_unit: int = 1 << 30
) -> tuple[BrokenRule, ...]:
    """The rules that a pod breaks; none if it asks for no node.

    `domain` is that of the resources that name a node. `memory_unit` is how many bytes a device
    of a counted memory stands for.
    """
    if not any(asks_for(each, domain) for each in pod.containers):
        return ()
    rules = _Rules(pod, domain, memory_unit)
    return tuple(
        BrokenRule(code, breach.text, tuple(breach.spots))
        for code, check in _CHECKS
        for breach in check(rules)
    )


def asks_for(container: Container, domain: str = "numa-align") -> tuple[str, ...]:
    """The full names of the resources of this domain that a container wants some of."""
    limits = container.resources.limits
    return tuple(name for name in limits if name.startswith(f"{domain}/") and limits[name])


def is_counted(local_name: str) -> bool:
    """Whether this is the name of what is counted of a node, as `numa-1-cpu`."""
    return bool(_COUNTED.fullmatch(local_name))


def slots_of(name: str) -> str:
    """The resource whose slots name the same node as this one: `…/numa-1` of `…/numa-1-cpu`."""
    counted = is_counted(name.partition("/")[2])
    return name.rpartition("-")[0] if counted else name


@frozen
class Breach:
    """What is wrong and what to change, and where."""

    text: str
    spots: Sequence[Spot]


@frozen
class _Rules:
    pod: Pod
    domain: str
    memory_unit: int

    @property
    def containers(self) -> list[Container]:
        """In the order of the messages: init containers come last."""
        return sorted(self.pod.containers, key=lambda each: each.kind is not ContainerKind.APP)

    def named(self, container: Container) -> list[str]:
        """The nodes that a container names, if only zero times: each once, by its slots."""
        limits = container.resources.limits
        ours = [name for name in limits if name.startswith(f"{self.domain}/")]
        slots = [name for name in ours if slots_of(name) == name]
        return list(dict.fromkeys([*slots, *map(slots_of, ours)]))

    @property
    def asking(self) -> list[tuple[Container, list[str]]]:
        """The containers that name nodes."""
        pairs = ((each, self.named(each)) for each in self.containers)
        return [(container, nodes) for container, nodes in pairs if nodes]

    def pod_level(self) -> Iterator[Breach]:
        if self.pod.resources:
            yield Breach(
                "the pod has resources of its own (spec.resources), and kubelet pins no CPU of such"
                " a pod. Remove spec.resources; set CPU and memory in each container.",
                [Spot()],
            )

    def unlimited(self) -> Iterator[Breach]:
        def missing(container: Container) -> list[str]:
            return [name for name in _COMPUTE if not container.resources.limits.get(name)]

        if spots := self._spots("limits", missing):
            yield Breach(
                f"the pod is not Guaranteed: no limit above 0 for CPU or memory in {_names(spots)}."
                " Set limits.cpu and limits.memory in every container, init containers and sidecars"
                " too.",
                spots,
            )

    def unequal(self) -> Iterator[Breach]:
        def differing(container: Container) -> list[str]:
            requests, limits = container.resources.requests, container.resources.limits
            return [
                name
                for name in _COMPUTE
                if name in limits and requests.get(name, limits[name]) != limits[name]
            ]

        if spots := self._spots("requests", differing):
            yield Breach(
                f"requests differ from limits for CPU or memory in {_names(spots)}. Make them"
                " equal, or leave the requests out.",
                spots,
            )

    def fractional(self) -> Iterator[Breach]:
        def fractions(container: Container) -> list[str]:
            cpus = container.resources.limits.get("cpu")
            return ["cpu"] if cpus is not None and cpus.denominator != 1 else []

        if spots := self._spots("limits", fractions):
            yield Breach(
                f"CPU is not a whole number in {_names(spots)}. Only whole CPUs are pinned: ask for"
                " 1, 2 or more, without a fraction.",
                spots,
            )

    def broken_bytes(self) -> Iterator[Breach]:
        def broken(container: Container) -> list[str]:
            return [
                name
                for name, amount in container.resources.limits.items()
                if (name == "memory" or is_huge_pages(name)) and amount.denominator != 1
            ]

        if spots := self._spots("limits", broken):
            yield Breach(
                f"memory is not a whole number of bytes in {_names(spots)}. Kubelet refuses such a"
                " pod: write 1536Mi rather than 1.7Gi, and no m after the number.",
                spots,
            )

    def two_nodes(self) -> Iterator[Breach]:
        torn = [(each, nodes) for each, nodes in self.asking if len(nodes) > 1]
        if torn:
            where = ", ".join(f"{each.name} ({', '.join(nodes)})" for each, nodes in torn)
            near = f"{self.domain}/near-"
            differs = any(name.startswith(near) for _, nodes in torn for name in nodes)
            why = (
                "On some servers these are two nodes, and no CPU is near both"
                if differs
                else "No CPU is near both"
            )
            others = {each.name: nodes[1:] for each, nodes in torn}
            yield Breach(
                f"two NUMA nodes in one container: {where}. {why}; name one node in each"
                " container.",
                self._spots("limits", lambda each: self._naming(each, others.get(each.name, []))),
            )
            return
        first = [nodes[0] for _, nodes in self.asking]
        if len(set(first)) > 1:
            others = {each.name: nodes for each, nodes in self.asking if nodes[0] != first[0]}
            yield Breach(
                f"the containers of the pod name different NUMA nodes: {', '.join(first)}. Name one"
                " node in all of them, or make two pods of it.",
                self._spots("limits", lambda each: self._naming(each, others.get(each.name, []))),
            )

    def miscounted(self) -> Iterator[Breach]:
        if spots := self._spots("limits", self._other_cpus):
            yield Breach(
                f"the counted CPUs differ from the CPU limit in {_names(spots)}. Ask for one device"
                " of -cpu for each CPU of limits.cpu.",
                spots,
            )
        if spots := self._spots("limits", self._less_memory):
            yield Breach(
                f"the counted memory is less than the memory limit in {_names(spots)}. A device of"
                f" -memory stands for {binary(self.memory_unit)}: ask for as many as hold"
                " limits.memory.",
                spots,
            )

    def adrift(self) -> Iterator[Breach]:
        """Ordinary init containers that may get CPUs of any node, which later containers reuse."""
        nodes_of = {container.name: nodes for container, nodes in self.asking}
        wanted = self.asking[0][1]
        adrift = []
        anchored = False
        for container in self.pod.containers:
            nodes = nodes_of.get(container.name)
            if container.kind is ContainerKind.SIDECAR:
                anchored = False
            elif container.kind is ContainerKind.INIT:
                is_anchor = nodes is not None and any(node in wanted for node in nodes)
                anchored |= is_anchor
                if not is_anchor and (not anchored or nodes is not None):
                    adrift.append(container.name)
        if adrift:
            yield Breach(
                f"init container {', '.join(adrift)} does not ask for {' or '.join(wanted)}. It may"
                " get CPUs of another node, and passes them on: give it the same resource.",
                [Spot(name, "limits") for name in adrift],
            )

    def _spots(self, kind: str, chosen: Callable[[Container], Sequence[str]]) -> list[Spot]:
        """The resources that are chosen of each container."""
        return [Spot(each.name, kind, name) for each in self.containers for name in chosen(each)]

    def _naming(self, container: Container, nodes: Sequence[str]) -> list[str]:
        """The resources by which a container names these nodes."""
        return [name for name in container.resources.limits if slots_of(name) in nodes]

    def _other_cpus(self, container: Container) -> list[str]:
        cpus = container.resources.limits.get("cpu")
        counts = self._counts(container, "-cpu")
        return [name for name, count in counts.items() if cpus is not None and count != cpus]

    def _less_memory(self, container: Container) -> list[str]:
        memory = container.resources.limits.get("memory", 0)
        counts = self._counts(container, "-memory")
        return [name for name, count in counts.items() if memory > count * self.memory_unit]

    def _counts(self, container: Container, ending: str) -> dict[str, int]:
        """How many devices it wants of each counted resource whose name ends so."""
        return {
            name: int(amount)
            for name, amount in container.resources.limits.items()
            if name.endswith(ending)
            and name.startswith(f"{self.domain}/")
            and is_counted(name.removeprefix(f"{self.domain}/"))
        }


def _names(spots: Sequence[Spot]) -> str:
    """The containers, each once."""
    return ", ".join(dict.fromkeys(each.container or "" for each in spots))


# As the API server goes through them: the most basic first.
_CHECKS: tuple[tuple[str, Callable[[_Rules], Iterator[Breach]]], ...] = (
    ("NA006", _Rules.pod_level),
    ("NA001", _Rules.unlimited),
    ("NA003", _Rules.unequal),
    ("NA002", _Rules.fractional),
    ("NA008", _Rules.broken_bytes),
    ("NA005", _Rules.two_nodes),
    ("NA007", _Rules.miscounted),
    ("NA004", _Rules.adrift),
)
