"""Verdicts on pods: what a real kubelet 1.36 was seen to do, and what its source says."""

from functools import partial

import pytest
import trio
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.plugin.messages import ContainerAllocation
from numa_trio.simulator.admission import PluginFailed, Verdict, admit, scheduler_verdict
from numa_trio.simulator.expectation import differences
from numa_trio.simulator.hints import Policy, Scope
from numa_trio.simulator.ideal import IdealCluster, Offer
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.simulator.machine_file import load_machine, shipped_machines
from numa_trio.workloads.pod import Container, ContainerKind, Resources
from numa_trio.workloads.quantity import parse_quantity
from simulated import Cluster, cluster, container, init, machine, pod, sidecar

LOCALITY = "Pod was rejected: Resources cannot be allocated with Topology locality"
SMALL = machine([0, 1], [2, 3])

ALIGNING = [Policy.RESTRICTED, Policy.SINGLE_NUMA_NODE]


@pytest.fixture
def small() -> Cluster:
    """The machine of the verdicts that were seen: two nodes of two CPUs, CPU 0 reserved."""
    return cluster(SMALL)


# Seen with a real kubelet 1.36: for each container its CPUs, memory nodes and NUMA_NODE.
RUNS = {
    "one CPU, numa-1": ([container(numa=[1])], [({2}, {1}, "1")]),
    "init container with the resource": (
        [init(numa=[1]), container(numa=[1])],
        [({2}, {1}, "1"), ({2}, {1}, "1")],
    ),
    "half a CPU, numa-0": ([container(cpu="500m", numa=[0])], [({0, 1, 2, 3}, {0}, "0")]),
    "two containers on two nodes": (
        [container("a", numa=[0]), container("b", numa=[1])],
        [({1}, {0}, "0"), ({2}, {1}, "1")],
    ),
}
REFUSED = {
    "both nodes in one container": [container(numa=[0, 1])],
    "init container without the resource": [init(), container(numa=[1])],
    "more CPUs than the node has": [container(cpu="3", numa=[1])],
}


@pytest.mark.parametrize("case", RUNS)
async def test_places_as_seen(small: Cluster, case: str) -> None:
    """Pods that a real kubelet ran get the CPUs, memory nodes and environment seen there."""
    containers, expected = RUNS[case]

    verdict = await small.admit(*containers)

    assert verdict.admitted, verdict.message
    assert [
        (p.cpus, p.memory_nodes, p.environment["NUMA_NODE"]) for p in verdict.placements
    ] == expected


@pytest.mark.parametrize("case", REFUSED)
async def test_refuses_as_seen(small: Cluster, case: str) -> None:
    """Pods that a real kubelet refused are refused with its reason and message."""
    verdict = await small.admit(*REFUSED[case])

    assert (verdict.reason, verdict.message) == ("TopologyAffinityError", LOCALITY)
    assert verdict.placements == ()


@pytest.mark.parametrize("case", REFUSED)
async def test_refused_pod_leaves_nothing_behind(small: Cluster, case: str) -> None:
    """After a refusal everything is free again, also what earlier containers had got."""
    await small.admit(*REFUSED[case], name="refused")

    await test_places_as_seen(small, "two containers on two nodes")
    assert {holder.pod_uid for holder in small.node.devices.allocations} == set(small.node.pods)


async def test_devices_of_init_containers_are_used_again(small: Cluster) -> None:
    """Init containers pass their devices on to the app container."""
    await small.admit(init(numa=[1], name="a"), init(numa=[1], name="b"), container(numa=[1]))

    assert small.plugins.calls == [("numa-align/numa-1", ("numa-1-0",))] * 3


async def test_sidecar_keeps_its_devices_and_cpus() -> None:
    """What a sidecar has is not given to containers that run beside it."""
    wide = cluster(machine([0, 1, 2, 3], [4, 5, 6, 7]))

    verdict = await wide.admit(sidecar(numa=[1]), init(numa=[1]), container(numa=[1]))

    assert [placement.cpus for placement in verdict.placements] == [{4}, {5}, {5}]
    ids = [device_ids for _, device_ids in wide.plugins.calls]
    assert ids == [("numa-1-0",), ("numa-1-1",), ("numa-1-1",)]


