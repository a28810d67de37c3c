"""Where a container goes: on its nodes, and never on more than it was given."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.runtime.messages import CpuSet
from numa_trio.runtime.outcome import Outcome
from numa_trio.runtime.placement import Aspects, Place, Placement, place
from numa_trio.topology.lists import format_list, parse_list
from numa_trio.topology.machine import Machine, NumaNode

NODE_1 = Place(frozenset({2, 3}), frozenset({1}))
ALL = Aspects()

NUMBERS = st.frozensets(st.integers(0, 9))
PLACES = st.builds(Place, NUMBERS, NUMBERS)
ASPECTS = st.builds(Aspects, st.booleans(), st.booleans(), st.booleans())


def listed(cpus: Iterable[int], mems: Iterable[int]) -> CpuSet:
    return CpuSet(format_list(cpus), format_list(mems))


@pytest.mark.parametrize(
    ("asked", "outcome", "cpu_set"),
    [
        (CpuSet(), Outcome.PINNED, CpuSet("2-3", "1")),  # kubelet without static managers
        (CpuSet("0-3", ""), Outcome.PINNED, CpuSet("2-3", "1")),  # the shared pool
        (CpuSet("1-2", ""), Outcome.PINNED, CpuSet("2", "1")),
        (CpuSet("2", ""), Outcome.PINNED, CpuSet("", "1")),  # an exclusive CPU
        (CpuSet("2", "1"), Outcome.UNCHANGED, CpuSet()),  # both static managers
        (CpuSet("2,3", "0-1"), Outcome.PINNED, CpuSet("", "1")),
        (CpuSet("0-1", ""), Outcome.ELSEWHERE, CpuSet("", "1")),
        (CpuSet("0-1", "0"), Outcome.ELSEWHERE, CpuSet()),
        (CpuSet("2-3", "nonsense"), Outcome.ELSEWHERE, CpuSet()),
    ],
)
def test_within_what_was_asked(asked: CpuSet, outcome: Outcome, cpu_set: CpuSet) -> None:
    """All of the node if nothing was asked for; else what of it was; else as asked."""
    placement = place(NODE_1, asked, ALL)
    assert (placement.outcome, placement.cpu_set) == (outcome, cpu_set)
    assert bool(placement.why) == (outcome is Outcome.ELSEWHERE)


@given(here=PLACES, cpus=NUMBERS, mems=NUMBERS, aspects=ASPECTS)
def test_never_wider_than_asked(
    here: Place, cpus: frozenset[int], mems: frozenset[int], aspects: Aspects
) -> None:
    """What is set is of the node, of what was asked for, and not what is so already."""
    placement = place(here, listed(cpus, mems), aspects)
    for to_set, asked, own in (
        (parse_list(placement.cpu_set.cpus), cpus, here.cpus),
        (parse_list(placement.cpu_set.mems), mems, here.memory_nodes),
    ):
        assert to_set <= own
        if asked and to_set:
            assert to_set < asked
    assert bool(placement.cpu_set) <= (placement.outcome in (Outcome.PINNED, Outcome.ELSEWHERE))


@given(here=PLACES, cpus=NUMBERS, mems=NUMBERS, aspects=ASPECTS)
def test_once_is_enough(
    here: Place, cpus: frozenset[int], mems: frozenset[int], aspects: Aspects
) -> None:
    """A second instance of ours finds nothing to set: so the two are in nobody's way."""
    asked = listed(cpus, mems)
    first = place(here, asked, aspects).cpu_set
    after = CpuSet(first.cpus or asked.cpus, first.mems or asked.mems)
    assert place(here, after, aspects).cpu_set == CpuSet()


@pytest.mark.parametrize(
    ("aspects", "placement"),
    [
        (Aspects(cpus=False), Placement(Outcome.PINNED, CpuSet("", "1"))),
        (Aspects(mems=False), Placement(Outcome.PINNED, CpuSet("2-3", ""))),
        (Aspects(prefer=True), Placement(Outcome.PINNED, CpuSet("2-3", ""), (1,))),
        (Aspects(cpus=False, prefer=True), Placement(Outcome.PINNED, CpuSet(), (1,))),
    ],
)
def test_only_what_is_to_be_set(aspects: Aspects, placement: Placement) -> None:
    """Memory alone; or memory as a preference, which is no cpuset."""
    assert place(NODE_1, CpuSet(), aspects) == placement


def test_several_nodes_are_bound_where_the_kernel_cannot_prefer_them() -> None:
    """Before Linux 5.15 the container's processes would not start."""
    old = Aspects(prefer=True, prefer_several=False)
    both = Place(frozenset({0, 1, 2, 3}), frozenset({0, 1}))
    assert place(both, CpuSet(), old) == Placement(Outcome.PINNED, CpuSet("0-3", "0-1"))
    assert place(NODE_1, CpuSet(), old).preferred == (1,)


def test_memory_that_kubelet_has_bound_is_not_preferred_besides() -> None:
    """Its Static Memory Manager has said where memory comes from."""
    assert place(NODE_1, CpuSet("2", "1"), Aspects(prefer=True)).preferred == ()


@pytest.mark.parametrize(
    ("here", "cpu_set"),
    [
        (Place(frozenset(), frozenset({2})), CpuSet("", "2")),  # memory only, such as CXL
        (Place(frozenset({4, 5}), frozenset()), CpuSet("4-5", "")),
    ],
)
def test_a_node_without_cpus_or_memory_pins_the_other_half(here: Place, cpu_set: CpuSet) -> None:
    """A cpuset that is empty or cannot be would make the container's start fail."""
    assert place(here, CpuSet(), ALL) == Placement(Outcome.PINNED, cpu_set)


def test_a_node_that_has_neither_pins_nothing() -> None:
    """It is offline, or gone."""
    placement = place(Place(), CpuSet(), ALL)
    assert (placement.outcome, placement.cpu_set) == (Outcome.IMPOSSIBLE, CpuSet())
    assert placement.why


def test_several_nodes_have_what_they_have_together() -> None:
    """A device may be near any of several nodes; one of them may be offline."""
    machine = Machine(
        (
            NumaNode(0, frozenset({0, 1}), memory_bytes=1 << 30),
            NumaNode(1, frozenset({2, 3}), memory_bytes=0),
            NumaNode(2, frozenset(), memory_bytes=1 << 30),
        )
    )
    assert Place.of(machine, {0, 1, 2, 7}) == Place(frozenset({0, 1, 2, 3}), frozenset({0, 2}))
