"""A NUMA node with room for fewer pods than there are: with counting, the surplus waits."""

from collections.abc import Iterator

from e2e.cluster import Cluster, Machine
from e2e.objects import PodState
from e2e.pods import PodMaker
from e2e.report import Result
from e2e.verdicts import judge, none_failed, phases, skip, surplus_waits

PODS = 5


def overfull(cluster: Cluster, make: PodMaker, machine: Machine, name: str) -> Iterator[Result]:
    """A Deployment of five pods, of which two or three fit on the NUMA node, or one."""
    check = "more pods than fit on a NUMA node"
    counted = cluster.node(machine.name).counted_cpus
    numa_node = max((each for each in machine.advertised if counted.get(each)), default=None)
    if numa_node is None:
        yield Result(check, machine.name, skip(_why_nothing_is_counted(cluster, machine)))
        return
    cpus, room = _share(counted[numa_node])
    resource = f"{cluster.plan.domain}/numa-{numa_node}-cpu"
    cluster.kubectl.create(make.crowd(name, machine.name, numa_node, cpus=cpus, replicas=PODS))
    try:
        cluster.until(lambda: len(phases(cluster.deployment_pods(name), "Running")) >= room or None)
        cluster.sleep(cluster.plan.overfull)
        pods = cluster.deployment_pods(name)
        yield Result(f"{check}: none fails", machine.name, none_failed(pods))
        surplus = surplus_waits(pods, room, resource)
        yield Result(f"{check}: the surplus waits", machine.name, surplus)
        if surplus.passed:
            yield from _one_leaves(cluster, machine, f"{check}: one leaves, one comes in", name)
    finally:
        cluster.delete_deployment(name)


def _one_leaves(cluster: Cluster, machine: Machine, check: str, name: str) -> Iterator[Result]:
    """Where one pod is deleted, one runs that did not run before, and still none has failed."""
    before = phases(cluster.deployment_pods(name), "Running")
    leaving = min(before)

    def come_in() -> dict[str, PodState] | None:
        running = phases(cluster.deployment_pods(name), "Running")
        return running if running.keys() - before.keys() and leaving not in running else None

    cluster.delete_pod(leaving)
    came = cluster.until(come_in)
    pods = cluster.deployment_pods(name)
    if came is None:
        yield Result(check, machine.name, judge(False, f"no other pod runs: {_told(pods)}"))
    else:
        yield Result(check, machine.name, none_failed(pods))


def _share(free: int) -> tuple[int, int]:
    """CPUs of each pod, and how many pods that makes: one CPU on a small node, else a half.

    An even number, so that it is whole cores where two CPUs share one.
    """
    half = free // 2
    cpus = half - half % 2 or 1
    return cpus, free // cpus


def _why_nothing_is_counted(cluster: Cluster, machine: Machine) -> str:
    names = f"{cluster.plan.domain}/numa-<N>-cpu"
    if not machine.policies.pins_cpus:
        return f"no {names} is allocatable: kubelet's cpuManagerPolicy is {machine.policies.cpu}"
    return f"no {names} is allocatable here: NUMA_COUNTED is not set, or no CPU can be given away"


def _told(pods: dict[str, PodState]) -> str:
    return "; ".join(f"{name} {state}" for name, state in sorted(pods.items()))
