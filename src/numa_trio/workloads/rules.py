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
class BrokenRule:
    """The code of a rule, and what is wrong with the pod and what to change."""

    code: str
    text: str

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
    return tuple(BrokenRule(code, text) for code, check in _CHECKS for text in check(rules))


def asks_for(container: Container, domain: str = "numa-align") -> tuple[str, ...]:
    """The full names of the resources of this domain that a container wants some of."""
    limits = container.resources.limits
    return tuple(name for name in limits if name.startswith(f"{domain}/") and limits[name])


def is_counted(local_name: str) -> bool:
    """Whether this is the name of what is counted of a node, as `numa-1-cpu`."""
    return bool(_COUNTED.fullmatch(local_name))


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
        counted = [name for name in ours if is_counted(name.removeprefix(f"{self.domain}/"))]
        bases = [name.rpartition("-")[0] for name in counted]
        return list(dict.fromkeys([*(name for name in ours if name not in counted), *bases]))

    @property
    def asking(self) -> list[tuple[Container, list[str]]]:
        """The containers that name nodes."""
        pairs = ((each, self.named(each)) for each in self.containers)
        return [(container, nodes) for container, nodes in pairs if nodes]

    def pod_level(self) -> Iterator[str]:
        if self.pod.resources:
            yield (
                "the pod has resources of its own (spec.resources), and kubelet pins no CPU of such"
                " a pod. Remove spec.resources; set CPU and memory in each container."
            )

    def unlimited(self) -> Iterator[str]:
        def is_unlimited(container: Container) -> bool:
            return not all(container.resources.limits.get(name) for name in _COMPUTE)

        if names := _names(self.containers, is_unlimited):
            yield (
                f"the pod is not Guaranteed: no limit above 0 for CPU or memory in {names}. Set"
                " limits.cpu and limits.memory in every container, init containers and sidecars"
                " too."
            )

    def unequal(self) -> Iterator[str]:
        def is_unequal(container: Container) -> bool:
            requests, limits = container.resources.requests, container.resources.limits
            return any(
                name in limits and requests.get(name, limits[name]) != limits[name]
                for name in _COMPUTE
            )

        if names := _names(self.containers, is_unequal):
            yield (
                f"requests differ from limits for CPU or memory in {names}. Make them equal, or"
                " leave the requests out."
            )

    def fractional(self) -> Iterator[str]:
        def is_fractional(container: Container) -> bool:
            cpus = container.resources.limits.get("cpu")
            return cpus is not None and cpus.denominator != 1

        if names := _names(self.containers, is_fractional):
            yield (
                f"CPU is not a whole number in {names}. Only whole CPUs are pinned: ask for 1, 2 or"
                " more, without a fraction."
            )

    def broken_bytes(self) -> Iterator[str]:
        def is_broken(container: Container) -> bool:
            return any(
                (name == "memory" or is_huge_pages(name)) and amount.denominator != 1
                for name, amount in container.resources.limits.items()
            )

        if names := _names(self.containers, is_broken):
            yield (
                f"memory is not a whole number of bytes in {names}. Kubelet refuses such a pod:"
                " write 1536Mi rather than 1.7Gi, and no m after the number."
            )

    def two_nodes(self) -> Iterator[str]:
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
            yield (
                f"two NUMA nodes in one container: {where}. {why}; name one node in each container."
            )
            return
        first = [nodes[0] for _, nodes in self.asking]
        if len(set(first)) > 1:
            yield (
                f"the containers of the pod name different NUMA nodes: {', '.join(first)}. Name one"
                " node in all of them, or make two pods of it."
            )

    def miscounted(self) -> Iterator[str]:
        if names := _names(self.containers, self._counts_other_cpus):
            yield (
                f"the counted CPUs differ from the CPU limit in {names}. Ask for one device of -cpu"
                " for each CPU of limits.cpu."
            )
        if names := _names(self.containers, self._counts_less_memory):
            yield (
                f"the counted memory is less than the memory limit in {names}. A device of -memory"
                f" stands for {binary(self.memory_unit)}: ask for as many as hold limits.memory."
            )

    def adrift(self) -> Iterator[str]:
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
            yield (
                f"init container {', '.join(adrift)} does not ask for {' or '.join(wanted)}. It may"
                " get CPUs of another node, and passes them on: give it the same resource."
            )

    def _counts_other_cpus(self, container: Container) -> bool:
        cpus = container.resources.limits.get("cpu")
        counts = self._counts(container, "-cpu")
        return cpus is not None and any(count != cpus for count in counts)

    def _counts_less_memory(self, container: Container) -> bool:
        memory = container.resources.limits.get("memory")
        counts = self._counts(container, "-memory")
        return memory is not None and any(memory > count * self.memory_unit for count in counts)

    def _counts(self, container: Container, ending: str) -> list[int]:
        """How many devices it wants of each counted resource whose name ends so."""
        return [
            int(amount)
            for name, amount in container.resources.limits.items()
            if name.endswith(ending)
            and name.startswith(f"{self.domain}/")
            and is_counted(name.removeprefix(f"{self.domain}/"))
        ]


def _names(containers: Sequence[Container], chosen: Callable[[Container], bool]) -> str:
    return ", ".join(each.name for each in containers if chosen(each))


# As the API server goes through them: the most basic first.
_CHECKS: tuple[tuple[str, Callable[[_Rules], Iterator[str]]], ...] = (
    ("NA006", _Rules.pod_level),
    ("NA001", _Rules.unlimited),
    ("NA003", _Rules.unequal),
    ("NA002", _Rules.fractional),
    ("NA008", _Rules.broken_bytes),
    ("NA005", _Rules.two_nodes),
    ("NA007", _Rules.miscounted),
    ("NA004", _Rules.adrift),
)
