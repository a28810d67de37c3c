"""Where kubelet refuses a pod although the sums fit: each case that the counting cannot help."""

from fractions import Fraction

import pytest
from attrs import evolve
from counted_node import CountedNode

from numa_trio.plugin.counted import Counted
from numa_trio.plugin.counting import counted_name
from numa_trio.simulator.hints import Policy, Scope
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.workloads.pod import Container, ContainerKind, Pod, Resources
from simulated import machine

CPUS = "numa-align/numa-1-cpu"
MEMORY = "numa-align/numa-1-memory"
CONFIG = KubeletConfig(Policy.SINGLE_NUMA_NODE, Scope.CONTAINER, 1, reserved_memory=20)
APP, INIT, SIDECAR = ContainerKind.APP, ContainerKind.INIT, ContainerKind.SIDECAR


def two_nodes(*, threads: int = 1, config: KubeletConfig = CONFIG, unit: int = 10) -> CountedNode:
    """Each with four CPUs and 180 bytes to give away; CPU 0 is reserved."""
    both = machine(range(4), range(4, 8), threads=threads, memory=200)
    return CountedNode(both, config, unit, near=False)


def part(
    kind: ContainerKind, cpus: int, memory: int = 10, *, counts: bool = True, unit: int = 10
) -> Container:
    """A Guaranteed container for node 1."""
    base = "numa-align/numa-1"
    devices = {base: Fraction(1)}
    if counts:
        devices[counted_name(base, Counted.CPU)] = Fraction(cpus)
        devices[counted_name(base, Counted.MEMORY)] = Fraction(-(-memory // unit))
    limits = {"cpu": Fraction(cpus), "memory": Fraction(memory)} | devices
    return Container(f"{kind}-{cpus}", Resources(limits, limits), kind)


def pod(name: str, *parts: Container) -> Pod:
    return Pod(name, parts)


def refusal(counted: CountedNode, one: Pod) -> str | None:
    """Why kubelet refuses a pod that the scheduler sends there; None if it runs."""
    assert counted.schedule(one) is None
    return counted.admit(one).reason


def offered(counted: CountedNode, resource: str = CPUS) -> tuple[int, int]:
    """What the scheduler takes for free, and what kubelet has."""
    account = counted.account(resource)
    return account.offered, account.left


@pytest.mark.parametrize(
    ("parts", "left"),
    [
        ([part(INIT, 3), part(APP, 1)], 1),
        ([part(INIT, 1), part(APP, 3)], 1),
        ([part(SIDECAR, 1), part(INIT, 2), part(APP, 1)], 1),
        ([part(INIT, 2), part(SIDECAR, 1), part(APP, 1)], 2),
        ([part(APP, 1), part(APP, 2)], 1),
    ],
)
@pytest.mark.parametrize("scope", Scope)
def test_what_an_init_container_keeps_is_in_the_request(
    parts: list[Container], left: int, scope: Scope
) -> None:
    """List does not show it, and the scheduler counts the most that a pod needs: that is exact."""
    counted = two_nodes(config=evolve(CONFIG, scope=scope))
    assert refusal(counted, pod("pod", *parts)) is None
    counted.look()

    assert offered(counted) == (left, left)


def test_an_init_container_without_counts_keeps_cpus_unseen() -> None:
    """Its app's CPUs are seen to be gone, those that only the init container used are not."""
    counted = two_nodes()
    stranger = pod("stranger", part(INIT, 3, counts=False), part(APP, 1, counts=False))
    assert refusal(counted, stranger) is None
    counted.look()

    assert offered(counted) == (3, 1)
    assert refusal(counted, pod("pod", part(APP, 2))) == "TopologyAffinityError"


def test_with_smt_an_app_may_not_use_its_init_containers_cpus_again() -> None:
    """Kubelet prefers a whole free core, so that the pod keeps more than it ever asks for."""
    counted = two_nodes(threads=2)
    assert refusal(counted, pod("first", part(APP, 1))) is None
    assert refusal(counted, pod("second", part(INIT, 1), part(APP, 2))) is None
    counted.look()

    assert offered(counted) == (1, 0)
    assert refusal(counted, pod("third", part(APP, 1))) == "TopologyAffinityError"


def test_a_stranger_is_not_seen_before_the_next_look() -> None:
    """Then what it took is gone, and comes back after it."""
    counted = two_nodes()
    stranger = pod("stranger", part(APP, 3, counts=False))
    assert refusal(counted, stranger) is None
    assert offered(counted) == (4, 1)
    assert refusal(counted, pod("early", part(APP, 2))) == "TopologyAffinityError"

    counted.look()
    assert offered(counted) == (1, 1)
    counted.leave(stranger)
    counted.look()
    assert offered(counted) == (4, 4)


def test_a_stranger_in_the_rounding_of_a_pod_that_goes() -> None:
    """A device that is held is never taken back, whoever uses what is left of its unit."""
    counted = two_nodes(unit=90)
    first = pod("first", part(APP, 1, 10, unit=90))
    assert refusal(counted, first) is None
    assert refusal(counted, pod("stranger", part(APP, 1, 160, counts=False))) is None
    counted.look()
    assert offered(counted, MEMORY)[0] == 0
    counted.leave(first)

    assert offered(counted, MEMORY) == (90, 20)
    counted.look()
    assert offered(counted, MEMORY) == (0, 20)


def test_full_pcpus_only_refuses_parts_of_cores_whatever_is_counted() -> None:
    """The option wants whole cores; an odd number of CPUs fits no sum of it."""
    counted = two_nodes(threads=2, config=evolve(CONFIG, full_pcpus_only=True))

    assert refusal(counted, pod("odd", part(APP, 1))) == "SMTAlignmentError"
    assert refusal(counted, pod("even", part(APP, 2))) is None


def test_the_memory_of_an_ended_init_container_is_wanted_again_at_a_restart() -> None:
    """Kubelet admits the pod anew, beside what its app has: without that much left it goes."""
    counted = two_nodes()
    assert refusal(counted, pod("pod", part(INIT, 1, 100), part(APP, 1, 100))) is None

    [verdict] = counted.restart()
    assert verdict.reason == "TopologyAffinityError"
