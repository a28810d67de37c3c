"""What a container must get that asks for resources near NUMA nodes."""

from collections.abc import Mapping, Sequence

import pytest

from numa_trio.plugin.resource import NumaResource
from numa_trio.simulator.admission import Verdict
from numa_trio.simulator.builtin_pods import builtin_pods
from numa_trio.simulator.expectation import broken_promises
from numa_trio.simulator.ideal import Offer
from numa_trio.simulator.node import Placement
from numa_trio.workloads.pod import Container, Pod, Resources
from numa_trio.workloads.quantity import parse_quantity
from simulated import machine

NODES = machine([0, 1], [2, 3], [4, 5])
SLOTS = [NumaResource.of_node(node, 10) for node in range(3)]
CPUS_1 = NumaResource("numa-1-cpu", (1,), 2)
NEAR = NumaResource("near-data", (0, 1), 10)
NOWHERE = NumaResource("near-net", (), 10)
RESOURCES = [*SLOTS, CPUS_1, NEAR, NOWHERE]


def complaints(
    asked: Sequence[NumaResource],
    cpus: set[int],
    memory_nodes: set[int],
    environment: Mapping[str, str],
) -> list[str]:
    amounts = {
        "cpu": parse_quantity(len(cpus)),
        "memory": parse_quantity("64Mi"),
        **{each.name: parse_quantity(1) for each in asked},
    }
    container = Container("app", Resources(amounts, amounts))
    placement = Placement(
        container, frozenset(cpus), True, frozenset(memory_nodes), True, {}, environment
    )
    return broken_promises(NODES, RESOURCES, Verdict(Pod("p", (container,)), (placement,)))


@pytest.mark.parametrize(
    ("asked", "cpus", "variable"),
    [
        ([SLOTS[1]], {2, 3}, "1"),
        ([CPUS_1], {3}, "1"),
        ([NEAR], {0}, "0-1"),
        ([NEAR], {1, 2}, "0-1"),
        ([NEAR, SLOTS[1]], {2}, "1"),
        ([NEAR, SLOTS[1]], {2}, "0-1"),
        ([SLOTS[0], SLOTS[2]], {0, 4}, "2"),
        ([NEAR, NOWHERE], {1}, "0-1"),
    ],
)
def test_kept_promises(asked: list[NumaResource], cpus: set[int], variable: str) -> None:
    """Any node that suits all that is asked for will do; where none does, any of theirs."""
    memory_nodes = {cpu // 2 for cpu in cpus}
    assert complaints(asked, cpus, memory_nodes, {"NUMA_NODE": variable}) == []


@pytest.mark.parametrize(
    ("asked", "cpus", "variable", "problem"),
    [
        ([CPUS_1], {2}, "0", "node 1, but NUMA_NODE is 0"),
        ([NEAR], {2}, "1", "node 0-1, but NUMA_NODE is 1"),
        ([NEAR], {1, 4}, "0-1", "node 0-1, but its CPUs 4 are elsewhere"),
        ([NEAR, SLOTS[1]], {0}, "1", "node 1, but its CPUs 0 are elsewhere"),
        ([NEAR, SLOTS[2]], {2}, "2", None),
    ],
)
def test_broken_promises(
    asked: list[NumaResource], cpus: set[int], variable: str, problem: str | None
) -> None:
    """The sentence names the nodes that would have done."""
    found = complaints(asked, cpus, {1}, {"NUMA_NODE": variable})
    expected = [f"p/app asks for {problem}"] if problem else []
    assert [each for each in found if "memory" not in each] == expected


def test_memory_elsewhere() -> None:
    """It is bound to nodes that suit, if it is bound."""
    assert complaints([NEAR], {0}, {0, 2}, {"NUMA_NODE": "0-1"}) == [
        "p/app asks for node 0-1, but its memory is on node 2"
    ]


def test_without_a_node_nothing_is_promised() -> None:
    """Neither a variable nor a place."""
    assert complaints([NOWHERE], {0, 4}, {2}, {}) == []
    assert complaints([], {0, 4}, {2}, {}) == []


def test_there_is_a_builtin_pod_for_each_resource() -> None:
    """And one for two nodes only where the first and the last have none in common."""
    names = [pod.name for pod in builtin_pods(NODES, Offer((SLOTS[0], CPUS_1)))]
    assert names[:2] == ["on-numa-0", "on-numa-1-cpu"]
    assert "two-nodes" in names
    assert "two-nodes" not in [pod.name for pod in builtin_pods(NODES, Offer((SLOTS[0], NEAR)))]