@pytest.mark.parametrize("policy", ALIGNING)
async def test_node_without_room_refuses(policy: Policy) -> None:
    """Once a node's CPUs are taken, a pod that asks for that node is refused."""
    small = cluster(SMALL, policy)
    assert (await small.admit(container(cpu="2", numa=[1]), name="first")).admitted

    verdict = await small.admit(container(cpu="1", numa=[1]), name="second")

    assert verdict.reason == "TopologyAffinityError"


async def test_restricted_refuses_two_nodes_in_one_container() -> None:
    """Two nodes in one container cannot be aligned under restricted either."""
    verdict = await cluster(SMALL, Policy.RESTRICTED).admit(container(numa=[0, 1]))

    assert verdict.reason == "TopologyAffinityError"


async def test_restricted_lets_a_container_span_nodes_if_all_of_it_must() -> None:
    """Under restricted a container may span nodes, but only if CPUs and memory need the same."""
    small = cluster(SMALL, Policy.RESTRICTED)

    verdict = await small.admit(container(cpu="3"), name="memory would fit on one node")
    assert verdict.reason == "TopologyAffinityError"

    verdict = await small.admit(container(cpu="3", memory="5Gi"), name="needs both for both")
    assert verdict.placements[0].cpus == {1, 2, 3}
    assert verdict.placements[0].memory_nodes == {0, 1}


@pytest.mark.parametrize("policy", [Policy.NONE, Policy.BEST_EFFORT])
async def test_other_policies_run_what_cannot_be_aligned(policy: Policy) -> None:
    """Under none and best-effort, nobody refuses a pod for its topology."""
    verdict = await cluster(SMALL, policy).admit(container(cpu="3", numa=[1]))

    assert verdict.placements[0].cpus == {1, 2, 3}


async def test_best_effort_aligns_what_it_can() -> None:
    """Under best-effort a container that fits on its node gets CPUs of that node."""
    verdict = await cluster(SMALL, Policy.BEST_EFFORT).admit(container(numa=[1]))

    assert verdict.placements[0].cpus == {2}


async def test_policy_none_ignores_the_resource() -> None:
    """Under none the CPUs come from where they are, whatever node was asked for."""
    verdict = await cluster(SMALL, Policy.NONE).admit(container(numa=[1]))

    assert verdict.placements[0].cpus == {1}


async def test_pod_scope_aligns_the_pod_as_a_whole() -> None:
    """With scope pod, containers that ask for different nodes cannot be in one pod."""
    small = cluster(SMALL, scope=Scope.POD)

    verdict = await small.admit(container("a", numa=[0]), container("b", numa=[1]))

    assert verdict.reason == "TopologyAffinityError"
    assert small.plugins.calls == []


async def test_pod_scope_takes_the_init_container_along() -> None:
    """With scope pod, an init container without the resource lands on the pod's node."""
    small = cluster(SMALL, scope=Scope.POD)

    verdict = await small.admit(init(), container(numa=[1]))

    assert [placement.cpus for placement in verdict.placements] == [{2}, {2}]


@pytest.mark.parametrize("cpu", ["500m", "1500m"])
async def test_no_exclusive_cpus_for_parts_of_a_cpu(cpu: str) -> None:
    """Only whole CPUs are exclusive: other containers run in the shared pool."""
    (placement,) = (await cluster(SMALL).admit(container(cpu=cpu, numa=[1]))).placements

    assert (placement.exclusive, placement.cpus) == (False, {0, 1, 2, 3})


async def test_no_exclusive_cpus_without_guaranteed_qos(small: Cluster) -> None:
    """A Burstable pod gets its device, but neither CPUs nor memory of the node."""
    (placement,) = (await small.admit(container(numa=[1], limits=False))).placements

    assert (placement.exclusive, placement.memory_bound) == (False, False)
    assert placement.environment == {"NUMA_NODE": "1"}


async def test_pod_level_resources_turn_pinning_off(small: Cluster) -> None:
    """The CPU and Memory Managers skip pods with pod-level resources."""
    amounts = {"cpu": parse_quantity(1), "memory": parse_quantity("128Mi")}
    plain = pod(container(numa=[1]))
    verdict = await admit(
        small.node, evolve(plain, resources=Resources(amounts, amounts)), small.plugins
    )

    (placement,) = verdict.placements
    assert (placement.exclusive, placement.memory_bound) == (False, False)


