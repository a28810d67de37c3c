"""Which nodes become resources."""

import pytest

from numa_trio.plugin.advertising import CpulessNodes, advertise
from numa_trio.topology.machine import Machine, NumaNode

GPU_MACHINE = Machine(
    (
        NumaNode(0, frozenset({0, 1}), memory_bytes=2**30),
        NumaNode(8, frozenset({2, 3}), memory_bytes=0),
        NumaNode(50, memory_bytes=2**30),
        NumaNode(51),
    )
)


def test_nodes_without_cpus_are_skipped_with_a_reason() -> None:
    """The reason names what is missing and the setting that would offer the node nonetheless."""
    verdicts = advertise(GPU_MACHINE, CpulessNodes.SKIP)
    assert [verdict.node for verdict in verdicts] == list(GPU_MACHINE.nodes)
    assert [verdict.advertised for verdict in verdicts] == [True, True, False, False]
    assert [verdict.reason for verdict in verdicts[:2]] == [None, None]
    for verdict in verdicts[2:]:
        assert verdict.reason is not None
        assert "no online CPUs" in verdict.reason
        assert "NUMA_CPULESS_NODES=advertise" in verdict.reason


def test_every_node_is_advertised_where_that_is_asked_for() -> None:
    """With `advertise` a node without CPUs is a resource like any other."""
    verdicts = advertise(GPU_MACHINE, CpulessNodes.ADVERTISE)
    assert [(verdict.advertised, verdict.reason) for verdict in verdicts] == [(True, None)] * 4


@pytest.mark.parametrize("policy", CpulessNodes)
def test_a_node_without_memory_is_advertised(policy: CpulessNodes) -> None:
    """CPUs can be pinned to a node that has no memory of its own."""
    (verdict,) = advertise(Machine((NumaNode(1, frozenset({0}), memory_bytes=0),)), policy)
    assert verdict.advertised


@pytest.mark.parametrize("policy", CpulessNodes)
def test_nodes_that_kubelet_cannot_count_to_are_not_advertised(policy: CpulessNodes) -> None:
    """Kubelet's masks of NUMA nodes have 64 bits; the reason says so, and what else is missing."""
    nodes = (
        NumaNode(63, frozenset({0})),
        NumaNode(64, frozenset({1})),
        NumaNode(250, memory_bytes=2**30),
    )
    last, beyond, memory_only = advertise(Machine(nodes), policy)
    assert (last.node, beyond.node, memory_only.node) == nodes
    assert last.advertised
    assert beyond.reason is not None
    assert beyond.reason.startswith("kubelet knows NUMA nodes 0 to 63 only")
    assert memory_only.reason is not None
    assert "0 to 63 only" in memory_only.reason
    assert ("no online CPUs" in memory_only.reason) is (policy is CpulessNodes.SKIP)
    assert "NUMA_CPULESS_NODES" not in memory_only.reason  # it would not help


def test_a_node_of_unknown_cpus_is_not_advertised_for_the_time_being() -> None:
    """The verdict is uncertain; where CPUs decide nothing, there is no doubt."""
    machine = Machine((NumaNode(0, cpus_known=False),))
    (doubtful,) = advertise(machine, CpulessNodes.SKIP)
    assert doubtful.reason == "the file that lists its CPUs cannot be read"
    assert not doubtful.certain
    (offered,) = advertise(machine, CpulessNodes.ADVERTISE)
    assert offered.advertised
    assert offered.certain
