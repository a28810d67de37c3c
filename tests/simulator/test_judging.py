"""What verdicts on pods mean: who is pinned, and what those are told that are not."""

from collections.abc import Sequence

import pytest
import trio

from numa_trio.plugin.counted import Counted
from numa_trio.plugin.resource import NumaResource
from numa_trio.simulator.expected import Expected
from numa_trio.simulator.hints import Policy
from numa_trio.simulator.ideal import IdealCluster, Offer
from numa_trio.simulator.judging import Judged, PodOutcome, judge
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.simulator.pods_text import remarks
from numa_trio.simulator.room import room_of
from numa_trio.simulator.trial import Setup
from numa_trio.workloads.pod import Container, Pod, Resources
from numa_trio.workloads.quantity import parse_quantity
from simulated import container, init, machine, pod

NODES = machine([0, 1, 2, 3], [4, 5, 6, 7])
NEAR = NumaResource("near-data", (1,), 10)
NOWHERE = NumaResource("near-net", (), 10)


def judged(
    *pods: Pod,
    policy: Policy = Policy.SINGLE_NUMA_NODE,
    reserved: int = 1,
    capacity: int = 10,
    counted: Sequence[Counted] = (),
) -> list[Judged]:
    """What pods come to, one after the other, on two nodes of four CPUs."""
    slots = tuple(NumaResource.of_node(node, capacity) for node in (0, 1))
    config = KubeletConfig(policy, reserved_cpus=reserved)
    setup = Setup(NODES, config, Offer(slots, tuple(counted), near=(NEAR, NOWHERE)), {})
    cluster = IdealCluster.create(NODES, config, setup.offer)

    async def admit() -> list[Judged]:
        found = []
        for each in pods:
            before = room_of(cluster.node)
            verdict = await cluster.admit(each)
            found.append(judge(setup, cluster.resources, verdict, before))
        return found

    return trio.run(admit)


def asking(*names: str, cpu: str = "1") -> Container:
    amounts = {"cpu": parse_quantity(cpu), "memory": parse_quantity("64Mi")}
    amounts |= {name: parse_quantity(1) for name in names}
    return Container("app", Resources(amounts, amounts))


def said(found: Judged) -> list[str]:
    return [str(each) for each in found.findings]


def test_pinned() -> None:
    """All containers that ask are on their node; one that does not may be anywhere."""
    (found,) = judged(pod(init(numa=[1]), container(numa=[1]), container("other")))

    assert (found.outcome, said(found)) == (PodOutcome.PINNED, [])
    assert found.pinned == {"init", "app"}
    assert found.asks_for == dict.fromkeys(["init", "app"], ("numa-align/numa-1",))


@pytest.mark.parametrize(
    ("unpinned", "code"),
    [
        (pod(container(numa=[1], limits=False)), "NA001"),
        (pod(container(cpu="500m", numa=[1])), "NA002"),
        (pod(container(numa=[1]), container("other", memory=None)), "NA001"),
    ],
)
def test_unpinned(unpinned: Pod, code: str) -> None:
    """It runs, but shares its CPUs: the rule that it breaks is named."""
    (found,) = judged(unpinned)

    assert (found.outcome, found.pinned) == (PodOutcome.UNPINNED, frozenset())
    assert [each.code for each in found.findings] == [code]


def test_rule_that_is_stricter_than_kubelet() -> None:
    """A pod that is pinned is told what the admission policies have against it."""
    (found,) = judged(pod(container(numa=[0]), container("other", numa=[1])))

    assert (found.outcome, found.findings[0].code) == (PodOutcome.PINNED, "NA005")
    first, second = remarks([found])
    assert first == "pod: pinned here; the admission policies would refuse it"
    assert second.startswith("  NA005: the containers of the pod name different NUMA nodes")


@pytest.mark.parametrize("resources", [(), ("numa-align/near-net",)])
def test_without_a_node(resources: tuple[str, ...]) -> None:
    """What asks for no node, or for something whose node is unknown, just runs."""
    (found,) = judged(pod(asking(*resources)))

    assert (found.outcome, said(found)) == (PodOutcome.RUNNING, [])


def test_refused_for_a_rule() -> None:
    """The rule comes first, then the node that was needed, though there was room."""
    (found,) = judged(pod(init(), container(numa=[1])))

    assert found.outcome is PodOutcome.REFUSED
    rule, room = said(found)
    assert rule.startswith("NA004: init container init does not ask for numa-align/numa-1.")
    assert room == (
        "Needed on node 1: 1 CPU, 128 MiB. Free there: 4 of 4 CPUs, 3.5 GiB of 3.5 GiB of memory."
    )


def test_refused_by_a_full_node() -> None:
    """What was free is what was left when the pod came, and where there was more."""
    first = pod(container(cpu="3", numa=[1]), name="first")
    second = pod(container(cpu="2", numa=[1]), name="second")
    third = pod(container(cpu="4", numa=[1]), name="third")

    _, found, larger = judged(first, second, third)

    free = "Free there: 1 of 4 CPUs, 3.4 GiB of 3.5 GiB of memory."
    elsewhere = "There is room on node 0: 3 of 3 CPUs, 3.5 GiB of 3.5 GiB of memory."
    assert said(found) == [f"Needed on node 1: 2 CPUs, 128 MiB. {free} {elsewhere}"]
    advice = "No other node has room either: ask for less, or make room."
    assert said(larger) == [f"Needed on node 1: 4 CPUs, 128 MiB. {free} {advice}"]