async def test_exclusive_cpus_leave_the_shared_pool(small: Cluster) -> None:
    """A container with CPUs of its own takes them away from all in the shared pool."""
    await small.admit(container(numa=[1]), name="exclusive")
    (placement,) = (await small.admit(container(cpu="500m"), name="shared")).placements

    assert placement.cpus == {0, 1, 3}


async def test_resource_that_was_never_registered_is_not_kubelets_business(small: Cluster) -> None:
    """Kubelet ignores extended resources that no plugin offers: the scheduler minds them."""
    small.node.devices.forget("numa-align/numa-1")

    verdict = await small.admit(container(numa=[1]))

    assert (verdict.placements[0].environment, verdict.admitted) == ({}, True)


async def test_registered_before_but_not_yet_again() -> None:
    """After kubelet's start, until the plugin has registered, its pods fail for good."""
    small = cluster(SMALL, registered=False)
    small.node.devices.expect("numa-align/numa-1")

    verdict = await small.admit(container(numa=[1]))

    assert (verdict.reason, verdict.message) == (
        "UnexpectedAdmissionError",
        (
            "Pod was rejected: Allocate failed due to no healthy devices present; cannot allocate"
            " unhealthy devices numa-align/numa-1, which is unexpected"
        ),
    )


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (Policy.NONE, "UnexpectedAdmissionError"),
        (Policy.BEST_EFFORT, "UnexpectedAdmissionError"),
        (Policy.RESTRICTED, "TopologyAffinityError"),
        (Policy.SINGLE_NUMA_NODE, "TopologyAffinityError"),
    ],
)
async def test_plugin_that_is_gone(policy: Policy, reason: str) -> None:
    """With its plugin gone while kubelet runs, a resource has no hint that could be satisfied."""
    small = cluster(SMALL, policy)
    small.node.devices.disconnect("numa-align/numa-1")

    assert (await small.admit(container(numa=[1]))).reason == reason


async def test_all_slots_taken() -> None:
    """With no slot left and nobody to refuse by topology, the allocation fails."""
    small = cluster(SMALL, Policy.NONE, capacity=1)
    await small.admit(container(cpu=None, numa=[1], limits=False), name="first")

    verdict = await small.admit(container(cpu=None, numa=[1], limits=False), name="second")

    assert verdict.message == (
        "Pod was rejected: Allocate failed due to requested number of devices unavailable for"
        " numa-align/numa-1. Requested: 1, Available: 0, which is unexpected"
    )


async def test_plugin_that_fails(small: Cluster) -> None:
    """What a plugin answers to Allocate ends up in the message."""

    class Failing:
        def prefers(self, resource: str) -> bool:
            return False

        async def preferred(self, resource: str, request: object) -> list[str]:
            raise NotImplementedError

        async def allocate(self, resource: str, device_ids: object) -> ContainerAllocation:
            raise PluginFailed("rpc error: code = Unknown desc = no")

        def allocated(self) -> None:
            raise NotImplementedError

    verdict = await admit(small.node, pod(container(numa=[1])), Failing())

    assert (verdict.reason, verdict.message) == (
        "UnexpectedAdmissionError",
        (
            "Pod was rejected: Allocate failed due to rpc error: code = Unknown desc = no,"
            " which is unexpected"
        ),
    )


async def test_not_enough_cpus_without_topology() -> None:
    """Under none it is the CPU Manager that finds that the CPUs do not suffice."""
    small = cluster(SMALL, Policy.NONE)

    verdict = await small.admit(container(cpu="4"))

    assert verdict.message == (
        "Pod was rejected: Allocate failed due to not enough cpus available to satisfy request:"
        " requested=4, available=3, which is unexpected"
    )


async def test_sums_are_checked_after_the_topology(small: Cluster) -> None:
    """A pod that runs in the shared pool is refused when the sums do not allow it."""
    await small.admit(container(cpu="2500m"), name="first")

    verdict = await small.admit(container(cpu="600m"), name="second")

    assert (verdict.reason, verdict.message) == (
        "OutOfcpu",
        (
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 600, used: 2500,"
            " capacity: 3000"
        ),
    )


