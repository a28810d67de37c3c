"""The QEMU command lines say what the layout says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.qemu import (
    Accelerator,
    NumaLayout,
    VirtualNode,
    command_line,
    machine_options,
    numa_options,
)

LAYOUT = NumaLayout(
    nodes=[VirtualNode(2, 512), VirtualNode(2, 512), VirtualNode(0, 256)],
    distances={(0, 1): 21, (0, 2): 17, (1, 2): 28},
)


def test_a_memory_only_node_gets_memory_and_no_cpus() -> None:
    """The node without CPUs has a memory backend of its own size and no cpus=."""
    options = numa_options(LAYOUT)
    assert ("numa", "node,nodeid=1,cpus=2-3,memdev=memory1") in options
    assert ("object", "memory-backend-ram,id=memory2,size=256M") in options
    assert ("numa", "node,nodeid=2,memdev=memory2") in options
    assert ("smp", "4,sockets=2,cores=2,threads=1") in options
    assert ("m", "1280M") in options


def test_each_distance_is_given_once() -> None:
    """QEMU mirrors a distance that is given one way; both ways would have to agree."""
    assert [value for _, value in numa_options(LAYOUT) if value.startswith("dist,")] == [
        "dist,src=0,dst=1,val=21",
        "dist,src=0,dst=2,val=17",
        "dist,src=1,dst=2,val=28",
    ]
    assert LAYOUT.distance(2, 1) == LAYOUT.distance(1, 2) == 28
    assert LAYOUT.distance(1, 1) == 10


def test_options_become_words() -> None:
    """An option without value is one word, any other two."""
    words = command_line([("nodefaults", ""), ("m", "64M")], [("smp", "1")], program="qemu")
    assert words == ["qemu", "-nodefaults", "-m", "64M", "-smp", "1"]


def test_a_missing_distance_is_refused() -> None:
    """A layout names the distance of every pair, so that none is QEMU's default."""
    with pytest.raises(ValueError, match="each pair"):
        NumaLayout(nodes=LAYOUT.nodes, distances={(0, 1): 21})


def test_unequal_sockets_are_refused() -> None:
    """A node is a socket, and QEMU cannot make sockets of different sizes."""
    with pytest.raises(ValueError, match="alike"):
        numa_options(NumaLayout([VirtualNode(1, 64), VirtualNode(2, 64)], {(0, 1): 21}))


@given(cpus=st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_every_cpu_belongs_to_exactly_one_node(cpus: list[int]) -> None:
    """The nodes' CPUs are disjoint and together all CPUs."""
    pairs = {(low, high): 20 for high in range(len(cpus)) for low in range(high)}
    layout = NumaLayout([VirtualNode(count, 64) for count in cpus], pairs)
    dealt = [cpu for node in range(len(cpus)) for cpu in layout.cpus_of(node)]
    assert sorted(dealt) == list(range(layout.cpu_count))


@pytest.mark.parametrize(
    ("accelerator", "expected"),
    [(Accelerator.TCG, "tcg,thread=multi"), (Accelerator.KVM, "kvm")],
)
def test_the_accelerator_is_what_was_asked_for(accelerator: Accelerator, expected: str) -> None:
    """Emulation uses a host thread for each virtual CPU."""
    assert ("accel", expected) in machine_options(LAYOUT, accelerator)


@pytest.mark.parametrize("reboots", [False, True])
def test_a_machine_ends_at_its_reboot_unless_that_is_wanted(reboots: bool) -> None:
    """QEMU starts it anew by default, for ever where its init does not come far."""
    options = machine_options(LAYOUT, Accelerator.TCG, reboots=reboots)
    assert (("no-reboot", "") in options) is not reboots
