"""What the end-to-end test finds on nodes whose host runs the plugin."""

import pytest

from e2e.fake_cluster import FakeCluster
from e2e.fake_faults import Fault
from e2e.fake_node import FakeNode
from e2e.fake_run import TWO_NODES, found, run
from e2e.report import Result, all_well
from e2e.verdicts import Verdict

LEFT_OUT = "host service: the DaemonSet leaves the node out"
SLOTS = "host service: allocatable = capacity"
POD = "host service: pod on NUMA node 1"


def run_beside_another(*faults: Fault) -> list[Result]:
    """On one node with a pod of the DaemonSet, and one with the label."""
    nodes = [FakeNode("a", TWO_NODES), FakeNode("b", TWO_NODES, host_service=True)]
    results = run(FakeCluster(nodes, faults=frozenset(faults)))
    return [result for result in results if result.where in {"b", "cluster"}]


def test_a_node_with_the_label_is_served_by_its_host() -> None:
    """Its slots are there without a pod of the DaemonSet, and a pod gets its NUMA node."""
    results = run_beside_another()
    assert all_well(results)
    passed = found(results, Verdict.PASSED)
    assert passed[LEFT_OUT] == "no pod of the plugin runs here"
    assert passed[SLOTS] == "numa-0: 40, numa-1: 40"
    assert passed[POD] == "NUMA_NODE=1"
    assert not found(results, Verdict.SKIPPED)


@pytest.mark.parametrize(
    ("fault", "failing"),
    [(Fault.LABEL_IGNORED, LEFT_OUT), (Fault.NO_HOST_SERVICE, SLOTS)],
)
def test_a_fault_fails_its_check(fault: Fault, failing: str) -> None:
    """A DaemonSet that does not leave the node out, and a host without the service."""
    assert failing in found(run_beside_another(fault), Verdict.FAILED)