@pytest.mark.parametrize(
    ("asks", "insufficient"),
    [
        (container(cpu="4"), "1 Insufficient cpu"),
        (container(memory="1Ti"), "1 Insufficient memory"),
        (container(numa=[7]), "1 Insufficient numa-align/numa-7"),
        (container(cpu="9", numa=[7]), "1 Insufficient cpu, 1 Insufficient numa-align/numa-7"),
        (container(numa=[1], slots=101), "1 Insufficient numa-align/numa-1"),
    ],
)
def test_scheduler_keeps_what_does_not_fit(
    small: Cluster, asks: Container, insufficient: str
) -> None:
    """A pod whose sums cannot be met stays Pending, and the scheduler says what is short."""
    verdict = scheduler_verdict(small.node, pod(asks))

    assert verdict is not None
    assert verdict.reason == "Unschedulable"
    assert verdict.message == f"0/1 nodes are available: {insufficient}."


async def test_preferred_devices(small: Cluster) -> None:
    """Where the plugin says what it prefers, it is asked once and gets that."""
    small.plugins.preferring = True

    await small.admit(container(numa=[1], slots=2))

    assert small.plugins.calls == [("numa-align/numa-1", ("numa-1-99", "numa-1-98"))]
    (question,) = small.plugins.questions
    assert (len(question.available), question.must_include, question.size) == (100, (), 2)


async def test_plugin_is_not_asked_where_there_is_no_choice(small: Cluster) -> None:
    """Devices of an init container are used again without asking the plugin for its wishes."""
    small.plugins.preferring = True

    await small.admit(init(numa=[1]), container(numa=[1]))

    assert len(small.plugins.questions) == 1


async def test_memory_of_a_node_is_bound_and_returned(small: Cluster) -> None:
    """Memory beyond what is left on the node is refused, and freed with the pod."""
    assert (await small.admit(container(numa=[1], memory="3Gi"), name="first")).admitted
    verdict = await small.admit(container(cpu="1", numa=[1], memory="1Gi"), name="second")
    assert verdict.reason == "TopologyAffinityError"

    small.node.release(pod(container(numa=[1], memory="3Gi"), name="first"))

    assert (await small.admit(container(numa=[1], memory="1Gi"), name="second")).admitted


EXTEND = "failed to find NUMA nodes to extend the current topology hint"
NOWHERE = "failed to get the default NUMA affinity, no NUMA nodes with enough memory is available"


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        (Policy.NONE, NOWHERE),
        (Policy.BEST_EFFORT, EXTEND),
        (Policy.RESTRICTED, EXTEND),
        (Policy.SINGLE_NUMA_NODE, EXTEND),
    ],
)
async def test_memory_that_fits_on_no_set_of_nodes(
    policy: Policy, scope: Scope, problem: str
) -> None:
    """Nodes used alone form no group: the Topology Manager hears nothing, the allocation fails."""
    server = load_machine(shipped_machines()["two-node-server"])
    config = KubeletConfig(policy, scope)
    two_nodes = cluster(server, policy, scope)
    pods = [
        pod(container(memory=memory, numa=[node]), name=name)
        for name, memory, node in [("a", "100Gi", 0), ("b", "100Gi", 1), ("c", "40Gi", 0)]
    ]

    seen = [await admit(two_nodes.node, each, two_nodes.plugins) for each in pods]

    assert [verdict.reason for verdict in seen] == [None, None, "UnexpectedAdmissionError"]
    assert seen[2].message == (
        f"Pod was rejected: Allocate failed due to [memorymanager] {problem}, which is unexpected"
    )
    assert len(two_nodes.plugins.calls) == 3  # the third pod's was called, too
    resources = tuple(two_nodes.plugins.resources.values())
    ideal = IdealCluster.create(server, config, Offer(resources))
    expected = [await ideal.admit(each) for each in pods]
    assert [differences(*both) for both in zip(expected, seen, strict=True)] == [[], [], []]


CONTAINERS = st.builds(
    container,
    cpu=st.sampled_from(["1", "1", "2", "3", "500m", None]),
    numa=st.sampled_from([[], [0], [1], [0, 1]]),
    memory=st.sampled_from(["128Mi", "128Mi", "1Gi", "5Gi", None]),
    kind=st.sampled_from(ContainerKind),
    limits=st.sampled_from([True, True, True, True, False]),
    slots=st.integers(1, 2),
)


