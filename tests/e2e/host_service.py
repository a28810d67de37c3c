"""Nodes whose host runs the plugin: the DaemonSet leaves them to it, and pods get their slots."""

from collections.abc import Callable, Iterator

from e2e.cluster import Cluster, Outcome
from e2e.objects import ClusterNode, parse_placement
from e2e.pods import Probe
from e2e.report import Result
from e2e.verdicts import environment_is, judge, ran


def host_service(
    cluster: Cluster, node: str, has_pod: bool, run: Callable[[str, Probe], Outcome]
) -> Iterator[Result]:
    """What is checked on such a node; `has_pod`: the DaemonSet runs there nevertheless."""
    seen = "a pod of the plugin runs here" if has_pod else "no pod of the plugin runs here"
    yield Result("host service: the DaemonSet leaves the node out", node, judge(not has_pod, seen))
    offered = cluster.until(lambda: _offered(cluster.node(node))) or {}
    cluster.sleep(cluster.plan.settle)
    offered = _offered(cluster.node(node)) or {}
    slots = ", ".join(f"numa-{each}: {count}" for each, count in offered.items())
    yield Result(
        "host service: allocatable = capacity", node, judge(bool(offered), slots or "no slots")
    )
    for numa_node in offered:
        check = f"host service: pod on NUMA node {numa_node}"
        outcome = run(node, Probe("app", (numa_node,)))
        if outcome.state.phase != "Succeeded":
            yield Result(check, node, ran(outcome.state, outcome.denied))
        else:
            placement = parse_placement(outcome.log)
            yield Result(check, node, environment_is(placement, {numa_node}))


def _offered(node: ClusterNode) -> dict[int, int] | None:
    """The slots by NUMA node, once all that there are can be had."""
    slots = {numa_node: count for numa_node, count in node.capacity.items() if count}
    usable = {numa_node: node.allocatable.get(numa_node) for numa_node in slots}
    return slots if slots and usable == slots else None
