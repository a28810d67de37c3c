"""Names for what pods are to be near: what the plugin offers of them, and pods that ask for it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from e2e.cluster import Cluster, Machine
from e2e.objects import ClusterNode, NearName, NearReport
from e2e.placement import Run, placed
from e2e.plan import NOWHERE, ROOT
from e2e.pods import Probe
from e2e.report import Result
from e2e.verdicts import (
    Finding,
    Verdict,
    judge,
    near_slots_are,
    refused,
    skip,
    why_not_refused,
)

# What the kernel says to a process that SELinux keeps from a file.
_FORBIDDEN = "Permission denied"


def near(cluster: Cluster, machine: Machine, run: Run) -> Iterator[Result]:
    """What the plugin offers near something on this machine, and a pod for each name."""
    if not cluster.plan.near:
        yield Result("pods near something", machine.name, skip("NUMA_NEAR is not set"))
        return
    yield Result(f"near-{ROOT} is offered", machine.name, root_is_offered(machine.near))
    absent = nowhere_is_absent(machine.near, cluster.node(machine.name))
    yield Result(f"near-{NOWHERE} is not offered", machine.name, absent)
    for name in machine.near.offered:
        outcome = run(machine, Probe("app", near=(name.name,)))
        yield from placed(f"pod near {name.name}", machine, outcome, name.nodes)
    yield from _refusals(machine, run)
    yield _counted(cluster, machine)


def near_slots(check: str, machine: Machine, node: ClusterNode, capacity: int) -> Iterator[Result]:
    """All slots of all names that the plugin says it offers are there; nothing without names."""
    if machine.near.offered or any(node.near_capacity.values()):
        finding = near_slots_are(node, machine.near, capacity)
        yield Result(f"near: {check}", machine.name, finding)


def root_is_offered(near: NearReport) -> Finding:
    """Every server has a root directory; skipped where the plugin is kept from looking."""
    root = near.find(ROOT)
    if root is None:
        return judge(False, near.problem or f"the plugin says nothing of near-{ROOT}")
    if not root.offered and _FORBIDDEN in root.told:
        return skip(root.told)
    return judge(root.offered, root.told)


def nowhere_is_absent(near: NearReport, node: ClusterNode) -> Finding:
    """What is not there is no resource, and the plugin says why."""
    nowhere, slots = near.find(NOWHERE), node.near_capacity.get(NOWHERE, 0)
    if nowhere is None:
        return judge(False, near.problem or f"the plugin says nothing of near-{NOWHERE}")
    return judge(not nowhere.offered and not slots, f"{slots} slots; {nowhere.told}")


def _refusals(machine: Machine, run: Run) -> Iterator[Result]:
    """What one container cannot have from one NUMA node is refused."""
    reason = why_not_refused(machine.policies, machine.advertised, by_cpus=False)
    for check, probe, otherwise in (
        (
            "a name and another NUMA node",
            _apart_from_a_node(machine.near.offered, machine.advertised),
            "no name is near some NUMA nodes and not near others",
        ),
        (
            "two names near different NUMA nodes",
            _apart(machine.near.offered),
            "no two names are near different NUMA nodes",
        ),
    ):
        check = f"{check} in one container are refused"
        if reason or probe is None:
            yield Result(check, machine.name, skip(reason or otherwise))
        else:
            outcome = run(machine, probe)
            yield Result(check, machine.name, refused(outcome.state, outcome.denied, "NA005"))


def _apart_from_a_node(names: Sequence[NearName], numa_nodes: Sequence[int]) -> Probe | None:
    for name in names:
        others = [node for node in numa_nodes if node not in name.nodes]
        if name.nodes and others:
            return Probe("app", (others[-1],), (name.name,))
    return None


def _apart(names: Sequence[NearName]) -> Probe | None:
    for one, other in combinations([name for name in names if name.nodes], 2):
        if not one.nodes & other.nodes:
            return Probe("app", near=(one.name, other.name))
    return None


def _counted(cluster: Cluster, machine: Machine) -> Result:
    """Beside a name is counted what is counted of its NUMA node, once the pods are forgotten."""

    def look() -> Finding:
        return counted_alike(machine.near, cluster.node(machine.name))

    cluster.until(lambda: look().verdict is not Verdict.FAILED or None)
    return Result("near: CPUs are counted as those of the NUMA node", machine.name, look())


def counted_alike(near: NearReport, node: ClusterNode) -> Finding:
    """Each name near just one NUMA node counts the CPUs of that, and no other name counts any."""
    expected = {
        name.name: node.counted_cpus.get(numa_node, 0)
        for name in near.offered
        if len(name.nodes) == 1
        for numa_node in name.nodes
    }
    expected = {name: cpus for name, cpus in expected.items() if cpus}
    seen = {name: cpus for name, cpus in node.near_counted_cpus.items() if cpus}
    if not expected and not seen:
        return skip("nothing is counted here, or no name is near just one NUMA node")
    if seen == expected:
        return judge(True, _listed(seen))
    return judge(False, f"{_listed(seen)}; expected {_listed(expected)}")


def _listed(counted: Mapping[str, int]) -> str:
    return ", ".join(f"near-{name}-cpu: {counted[name]}" for name in sorted(counted)) or "none"