def named(some: tuple[Container, list[Container]]) -> list[Container]:
    """At least one app container, each with its own name, init containers first."""
    containers = [evolve(some[0], kind=ContainerKind.APP), *some[1]]
    ordered = sorted(containers, key=lambda each: each.kind is ContainerKind.APP)
    return [evolve(each, name=f"c{number}") for number, each in enumerate(ordered)]


@given(
    st.sampled_from(Policy),
    st.sampled_from(Scope),
    st.lists(
        st.tuples(st.tuples(CONTAINERS, st.lists(CONTAINERS, max_size=3)).map(named), st.booleans())
    ),
)
def test_any_pods_in_any_order(
    policy: Policy, scope: Scope, wanted: list[tuple[list[Container], bool]]
) -> None:
    """Nothing is given twice, the node that was asked for is the one, and nothing is lost.

    But for memory under the policies that align nothing: there kubelet lets a container onto one
    node of a group, and when the group ends it may free the wrong node's memory.
    """
    small = cluster(machine([0, 1, 2], [3, 4, 5], threads=1), policy, scope, capacity=3)
    before = state(small)
    running: list[Verdict] = []
    for number, (containers, leaves) in enumerate(wanted):
        unchanged = state(small)
        verdict = trio.run(partial(small.admit, *containers, name=f"pod-{number}"))
        if verdict.admitted:
            running.append(verdict)
        else:
            assert state(small) == unchanged
        if policy is Policy.SINGLE_NUMA_NODE:
            check_alignment(verdict)
        check_owners(small, running)
        if leaves and running:
            small.node.release(running.pop(0).pod)
    for verdict in running:
        small.node.release(verdict.pod)
    assert state(small) == before


def state(small: Cluster) -> tuple[object, ...]:
    node = small.node
    if node.config.policy not in ALIGNING:
        return node.cpus.shared, dict(node.devices.allocations), set(node.pods)
    free = {n: node.memory.nodes[n].free("memory") for n in node.numa_nodes}
    groups = {n: node.memory.nodes[n].group for n in node.numa_nodes}
    return node.cpus.shared, dict(node.devices.allocations), free, groups, set(node.pods)


def check_alignment(verdict: Verdict) -> None:
    for placement in verdict.placements:
        for resource in placement.devices:
            asked = int(resource.rpartition("-")[2])
            assert not placement.exclusive or placement.cpus <= {3 * asked + n for n in range(3)}
            assert not placement.memory_bound or placement.memory_nodes == {asked}
            assert placement.environment["NUMA_NODE"] == str(asked)


def check_owners(small: Cluster, running: list[Verdict]) -> None:
    """CPUs and devices have one owner, but for finished init containers of the same pod."""
    cpus = []
    devices = []
    for verdict in running:
        lasting = [p for p in verdict.placements if p.container.kind is not ContainerKind.INIT]
        cpus += [cpu for p in lasting if p.exclusive for cpu in p.cpus]
        devices += [each for p in lasting for ids in p.devices.values() for each in ids]
    assert len(cpus) == len(set(cpus))
    assert not small.node.cpus.shared.intersection(cpus)
    assert len(devices) == len(set(devices))


async def test_memory_of_a_group_may_be_lost() -> None:
    """Kubelet's own fault: a group's memory is freed on its first node, whoever had that.

    Here `b` spans both nodes with memory of node 1 only, and `c` then gets memory of node 0. When
    `b` goes, what `c` has on node 0 counts as free, and what `b` had on node 1 does not, for good.
    """
    small = cluster(machine([0, 1, 2], [3, 4, 5]), Policy.BEST_EFFORT)
    pods = [
        pod(container(memory="5Gi"), name="a"),
        pod(container(), name="b"),
        pod(container(numa=[0]), name="c"),
    ]
    memory = [await admit(small.node, each, small.plugins) for each in pods[:2]]
    small.node.release(pods[0])
    memory.append(await admit(small.node, pods[2], small.plugins))
    assert [v.placements[0].memory_nodes for v in memory] == [{0, 1}, {0, 1}, {0}]

    for each in pods[1:]:
        small.node.release(each)

    node = small.node.memory.nodes
    lost = [node[n].allocatable["memory"] - node[n].free("memory") for n in (0, 1)]
    assert lost == [0, 128 << 20]
