"""The whole end-to-end test against a cluster in memory: what it finds, skips and leaves behind."""

import re

import pytest

from e2e.cluster import CannotTest
from e2e.fake_cluster import FakeCluster
from e2e.fake_faults import Fault
from e2e.fake_node import FakeNode
from e2e.fake_run import TWO_NODES, cluster_of, found, run, run_with
from e2e.report import all_well
from e2e.verdicts import Verdict

OVERFULL = "more pods than fit on a NUMA node"


def test_a_sound_cluster_passes_every_check() -> None:
    """On two nodes with static managers nothing fails and nothing is skipped."""
    results = run(FakeCluster([FakeNode("a", TWO_NODES), FakeNode("b", TWO_NODES)]))
    assert all_well(results)
    assert not found(results, Verdict.SKIPPED)
    checks = {result.check for result in results if result.where == "b"}
    assert {
        "allocatable = capacity",
        "pod on NUMA node 1: CPUs",
        "pod on NUMA node 1: memory",
        "pod on NUMA node 1: environment",
        "two NUMA nodes in one container are refused",
        "init container without the resource is refused",
        "init container with the resource runs",
        "allocatable after kubelet restart",
        "running pod with an init container lives on after kubelet restart",
        "pod on NUMA node 0 after kubelet restart",
        "allocatable after plugin rollout",
        "capacity changed to 7",
        f"{OVERFULL}: none fails",
        f"{OVERFULL}: the surplus waits",
        f"{OVERFULL}: one leaves, one comes in",
    } <= checks


def test_nothing_is_left_behind() -> None:
    """Pods, namespace, and both deployments' objects are gone at the end."""
    fake = FakeCluster([FakeNode("a", TWO_NODES)])
    run(fake)
    assert fake.pods == {}
    assert fake.crowds == {}
    assert fake.applied == {}


@pytest.mark.parametrize(
    ("fault", "failing"),
    [
        (Fault.OTHER_CPUS, "pod on NUMA node 0: CPUs"),
        (Fault.NOTHING_REFUSED, "two NUMA nodes in one container are refused"),
        (Fault.NOTHING_REFUSED, "init container without the resource is refused"),
        (Fault.NO_RESTART, "kubelet restart"),
        (Fault.LOST_BY_KUBELET_RESTART, "allocatable after kubelet restart"),
        (Fault.LOST_BY_KUBELET_RESTART, "pod on NUMA node 0 after kubelet restart"),
        (
            Fault.LATE_AFTER_KUBELET_RESTART,
            "running pod with an init container lives on after kubelet restart",
        ),
        (Fault.LOST_BY_ROLLOUT, "allocatable after plugin rollout"),
        (Fault.FULL_NODE_KILLS, f"{OVERFULL}: none fails"),
        (Fault.WAITS_FOR_OTHER, f"{OVERFULL}: the surplus waits"),
        (Fault.NOBODY_COMES_IN, f"{OVERFULL}: one leaves, one comes in"),
    ],
)
def test_a_fault_fails_its_check(fault: Fault, failing: str) -> None:
    """Each check can fail, and the run with it."""
    results = run_with(fault)
    assert failing in found(results, Verdict.FAILED)
    assert not all_well(results)


def test_policies_that_are_off_are_named_in_what_is_skipped() -> None:
    """With kubelet's defaults only what does not depend on alignment is checked."""
    node = FakeNode("a", TWO_NODES, topology="none", cpu="none", memory="None")
    results = run(FakeCluster([node]))
    skipped = found(results, Verdict.SKIPPED)
    assert "cpuManagerPolicy is none" in skipped["pod on NUMA node 0: CPUs"]
    assert "memoryManagerPolicy is None" in skipped["pod on NUMA node 0: memory"]
    assert "topologyManagerPolicy" in skipped["two NUMA nodes in one container are refused"]
    assert "topologyManagerPolicy" in skipped["init container without the resource is refused"]
    assert "pod on NUMA node 0: environment" in found(results, Verdict.PASSED)
    assert not found(results, Verdict.FAILED)


def test_without_counting_the_surplus_is_not_checked() -> None:
    """Where no counted resource is advertised the table says why."""
    fake = FakeCluster([FakeNode("a", TWO_NODES)])
    skipped = found(run(fake, components=("near",)), Verdict.SKIPPED)
    assert "NUMA_COUNTED is not set" in skipped[OVERFULL]
    kubelet = FakeNode("a", TWO_NODES, cpu="none")
    skipped = found(run(FakeCluster([kubelet])), Verdict.SKIPPED)
    assert "cpuManagerPolicy is none" in skipped[OVERFULL]


