"""What is wrong, at the top of the page: the same trouble of many resources told once."""

from collections.abc import Iterator, Sequence

from numa_trio.agent.monitor.observation import CountingSeen, NearnessSeen, Observation
from numa_trio.agent.monitor.page.markup import Markup, element
from numa_trio.agent.monitor.readiness import MISSING
from numa_trio.agent.status import Phase
from numa_trio.plugin.resource import NEAR, NumaResource
from numa_trio.topology.lists import format_nodes


def troubles_list(observed: Observation) -> Markup:
    """A list, empty if all is well."""
    return element("ul", *_troubles(observed), id="troubles")


def _troubles(observed: Observation) -> Iterator[Markup]:
    if observed.kubelet_problem:
        yield _trouble("kubelet", observed.kubelet_problem)
    if observed.topology_problem:
        yield _trouble("NUMA nodes", observed.topology_problem)
    for remark in observed.remarks:
        yield _trouble("remark", str(remark))
    if observed.counting:
        yield from _of_counting(observed.counting)
    if observed.nearness:
        yield from _of_names(observed.nearness)
    if observed.runtime and observed.runtime.connected is None:
        problem = observed.runtime.problem or "not connected yet"
        yield _trouble("containers are not pinned", f"{observed.runtime.socket}: {problem}")
    alike: dict[tuple[Phase, str | None], list[NumaResource]] = {}
    for one in observed.missing:
        alike.setdefault((one.status.phase, one.status.obstacle), []).append(one.resource)
    for (phase, obstacle), resources in alike.items():
        last = f"; last trouble: {obstacle}" if obstacle else ""
        yield _trouble(_named(resources), f"{MISSING[phase]}{last}")


def _of_counting(counting: CountingSeen) -> Iterator[Markup]:
    if counting.problem:
        yield _trouble("counting", counting.problem)
    for name, reason in counting.reasons.items():
        yield _trouble(name, f"is not counted: {reason}")


def _of_names(nearness: NearnessSeen) -> Iterator[Markup]:
    for problem in nearness.problems:
        yield _trouble("near", problem)
    for near in nearness.names:
        if near.reason:
            yield _trouble(NEAR + near.name, near.found)


def _trouble(what: str, text: str) -> Markup:
    return element("li", element("b", what), f" {text}")


def _named(resources: Sequence[NumaResource]) -> str:
    """Plain slots by their nodes, others by name."""
    nodes = [resource.numa_nodes[0] for resource in resources if resource.plain]
    others = (resource.local_name for resource in resources if not resource.plain)
    return ", ".join([*filter(None, [format_nodes(nodes)]), *others])