def test_refused_by_what_is_reserved() -> None:
    """CPUs that kubelet keeps for the system are named; a node that is too small is, too."""
    (kept,) = judged(pod(container(numa=[0])), reserved=8)
    (never,) = judged(pod(container(cpu="5", numa=[1])))

    assert kept.outcome is PodOutcome.PENDING
    assert said(kept)[0].endswith("Kubelet keeps 4 CPUs there for the system: reserve fewer.")
    assert said(never)[0].endswith("Pods can never have so much there: ask for less.")


@pytest.mark.parametrize(
    ("resource", "text"),
    [
        ("numa-align/numa-5", "is not offered on test: name one of numa-0, numa-1, near-data, n"),
        ("numa-align/near-log", "near-net. NUMA_NEAR, or --near here, gives names."),
        ("numa-align/near-volume", "needs NUMA_NRI and the container runtime: the simulation has"),
        ("numa-align/numa-1-cpu", "is not counted: set NUMA_COUNTED in the cluster, --counted cp"),
        ("example.com/gpu", "is of another device plugin, and the simulation has none."),
    ],
)
def test_resource_that_is_not_offered(resource: str, text: str) -> None:
    """The pod is pending; what it could ask for instead is named."""
    names = [resource] if resource.startswith("numa-align") else [resource, "numa-align/numa-0"]
    (found,) = judged(pod(asking(*names)))

    assert found.outcome is PodOutcome.PENDING
    missing = [each for each in said(found) if each.startswith(f"{resource} ")]
    assert text in missing[0]


def test_too_few_devices() -> None:
    """Slots that are used up can be made more; what is counted cannot."""
    first, second = (pod(container(numa=[1]), name=name) for name in ("first", "second"))
    _, found = judged(first, second, capacity=1)
    counting = asking("numa-align/numa-1", "numa-align/numa-1-memory")
    memory = {"numa-align/numa-1-memory": parse_quantity(9)}
    amounts = {**counting.resources.limits, **memory}
    (more,) = judged(
        pod(Container("app", Resources(amounts, amounts))), counted=[Counted.CPU, Counted.MEMORY]
    )

    slots = "numa-align/numa-1: too few of its 1 devices are free: raise NUMA_CAPACITY."
    assert slots in said(found)
    assert "numa-align/numa-1-memory: too few of its 3 devices are free." in said(more)


@pytest.mark.parametrize("policy", [Policy.NONE, Policy.BEST_EFFORT])
def test_policies_that_do_not_align(policy: Policy) -> None:
    """They let pods run elsewhere, and it is said where each is."""
    first, second = (pod(container(cpu="3", numa=[0]), name=name) for name in ("first", "second"))

    one, other = judged(first, second, policy=policy)

    assert one.outcome is PodOutcome.PINNED
    assert other.outcome is PodOutcome.UNPINNED
    assert said(other)[0] == "second/app asks for node 0, but its CPUs 4-6 are elsewhere."


def test_two_nodes_are_no_place_to_be_pinned() -> None:
    """A container that names both is not pinned on either, wherever it runs."""
    (found,) = judged(pod(container(numa=[0, 1])), policy=Policy.NONE)

    assert (found.outcome, found.findings[0].code) == (PodOutcome.UNPINNED, "NA005")


def test_remarks_name_pods_alike_at_once() -> None:
    """Replicas that meet with the same share the lines about it."""
    pods = [pod(container(cpu="5", numa=[1]), name=name) for name in ("one", "two")]

    refusal, room = remarks(judged(*pods))

    assert refusal.startswith("one, two: refused: TopologyAffinityError: Pod was rejected: ")
    assert room.startswith("  Needed on node 1: 5 CPUs")


def unmet(expected: Expected, *pods: Pod) -> list[str]:
    return list(expected.unmet(judged(*pods), "numa-align"))


PINNED = pod(container(numa=[1]), name="good")
SHARED = pod(container(numa=[1], limits=False), name="shared")
STRANGER = pod(container(), name="stranger")


def test_pods_are_to_be_pinned() -> None:
    """All that ask for a node; what becomes of others does not matter."""
    assert unmet(Expected(), PINNED, SHARED, STRANGER) == ["shared is unpinned, expected pinned"]


def test_expectation_for_one_pod() -> None:
    """It goes before that for all, also of a pod that asks for no node."""
    expected = Expected(
        PodOutcome.RUNNING, {"good": PodOutcome.REFUSED, "stranger": PodOutcome.PENDING}
    )
    assert unmet(expected, PINNED, SHARED, STRANGER) == [
        "good is pinned, expected refused",
        "stranger is running, expected pending",
    ]


def test_no_pod_that_asks() -> None:
    """Then nothing has been tried, as where the domain is misspelt."""
    assert unmet(Expected(), STRANGER) == [
        "no pod asks for a NUMA node: none has limits for a resource of numa-align/"
    ]
    assert unmet(Expected(named={"stranger": PodOutcome.RUNNING}), STRANGER) == []