def test_a_machine_that_is_full_before_its_numa_node_is_skipped() -> None:
    """Pods that wait for CPUs of the whole machine say nothing about counting."""
    results = run_with(Fault.MACHINE_FULL)
    assert "Insufficient cpu" in found(results, Verdict.SKIPPED)[f"{OVERFULL}: the surplus waits"]
    assert all_well(results)


def test_dead_pods_are_counted_and_quoted() -> None:
    """The figure of a cluster without counting: dead pods by the dozen, and kubelet's reason."""
    failed = found(run_with(Fault.FULL_NODE_KILLS), Verdict.FAILED)
    seen = failed[f"{OVERFULL}: none fails"]
    assert re.match(r"\d+ of \d+ pods Failed, as Failed: TopologyAffinityError", seen)


@pytest.mark.parametrize(
    ("cpus", "room"), [(1, 1), (2, 2), (3, 3), (5, 2), (7, 3), (10, 2), (64, 2), (65, 2)]
)
def test_a_few_pods_fill_a_numa_node_of_any_size(cpus: int, room: int) -> None:
    """Fewer than there are, whatever the size; whole cores where two CPUs share one."""
    numa_nodes = {0: frozenset({0}), 1: frozenset(range(1, cpus + 1))}
    seen = found(run(FakeCluster([FakeNode("a", numa_nodes)])), Verdict.PASSED)
    assert f"{room} of {room} run, {5 - room} wait" in seen[f"{OVERFULL}: the surplus waits"]


def test_a_machine_with_one_numa_node_cannot_ask_for_two() -> None:
    """A single-node machine (kind on a laptop) is tested for all the rest."""
    skipped = found(run(FakeCluster([FakeNode("a", {0: frozenset({0})})])), Verdict.SKIPPED)
    assert "only one NUMA node" in skipped["two NUMA nodes in one container are refused"]


def test_a_node_without_cpus_has_no_slots_and_gets_no_pod() -> None:
    """Memory-only nodes are not advertised, and the test does not expect them to be."""
    fake = FakeCluster([FakeNode("a", {**TWO_NODES, 2: frozenset()})])
    results = run(fake)
    assert all_well(results)
    assert not [result for result in results if "NUMA node 2" in result.check]


def test_a_denial_by_policy_is_a_refusal() -> None:
    """With the admission policies the API server says no before kubelet does."""
    fake = FakeCluster([FakeNode("a", TWO_NODES)], denies={"init": "denied: NA004 first init …"})
    results = run(fake)
    assert "init container without the resource is refused" in found(results, Verdict.PASSED)


def test_a_denial_for_another_reason_is_a_failure() -> None:
    """A pod that a quota keeps out says nothing about the policies."""
    fake = FakeCluster([FakeNode("a", TWO_NODES)], denies={"init": "exceeded quota"})
    failed = found(run(fake), Verdict.FAILED)
    assert "exceeded quota" in failed["init container without the resource is refused"]


def test_a_full_node_is_skipped_with_the_schedulers_words() -> None:
    """Where there is no CPU left the plugin is not to blame."""
    results = run_with(Fault.NO_ROOM)
    skipped = found(results, Verdict.SKIPPED)
    assert "Insufficient cpu" in skipped["pod on NUMA node 0"]
    kept = skipped["running pod with an init container lives on after kubelet restart"]
    assert "it did not run before: no room" in kept


def test_a_host_without_a_kubelet_service_is_skipped() -> None:
    """Talos has no systemd: kubelet is not restarted there, and the table says so."""
    results = run(FakeCluster([FakeNode("a", TWO_NODES, service="")]))
    assert "none of these systemd services" in found(results, Verdict.SKIPPED)["kubelet restart"]


def test_a_cluster_node_without_the_plugin_is_named() -> None:
    """A node that the DaemonSet does not reach appears in the table."""
    nodes = [FakeNode("a", TWO_NODES), FakeNode("windows", TWO_NODES, plugin_runs=False)]
    results = run(FakeCluster(nodes))
    assert [r.where for r in results if r.finding.verdict is Verdict.SKIPPED] == ["windows"]


def test_a_deployment_of_somebody_elses_is_left_alone() -> None:
    """Where the plugin is deployed already, nothing is created, changed or deleted."""
    fake = FakeCluster([FakeNode("a", TWO_NODES)])
    cluster_of(fake).deploy(100)
    before = dict(fake.applied)
    with pytest.raises(CannotTest, match="deployed here already"):
        cluster_of(fake).prepare()
    assert fake.applied == before


def test_a_rollout_that_fails_says_how_the_pods_are() -> None:
    """The message has kubectl's words and the state of each pod, and all is cleaned up."""
    fake = FakeCluster([FakeNode("a", TWO_NODES)], faults=frozenset({Fault.NO_ROLLOUT}))
    with pytest.raises(CannotTest, match=r"timed out.*a-1 Running"):
        run(fake)
    assert fake.applied == {}
