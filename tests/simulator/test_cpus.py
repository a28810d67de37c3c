"""Which CPUs the static CPU Manager takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.simulator.cpus import Cpu, CpuManager, NotEnoughCpus, take
from numa_trio.workloads.pod import Pod
from simulated import container, init, machine, pod

# Machines of Kubernetes' own tests: siblings lie far apart; on two sockets the CPUs alternate.
ONE_SOCKET = tuple(Cpu(cpu, node=0, socket=0, core=cpu % 4) for cpu in range(8))
TWO_SOCKETS = tuple(Cpu(cpu, node=cpu % 2, socket=cpu % 2, core=cpu % 6) for cpu in range(12))
# One socket with two NUMA nodes in it.
TWO_NODES_A_SOCKET = tuple(Cpu(cpu, node=cpu // 2, socket=cpu // 4, core=cpu) for cpu in range(8))
ALL = frozenset(range(12))


@pytest.mark.parametrize(
    ("cpus", "available", "count", "taken"),
    [
        (ONE_SOCKET, {0, 1, 2, 3, 4, 5, 6, 7}, 1, {0}),
        (ONE_SOCKET, {1, 3, 5, 6, 7}, 1, {6}),  # its sibling is taken: fill the core
        (ONE_SOCKET, {0, 1, 2, 3, 4, 5, 6, 7}, 2, {0, 4}),  # a whole core
        (ONE_SOCKET, {0, 1, 2, 3, 6}, 2, {2, 6}),  # the only whole core
        (TWO_SOCKETS, ALL - {0, 6}, 1, {2}),  # the socket with fewer free CPUs
        (TWO_SOCKETS, ALL, 6, {0, 2, 4, 6, 8, 10}),  # a whole socket
        (TWO_SOCKETS, ALL, 8, {0, 2, 4, 6, 8, 10, 1, 7}),  # a socket and a core
        (TWO_NODES_A_SOCKET, {0, 1, 2, 3, 4, 5, 6, 7}, 4, {0, 1, 2, 3}),  # the socket
        (TWO_NODES_A_SOCKET, {1, 2, 3, 4, 5, 6, 7}, 2, {2, 3}),  # a node of the fuller socket
        (TWO_NODES_A_SOCKET, {0, 1, 2, 3}, 0, set()),
    ],
)
def test_takes_what_lies_together(
    cpus: tuple[Cpu, ...], available: set[int], count: int, taken: set[int]
) -> None:
    """Sockets, nodes and cores are taken whole where possible, else the fullest are filled."""
    assert take(cpus, frozenset(available), count) == taken


def test_not_enough() -> None:
    """More CPUs than there are cannot be taken; the words are kubelet's."""
    with pytest.raises(NotEnoughCpus, match="requested=3, available=2"):
        take(ONE_SOCKET, frozenset({0, 1}), 3)


def test_reserves_from_the_lowest_core_up() -> None:
    """Reserved CPUs are siblings of the lowest cores, as Kubernetes documents it."""
    assert CpuManager.reserving(ONE_SOCKET, 2).reserved == {0, 4}


@given(st.frozensets(st.integers(0, 11)), st.data())
def test_takes_as_many_as_asked_of_those_available(
    available: frozenset[int], data: st.DataObject
) -> None:
    """Whatever is free, the right number of CPUs is taken, and of the free ones only."""
    count = data.draw(st.integers(0, len(available)))

    taken = take(TWO_SOCKETS, available, count)

    assert taken <= available
    assert len(taken) == count


def test_reuses_cpus_of_init_containers() -> None:
    """Later containers get the CPUs of the init container; hints must include them."""
    manager = CpuManager.reserving(machine([0, 1, 2, 3], [4, 5, 6, 7]).cpus, 1)
    first, second = init(cpu="2"), container(cpu="3")
    both = pod(first, second)
    manager.allocate(both, first, frozenset({1}))

    (hints,) = manager.hints(both, second).values()
    assert hints is not None
    assert [set(hint.nodes or ()) for hint in hints] == [{1}, {0, 1}]

    manager.allocate(both, second, frozenset({1}))
    assert manager.exclusive(both, first) < manager.exclusive(both, second) == {4, 5, 6}


def test_reused_cpus_have_one_new_owner() -> None:
    """What one container took over from the init container is not given to the next."""
    manager = CpuManager.reserving(machine([0, 1, 2, 3]).cpus, 1)
    both = pod(init(), container("a"), container("b"))

    for each in both.containers:
        manager.allocate(both, each, None)

    own = [manager.exclusive(both, each) for each in both.containers]
    assert own == [{1}, {1}, {2}]


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=8))
def test_pods_never_share_exclusive_cpus(wanted: list[tuple[int, bool]]) -> None:
    """However pods come and go, each exclusive CPU has one owner, and none is lost."""
    manager = CpuManager.reserving(TWO_SOCKETS, 1)
    pods: list[Pod] = []
    for number, (count, leaves) in enumerate(wanted):
        new = pod(container(cpu=str(count)), name=f"pod-{number}")
        try:
            manager.allocate(new, new.containers[0], None)
            pods.append(new)
        except NotEnoughCpus:
            pass
        if leaves and pods:
            manager.release(pods.pop(0))

        owned = [manager.exclusive(each, each.containers[0]) for each in pods]
        assert sum(map(len, owned)) + len(manager.shared) == len(TWO_SOCKETS)
        assert manager.shared.union(*owned) == ALL
        assert manager.reserved <= manager.shared
