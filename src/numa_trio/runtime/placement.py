"""The CPUs and memory nodes of a container that holds devices of NUMA nodes.

What kubelet, or another plugin of the runtime, has given it is never made wider: that may be CPUs
which are another container's alone.
"""

from collections.abc import Collection, Iterable

from attrs import frozen

from numa_trio.runtime.messages import NO_CPU_SET, CpuSet
from numa_trio.runtime.outcome import Outcome
from numa_trio.topology.lists import MalformedText, format_list, format_nodes, parse_list
from numa_trio.topology.machine import Machine


@frozen
class Place:
    """What NUMA nodes have together: CPUs, and those of them with memory."""

    cpus: frozenset[int] = frozenset()
    memory_nodes: frozenset[int] = frozenset()

    @classmethod
    def of(cls, machine: Machine, nodes: Iterable[int]) -> "Place":
        """What these nodes have, as far as they are online."""
        wanted = set(nodes)
        there = [node for node in machine.nodes if node.id in wanted]
        return cls(
            frozenset(cpu for node in there for cpu in node.cpus),
            frozenset(node.id for node in there if node.has_memory),
        )


@frozen
class Aspects:
    """What of a container is to be set: its CPUs, its memory nodes, or those as a preference.

    They are `preferred` if another plugin has asked for that already, which NRI does not show. A
    kernel that cannot prefer several nodes would not start such a container: they are bound then.
    """

    cpus: bool = True
    mems: bool = True
    prefer: bool = False
    preferred: bool = False
    prefer_several: bool = True

    def prefers(self, nodes: Collection[int]) -> bool:
        """Whether memory of these nodes is preferred rather than bound."""
        return self.prefer and (self.prefer_several or len(nodes) == 1)


@frozen
class Placement:
    """What to set, empty for what is to stay as it is; what comes of it, and why.

    Memory of the nodes `preferred` is to be used first, in place of `cpu_set.mems`.
    """

    outcome: Outcome
    cpu_set: CpuSet = NO_CPU_SET
    preferred: tuple[int, ...] = ()
    why: str = ""


def place(here: Place, asked: CpuSet, aspects: Aspects) -> Placement:
    """Where a container goes for which `asked` is set, or asked for."""
    cpus, mems = _Part(), _Part()
    preferred: tuple[int, ...] = ()
    if aspects.cpus and here.cpus:
        cpus = _within(here.cpus, asked.cpus, "CPUs")
    if aspects.mems and here.memory_nodes:
        if aspects.preferred and not asked.mems:
            mems = _Part(Outcome.UNCHANGED)
        elif aspects.prefers(here.memory_nodes) and not asked.mems:
            mems, preferred = _Part(Outcome.PINNED), tuple(sorted(here.memory_nodes))
        else:
            mems = _within(here.memory_nodes, asked.mems, "memory of")
    outcome = _together(cpus.outcome, mems.outcome)
    if outcome is Outcome.IMPOSSIBLE:
        return Placement(outcome, why="its nodes are offline, or have nothing of what is to be set")
    return Placement(
        outcome,
        CpuSet(cpus.numbers, mems.numbers),
        preferred,
        "; ".join(part.why for part in (cpus, mems) if part.why),
    )


@frozen
class _Part:
    """CPUs or memory nodes: what comes of them is None where the nodes have none."""

    outcome: Outcome | None = None
    numbers: str = ""
    why: str = ""


def _within(own: frozenset[int], asked: str, what: str) -> _Part:
    if not asked:
        return _Part(Outcome.PINNED, format_list(own))
    try:
        wanted = parse_list(asked)
    except MalformedText as problem:
        return _Part(Outcome.ELSEWHERE, why=f"its {what} {problem}")
    common = own & wanted
    if not common:
        return _Part(Outcome.ELSEWHERE, why=f"it was given {what} {_listed(wanted, what)}")
    if common == wanted:
        return _Part(Outcome.UNCHANGED)
    return _Part(Outcome.PINNED, format_list(common))


def _listed(numbers: frozenset[int], what: str) -> str:
    return format_list(numbers) if what == "CPUs" else format_nodes(sorted(numbers))


def _together(*parts: Outcome | None) -> Outcome:
    """The worst; `IMPOSSIBLE` if there is none."""
    for outcome in (Outcome.ELSEWHERE, Outcome.PINNED, Outcome.UNCHANGED):
        if outcome in parts:
            return outcome
    return Outcome.IMPOSSIBLE
