"""How the static Memory Manager binds memory to NUMA nodes."""

from fractions import Fraction

import pytest
from attrs import evolve

from numa_trio.simulator.hints import Hint
from numa_trio.simulator.memory import MemoryManager, NoMemory
from numa_trio.workloads.pod import Container, ContainerKind, Pod, Resources
from simulated import container, pod

ANY = Hint(None, preferred=False)
MIB = 1 << 20


def manager(*mebibytes: int) -> MemoryManager:
    return MemoryManager.of(
        {node: {"memory": Fraction(size * MIB)} for node, size in enumerate(mebibytes)}
    )


def single(mebibytes: int, name: str = "pod") -> tuple[Pod, Container]:
    app = container(memory=f"{mebibytes}Mi")
    return pod(app, name=name), app


def hinted(memory: MemoryManager, mebibytes: int, name: str = "pod") -> list[tuple[set[int], bool]]:
    hints = memory.hints(*single(mebibytes, name))["memory"]
    assert hints is not None
    return [(set(hint.nodes or ()), hint.preferred) for hint in hints]


def test_memory_that_fits_nowhere_has_no_hints() -> None:
    """Where no nodes will do, there is no entry at all: to the Topology Manager, no preference."""
    memory = manager(100, 100)
    large, app = single(300)

    assert memory.hints(large, app) == {}
    assert memory.pod_hints(large) == {}


def test_hints_are_nodes_with_enough_memory() -> None:
    """Where one node suffices it is preferred; others are possible."""
    assert hinted(manager(100, 200), 150) == [({1}, True), ({0, 1}, False)]


def test_node_used_alone_is_not_used_in_a_group() -> None:
    """A node that serves a container alone cannot serve one that spans nodes."""
    memory = manager(100, 100, 100)
    memory.allocate(*single(10, "first"), Hint(frozenset({0}), True))

    assert hinted(memory, 150) == [({1, 2}, True)]


def test_node_used_in_a_group_is_not_used_alone() -> None:
    """A node that serves a group serves only containers that span the same group."""
    memory = manager(100, 100, 100)
    memory.allocate(*single(150, "first"), Hint(frozenset({0, 1}), True))

    assert hinted(memory, 40) == [({2}, True), ({0, 1}, False)]


def test_without_a_hint_the_best_nodes_are_taken() -> None:
    """With no hint from the Topology Manager the preferred and narrowest nodes are bound."""
    memory = manager(100, 200)
    small, app = single(150)
    memory.allocate(small, app, ANY)

    assert memory.nodes_of(small, app) == {1}


def test_hint_that_is_too_small_is_extended() -> None:
    """Nodes of a hint that cannot hold the memory get others beside them."""
    memory = manager(100, 100)
    large, app = single(150)
    memory.allocate(large, app, Hint(frozenset({1}), preferred=False))

    assert memory.nodes_of(large, app) == {0, 1}


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        (ANY, "failed to get the default NUMA affinity"),
        (Hint(frozenset({0}), True), "failed to find NUMA nodes to extend"),
    ],
)
def test_no_memory(hint: Hint, message: str) -> None:
    """Where no nodes will do, the words are kubelet's."""
    with pytest.raises(NoMemory, match=message):
        manager(100, 100).allocate(*single(300), hint)


def test_preferred_hint_is_not_extended_to_one_that_is_not() -> None:
    """A pod that was promised the best nodes is refused rather than given others."""
    memory = manager(100, 100)
    memory.allocate(*single(80, "first"), Hint(frozenset({0}), True))

    with pytest.raises(NoMemory, match="failed to find NUMA nodes to extend"):
        memory.allocate(*single(50, "second"), Hint(frozenset({0}), True))


def test_memory_of_init_containers_is_used_again() -> None:
    """An app gets the memory of the init container, as far as it is on the same nodes."""
    memory = manager(100, 100)
    first = container("init", memory="90Mi", kind=ContainerKind.INIT)
    app = container(memory="95Mi")
    both = pod(first, app)
    memory.allocate(both, first, Hint(frozenset({0}), True))

    memory.allocate(both, app, Hint(frozenset({0}), True))

    assert memory.nodes_of(both, app) == {0}
    assert hinted(memory, 5, "other")[0] == ({0}, True)
    assert hinted(memory, 6, "other")[0] == ({1}, True)


def test_init_containers_use_the_same_memory_one_after_the_other() -> None:
    """Two init containers leave behind the larger of their amounts, not the sum."""
    memory = manager(100)
    inits = [container(name, memory="40Mi", kind=ContainerKind.INIT) for name in ("a", "b")]
    app = container(memory="60Mi")
    three = pod(*inits, app)
    for each in three.containers:
        memory.allocate(three, each, Hint(frozenset({0}), True))

    assert hinted(memory, 40, "other") == [({0}, True)]
    assert memory.hints(*single(41, "other")) == {}


def test_burstable_pods_are_not_bound() -> None:
    """Only Guaranteed pods have their memory bound."""
    app = container(limits=False)

    assert manager(100).hints(pod(app), app) == {}


def test_fractional_bytes_cannot_be_bound() -> None:
    """`memory: 0.3Gi` gives no hint, and then the allocation fails in kubelet's words."""
    memory = manager(1000)
    app = container(memory="0.3Gi")
    alone = pod(app)

    assert (memory.hints(alone, app), memory.pod_hints(alone)) == ({}, {})
    with pytest.raises(NoMemory, match="failed to represent quantity as int64"):
        memory.allocate(alone, app, ANY)


def test_latest_block_decides_about_the_group() -> None:
    """A container on one node of a group ends the group there, until nobody uses the node."""
    memory = manager(100, 100)
    spanning, small = single(110, "spanning"), single(5, "small")
    memory.allocate(*spanning, Hint(frozenset({0, 1}), True))
    assert hinted(memory, 5, "other") == [({0, 1}, False)]

    memory.allocate(*small, Hint(frozenset({1}), True))

    assert hinted(memory, 5, "other") == [({1}, True)]
    memory.release(spanning[0])
    assert hinted(memory, 5, "other") == [({0}, True), ({1}, True)]
    memory.release(small[0])
    assert hinted(memory, 5, "other") == [({0}, True), ({1}, True), ({0, 1}, False)]


def test_pod_scope_counts_only_what_apps_name() -> None:
    """Huge pages that only an init container asks for are not among the hints of the pod."""
    memory = MemoryManager.of({0: {"memory": Fraction(100 * MIB), "hugepages-2Mi": Fraction()}})
    app = container(memory="10Mi")
    pages = {"hugepages-2Mi": Fraction(2 * MIB)}
    first = container("init", memory="50Mi", kind=ContainerKind.INIT)
    first = evolve(
        first,
        resources=Resources(
            *(dict(r) | pages for r in (first.resources.requests, first.resources.limits))
        ),
    )

    found = memory.pod_hints(pod(first, app))

    assert {name: [set(h.nodes or ()) for h in hints or ()] for name, hints in found.items()} == {
        "memory": [{0}]
    }


def test_memory_of_ended_init_containers_is_free() -> None:
    """Once the apps run, others may have what init containers had and the apps do not use."""
    memory = manager(100)
    first, app = container("init", memory="90Mi", kind=ContainerKind.INIT), container(memory="20Mi")
    both = pod(first, app)
    for each in both.containers:
        memory.allocate(both, each, Hint(frozenset({0}), True))
    assert memory.hints(*single(11, "other")) == {}

    memory.free_init_containers(both)

    assert hinted(memory, 80, "other") == [({0}, True)]
    assert memory.hints(*single(81, "other")) == {}
    assert memory.nodes_of(both, app) == {0}
