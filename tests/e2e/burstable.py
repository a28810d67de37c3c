"""Burstable pods, which only the container runtime pins (NUMA_NRI): each runs on its NUMA node."""

from collections.abc import Iterator

from e2e.cluster import Cluster, Machine, Outcome
from e2e.deployment import Plugin
from e2e.kubectl import KubectlFailed
from e2e.objects import parse_placement
from e2e.pinned import Pinning, cpus_are_pinned, is_connected, memory_is_pinned, parse_pinning
from e2e.placement import Run
from e2e.pods import TELL_PINNING, Probe
from e2e.report import Result
from e2e.verdicts import judge, ran, skip

# The policy that wants all pods to be Guaranteed.
_GUARANTEED_ONLY = "NA001"


def read_pinning(cluster: Cluster, plugin: Plugin, pod: str) -> Pinning:
    """What the runtime pins, once the plugin is connected to it, which may be after it is Ready."""

    def look() -> Pinning:
        return parse_pinning(cluster.in_plugin(plugin, pod, TELL_PINNING))

    def settled() -> Pinning | None:
        pinning = look()
        return pinning if not pinning.parts or is_connected(pinning).passed else None

    try:
        return cluster.until(settled) or look()
    except (KubectlFailed, ValueError) as problem:
        return Pinning(problem=f"numa-trio health in {pod}: {problem}")


def burstable(machine: Machine, pinning: Pinning, run: Run) -> Iterator[Result]:
    """The plugin's connection to the runtime, and a Burstable pod on each NUMA node.

    Nothing where NUMA_NRI is off.
    """
    check = "pinned by the container runtime"
    if pinning.problem:
        yield Result(check, machine.name, judge(False, pinning.problem))
        return
    if not pinning.parts:
        return
    yield Result(f"{check}: connected", machine.name, is_connected(pinning))
    for numa_node in machine.advertised:
        outcome = run(machine, Probe("app", (numa_node,), guaranteed=False))
        if _GUARANTEED_ONLY in (outcome.denied or ""):
            finding = skip(f"denied by a policy: {outcome.denied}")
            yield Result(f"Burstable pod on NUMA node {numa_node}", machine.name, finding)
        else:
            yield from _placed(machine, numa_node, pinning, outcome)


def _placed(
    machine: Machine, numa_node: int, pinning: Pinning, outcome: Outcome
) -> Iterator[Result]:
    check = f"Burstable pod on NUMA node {numa_node}"
    if outcome.state.phase != "Succeeded":
        yield Result(check, machine.name, ran(outcome.state, outcome.denied))
        return
    placement = parse_placement(outcome.log)
    cpus = cpus_are_pinned(placement, machine.cpus[numa_node], pinning, machine.policies)
    yield Result(f"{check}: CPUs", machine.name, cpus)
    memory = memory_is_pinned(placement, numa_node, pinning)
    yield Result(f"{check}: memory", machine.name, memory)
