"""Which nodes become resources."""

import pytest

from numa_trio.plugin.advertising import advertise
from numa_trio.settings import CpulessNodes
from numa_trio.topology.machine import Machine, NumaNode

GPU_MACHINE = Machine(
    (
        NumaNode(0, frozenset({0, 1}), memory_bytes=2**30),
        NumaNode(8, frozenset({2, 3}), memory_bytes=0),
        NumaNode(250, memory_bytes=2**30),
        NumaNode(251),
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
