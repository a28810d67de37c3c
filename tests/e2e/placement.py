"""A pod that ran to its end: whether it ran where it had to."""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import TypeAlias

from e2e.cluster import Machine, Outcome
from e2e.objects import parse_placement
from e2e.pods import Probe
from e2e.report import Result
from e2e.verdicts import cpus_are_of, environment_is, memory_is_of, ran, skip

# Runs a pod of such a container on a machine, and deletes it.
Run: TypeAlias = Callable[[Machine, Probe], Outcome]


def placed(
    check: str, machine: Machine, outcome: Outcome, numa_nodes: AbstractSet[int]
) -> Iterator[Result]:
    """The pod has its CPUs, its memory and its variable from these NUMA nodes, if any is known."""
    if outcome.state.phase != "Succeeded":
        yield Result(check, machine.name, ran(outcome.state, outcome.denied))
        return
    placement = parse_placement(outcome.log)
    yield Result(f"{check}: environment", machine.name, environment_is(placement, numa_nodes))
    if numa_nodes:
        cpus = frozenset[int]().union(*(machine.cpus.get(node, ()) for node in numa_nodes))
        from_there = cpus_are_of(placement, cpus, machine.policies)
        memory = memory_is_of(placement, numa_nodes, machine.policies)
    else:
        from_there = memory = skip("no NUMA node is known of it, so nothing is aligned")
    yield Result(f"{check}: CPUs", machine.name, from_there)
    yield Result(f"{check}: memory", machine.name, memory)
