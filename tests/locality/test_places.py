"""The places that a glob names, and how results read."""

import pytest

from host_tree import TWO_NODES, HostTree
from numa_trio.locality import matching
from numa_trio.locality.places import find_places
from numa_trio.locality.result import Outcome, Resolution, Told, joined, merged
from numa_trio.locality.target import parse_target


def shown(tree: HostTree, target: str) -> list[tuple[str, tuple[int, ...]]]:
    return [(place.suffix, place.resolution.nodes) for place in tree.places(target)]


def test_a_target_without_glob_has_one_place(vm: HostTree) -> None:
    """Its nodes are all in one place, also if they are several."""
    assert shown(vm, "bond0") == [("", (0, 1))]


def test_what_is_on_several_nodes_has_a_place_of_its_own(vm: HostTree) -> None:
    """Matches are put together by the nodes that they have; paths of shared disks count not."""
    assert shown(vm, "disk:nvme?n1") == [("-0", (0,)), ("-1", (0, 1)), ("-2", (1,))]
    assert shown(vm, "disk:nvme*n1") == shown(vm, "disk:nvme?n1")
    first, shared, last = (place.resolution for place in vm.places("disk:nvme*n1"))
    assert first.chain == ("nvme2n1", "0000:41:00.0")
    assert last.chain == ("nvme0n1", "0000:81:00.0")
    assert {each.target for each in (first, shared, last)} == {"disk:nvme*n1"}
    assert first.told == (Told("0000:41:00.0", 0),)
    assert (first.notes, shared.notes) == (
        (),
        ("on several nodes: 0000:42:00.0 on node 0; 0000:82:00.0 on node 1",),
    )


def test_by_path_and_by_name_alike(vm: HostTree) -> None:
    """A pattern of paths below /dev finds what kernel names do."""
    assert shown(vm, "/dev/nvme?n1") == shown(vm, "disk:nvme?n1")


def test_partitions_match_too(vm: HostTree) -> None:
    """They are where their disks are."""
    assert shown(vm, "/dev/nvme0*") == [("", (1,))]


def test_cards(vm: HostTree) -> None:
    """All cards of two buses."""
    assert shown(vm, "pci:0000:4[12]:*") == [("", (0,))]
    assert shown(vm, "0000:?1:00.0") == [("-0", (0,)), ("-1", (1,))]


def test_mount_points(vm: HostTree) -> None:
    """Mount points match step for step, and directories do not."""
    assert shown(vm, "mount:/*") == [("-0", (0, 1)), ("-1", (1,))]
    assert shown(vm, "/srv/*") == [("", (0, 1))]
    assert vm.resolve("/srv/btrfs/*").outcome is Outcome.ABSENT


def test_infiniband(server: HostTree) -> None:
    """By its pattern, also without a prefix."""
    assert shown(server, "ib:mlx*") == shown(server, "mlx*") == [("", (1,))]


def test_nothing_matches(vm: HostTree) -> None:
    """The target is absent."""
    resolution = vm.resolve("net:ens*")
    assert (resolution.outcome, resolution.reason) == (Outcome.ABSENT, "nothing matches it")


def test_no_match_has_a_node(vm: HostTree) -> None:
    """The matches are named with their reasons, the first three at least."""
    resolution = vm.resolve("net:[lv]*")
    assert resolution.outcome is Outcome.UNKNOWN
    assert str(resolution) == (
        "net:[lv]* → lo: lo: lo is virtual, with no hardware below that tells a node;"
        " v0: v0 is virtual, with no hardware below that tells a node;"
        " v1: v1 is virtual, with no hardware below that tells a node"
    )


def test_more_matches_than_are_named(vm: HostTree) -> None:
    """The rest is counted."""
    assert str(vm.resolve("net:[lvm]*").reason).endswith("that tells a node; 1 more")


def test_several_kinds_match(tree: HostTree) -> None:
    """The prefix decides."""
    card = tree.card("0000:17:00.0", node=1)
    tree.disk("data0", on=card)
    tree.interface("data1", on=card)
    resolution = tree.resolve("data*")
    assert resolution.outcome is Outcome.AMBIGUOUS
    assert resolution.reason == "it matches things of several kinds: write disk:data* or net:data*"


def test_too_many_matches(vm: HostTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern that matches everything is refused."""
    monkeypatch.setattr(matching, "_MOST_MATCHES", 4)
    resolution = vm.resolve("net:*")
    assert resolution.outcome is Outcome.UNKNOWN
    assert resolution.reason == "it matches 10 things; expected at most 4"


def test_equal_if_nothing_changed(vm: HostTree) -> None:
    """Two looks at the same host give equal places."""
    for text in ("/var/lib/elasticsearch", "net:eth*", "disk:*", "loop1"):
        target = parse_target(text)
        assert find_places(vm.survey(TWO_NODES), target) == find_places(vm.survey(), target)


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("/data", "/data → nvme0n1p2 → nvme0n1 → 0000:81:00.0 → node 1"),
        ("net:eth1", "net:eth1 → 0000:84:00.0 → node 1"),
        ("eth1", "eth1 → 0000:84:00.0 → node 1"),
        ("pci:81:00.0", "pci:81:00.0 → 0000:81:00.0 → node 1"),
        ("pci:0000:81:00.0", "pci:0000:81:00.0 → node 1"),
        ("/sub", "/sub → sda+vda → 0000:83:00.0+0000:43:00.0 → nodes 0-1"),
        ("0000:99:00.0", "0000:99:00.0: there is no PCI device 0000:99:00.0"),
        ("net:eth9", "net:eth9: there is no network interface eth9"),
        ("/tmp/\u202e", r"/tmp/\u202e: /tmp is in memory (tmpfs), of whatever node is used"),
    ],
)
def test_a_resolution_reads_as_a_chain(vm: HostTree, target: str, line: str) -> None:
    """From the target to its nodes, or to why it has none; nothing can forge a line."""
    assert str(vm.resolve(target)) == line


def test_names_side_by_side() -> None:
    """Chains of different length are shown step by step, each name once."""
    assert merged([("a", "b", "c"), ("a", "d")]) == ("a", "b+d", "c")
    assert joined("abcde") == "a+b+c+2 more"
    assert joined("abca") == "a+b+c"
    assert merged([]) == ()


def test_found() -> None:
    """What is there but near no known node is found all the same."""
    found = {outcome: Resolution("x", outcome).found for outcome in Outcome}
    assert [outcome for outcome, there in found.items() if there] == [
        Outcome.NEAR,
        Outcome.UNKNOWN,
    ]
