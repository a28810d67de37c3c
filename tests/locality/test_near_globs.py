"""Rows of the table in docs/near.md: targets that name several things."""

from host_tree import HostTree, near
from numa_trio.locality.result import Outcome


def test_glob_on_several_nodes(vm: HostTree) -> None:
    """The matches on each node get a name of their own, in order of node."""
    first, second = vm.places("net:eth*")
    assert (first.suffix, *near(first.resolution)) == ("-0", (0,), ("eth2", "0000:44:00.0"))
    assert (second.suffix, *near(second.resolution)) == ("-1", (1,), ("eth1", "0000:84:00.0"))


def test_glob_on_one_node(tree: HostTree) -> None:
    """Matches that are all on one node are one thing."""
    tree.disk("nvme0n1", on=tree.card("0000:81:00.0", node=1), number="259:0")
    tree.disk("nvme1n1", on=tree.card("0000:82:00.0", node=1), number="259:1")
    for number in (0, 1):
        tree.host_link(f"/dev/disk/by-id/nvme-INTEL-{number}", f"../../nvme{number}n1")
    (place,) = tree.places("disk:/dev/disk/by-id/nvme-INTEL*")
    assert place.suffix == ""
    assert near(place.resolution) == (
        (1,),
        (
            "/dev/disk/by-id/nvme-INTEL-0+/dev/disk/by-id/nvme-INTEL-1",
            "nvme0n1+nvme1n1",
            "0000:81:00.0+0000:82:00.0",
        ),
    )


def test_name_of_several_things(tree: HostTree) -> None:
    """A disk and an interface of one name can only be told apart by a prefix."""
    card = tree.card("0000:17:00.0", node=1)
    tree.disk("data0", on=card)
    tree.interface("data0", on=card)
    resolution = tree.resolve("data0")
    assert resolution.outcome is Outcome.AMBIGUOUS
    assert resolution.reason == "data0 names several things: write disk:data0 or net:data0"
    assert near(tree.resolve("net:data0")) == ((1,), ("data0", "0000:17:00.0"))
