"""Which CPUs the static CPU Manager takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.simulator.cpu_policy import CpuManager, SmtAlignmentError
from numa_trio.simulator.cpus import Cpu, NotEnoughCpus, take
from numa_trio.simulator.hints import Hint
from numa_trio.workloads.pod import Pod
from simulated import container, init, machine, pod

# Machines of Kubernetes' own tests: siblings lie far apart; on two sockets the CPUs alternate.
ONE_SOCKET = tuple(Cpu(cpu, node=0, socket=0, core=cpu % 4) for cpu in range(8))
TWO_SOCKETS = tuple(Cpu(cpu, node=cpu % 2, socket=cpu % 2, core=cpu % 6) for cpu in range(12))
# One socket with two NUMA nodes in it.
TWO_NODES_A_SOCKET = tuple(Cpu(cpu, node=cpu // 2, socket=cpu // 4, core=cpu) for cpu in range(8))
ALL = frozenset(range(12))
ANY = Hint(None, preferred=False)


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
    manager.allocate(both, first, Hint(frozenset({1}), True))

    (hints,) = manager.hints(both, second).values()
    assert hints is not None
    assert [set(hint.nodes or ()) for hint in hints] == [{1}, {0, 1}]

    manager.allocate(both, second, Hint(frozenset({1}), True))
    assert manager.exclusive(both, first) < manager.exclusive(both, second) == {4, 5, 6}


def test_reused_cpus_have_one_new_owner() -> None:
    """What one container took over from the init container is not given to the next."""
    manager = CpuManager.reserving(machine([0, 1, 2, 3]).cpus, 1)
    both = pod(init(), container("a"), container("b"))

    for each in both.containers:
        manager.allocate(both, each, ANY)

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
            manager.allocate(new, new.containers[0], ANY)
            pods.append(new)
        except NotEnoughCpus:
            pass
        if leaves and pods:
            manager.release(pods.pop(0))

        owned = [manager.exclusive(each, each.containers[0]) for each in pods]
        assert sum(map(len, owned)) + len(manager.shared) == len(TWO_SOCKETS)
        assert manager.shared.union(*owned) == ALL
        assert manager.reserved <= manager.shared


def test_uneven_sockets_are_free_by_the_average() -> None:
    """Kubelet compares free CPUs with an average socket, and then takes the whole one.

    Of two sockets with 2 and 6 CPUs it takes the second for free with 4, and takes CPUs that are
    not free along. On machines whose sockets are alike that cannot be.
    """
    uneven = tuple(Cpu(cpu, node=0, socket=int(cpu > 1), core=cpu) for cpu in range(8))

    assert take(uneven, frozenset({0, 2, 3, 4, 5, 6}), 6) == {0, 2, 3, 4, 5, 6}
    assert take(uneven, frozenset({0, 1, 2, 3, 4, 5}), 6) == {2, 3, 4, 5, 6, 7}


SMT = machine([0, 1, 2, 3, 4, 5, 6, 7], threads=2).cpus


def test_full_pcpus_only_refuses_parts_of_cores() -> None:
    """Under `full-pcpus-only` a container gets whole cores or nothing, in kubelet's words."""
    manager = CpuManager.reserving(SMT, 2, full_cores=True)
    odd = pod(container(cpu="3"))

    with pytest.raises(SmtAlignmentError, match="requested 3 cpus not multiple cpus per core = 2"):
        manager.allocate(odd, odd.containers[0], ANY)


def test_full_pcpus_only_leaves_siblings_of_reserved_cpus_alone() -> None:
    """A core of which one thread is reserved is not free: six CPUs are, in three cores."""
    manager = CpuManager.reserving(SMT, frozenset({0}), full_cores=True)
    large, fitting = pod(container(cpu="8"), name="large"), pod(container(cpu="6"))

    with pytest.raises(SmtAlignmentError, match="available physical CPUs = 6, requested CPUs = 8"):
        manager.allocate(large, large.containers[0], ANY)
    manager.allocate(fitting, fitting.containers[0], ANY)

    assert manager.exclusive(fitting, fitting.containers[0]) == {2, 3, 4, 5, 6, 7}


def test_explicit_reserved_cpus() -> None:
    """`reservedSystemCPUs` names the CPUs that are never given away."""
    manager = CpuManager.reserving(machine([0, 1, 2, 3]).cpus, frozenset({1, 2}))
    all_others = pod(container(cpu="2"))

    manager.allocate(all_others, all_others.containers[0], ANY)

    assert manager.exclusive(all_others, all_others.containers[0]) == {0, 3}
