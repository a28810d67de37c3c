"""Whatever sysfs holds, a resolution comes of it, with the reason."""

import os
from pathlib import Path

import pytest
from host_tree import HostTree, node

from numa_trio.locality import walk
from numa_trio.locality.host import Host
from numa_trio.locality.result import Outcome, Told
from numa_trio.topology.machine import Machine, NumaNode


def test_devices_in_a_circle(tree: HostTree) -> None:
    """Devices that consist of each other end, and what else they consist of counts."""
    disk = tree.disk("sda", on=tree.card("0000:17:00.0", node=1))
    first = tree.stacked("dm-0", disk, number="252:0")
    second = tree.stacked("dm-1", first, number="252:1")
    tree.link(f"{first}/slaves/dm-1", second)
    resolution = tree.resolve("dm-1")
    assert resolution.nodes == (1,)
    assert resolution.chain == ("dm-1", "dm-0", "sda", "0000:17:00.0")


def test_nothing_but_a_circle(tree: HostTree) -> None:
    """Without any hardware the nodes are unknown."""
    first = tree.stacked("dm-0", number="252:0")
    tree.link(f"{first}/slaves/dm-0", first)
    resolution = tree.resolve("dm-0")
    assert (resolution.outcome, resolution.reason) == (
        Outcome.UNKNOWN,
        "it consists of nothing",
    )


def test_a_way_by_two_members_is_shown_by_both(tree: HostTree) -> None:
    """Partitions of one disk both lead to it."""
    disk = tree.disk("sda", on=tree.card("0000:17:00.0", node=1))
    parts = []
    for number in ("1", "2"):
        parts.append(f"{disk}/sda{number}")
        tree.write(f"{disk}/sda{number}/partition", number)
        tree.link(f"class/block/sda{number}", parts[-1])
    tree.stacked("md0", *parts)
    assert tree.resolve("md0").chain == ("md0", "sda1+sda2", "sda", "0000:17:00.0")


def test_a_deep_stack_ends(tree: HostTree) -> None:
    """Beyond any stack that people build, the rest is not looked at."""
    below = tree.disk("sda", on=tree.card("0000:17:00.0", node=1))
    for number in range(40):
        below = tree.stacked(f"dm-{number}", below, number=f"252:{number}")
    assert tree.resolve("dm-30").nodes == (1,)
    resolution = tree.resolve("dm-39")
    assert resolution.outcome is Outcome.UNKNOWN
    assert resolution.reason == "dm-7: too many devices, or too deep a stack"


def test_many_members(tree: HostTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many members some are named; more than a limit are not followed."""
    card = tree.card("0000:17:00.0", node=1)
    disks = [tree.disk(f"sd{letter}", on=card, number=f"8:{ord(letter)}") for letter in "abcdef"]
    tree.stacked("md0", *disks)
    assert tree.resolve("md0").chain == ("md0", "sda+sdb+sdc+3 more", "0000:17:00.0")
    monkeypatch.setattr(walk, "_MOST_THINGS", 6)
    assert tree.resolve("md0").reason == "md0: too many devices, or too deep a stack"


def test_members_that_tell_nothing_are_named(tree: HostTree) -> None:
    """The nodes are those that are told; a note says who tells none, the first three at least."""
    told = tree.disk("sda", on=tree.card("0000:17:00.0", node=1))
    silent = [
        tree.disk(
            f"vd{letter}", on=tree.card(f"0000:00:0{number}.0", node=-1), number=f"254:{number}"
        )
        for number, letter in enumerate("abcd")
    ]
    tree.stacked("md0", told, *silent)
    resolution = tree.resolve("md0")
    assert resolution.nodes == (1,)
    assert resolution.chain == ("md0", "sda", "0000:17:00.0")
    assert resolution.notes == (
        "of its members some tell no node: "
        + "".join(
            f"the kernel knows no node of 0000:00:0{number}.0 (numa_node is -1); "
            for number in range(3)
        )
        + "1 more",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("none", "held 'none', expected a node's number"),
        ("", "held '', expected a node's number"),
        ("1 2", "held '1 2', expected a node's number"),
        ("9" * 70000, "it has more than 65536 bytes"),
    ],
)
def test_numa_node_in_another_form(tree: HostTree, text: str, said: str) -> None:
    """The file is named with what it held."""
    card = tree.card("0000:17:00.0", node=None)
    tree.write(f"{card}/numa_node", text)
    resolution = tree.resolve("0000:17:00.0")
    assert resolution.outcome is Outcome.UNKNOWN
    assert resolution.reason == (
        f"{os.path.realpath(tree.sysfs / card)}/numa_node: cannot be read: {said}"
    )


def test_numa_node_that_cannot_be_read(tree: HostTree) -> None:
    """What is above may tell; if nothing does, the problem is the reason."""
    bridge = tree.card("0000:16:02.0", node=1)
    tree.folder(f"{bridge}/0000:17:00.0/numa_node")
    tree.link("bus/pci/devices/0000:17:00.0", f"{bridge}/0000:17:00.0")
    assert tree.resolve("0000:17:00.0").told == (Told("0000:16:02.0", 1),)
    tree.write(f"{bridge}/numa_node", "-1")
    reason = tree.resolve("0000:17:00.0").reason
    assert reason is not None
    assert reason.endswith("0000:17:00.0/numa_node: cannot be read: Is a directory")


def test_card_that_cannot_be_read_gives_no_name(tree: HostTree) -> None:
    """What told the node is then named itself."""
    card = tree.folder("devices/pci0000:16/0000:17:00.0")
    tree.folder(f"{card}/numa_node")
    tree.write(f"{card}/nvme/nvme0/numa_node", "1")
    tree.link("class/block/nvme0n1", tree.folder(f"{card}/nvme/nvme0/nvme0n1"))
    assert tree.resolve("nvme0n1").chain == ("nvme0n1", "nvme0")


def test_device_without_numa_node_anywhere(server: HostTree) -> None:
    """Nothing from the device upwards has such a file."""
    assert server.resolve("ib:scif0").reason == "neither scif0 nor what it hangs on has a numa_node"


def test_node_that_is_not_online(tree: HostTree) -> None:
    """A node that the machine does not have cannot be near anything."""
    tree.card("0000:17:00.0", node=3)
    resolution = tree.resolve("0000:17:00.0")
    assert (resolution.outcome, resolution.nodes) == (Outcome.UNKNOWN, ())
    assert resolution.reason == "node 3 is not online"
    assert resolution.told == (Told("0000:17:00.0", 3),)


def near_node_8(*nodes: NumaNode, tree: HostTree) -> tuple[tuple[int, ...], str | None]:
    tree.card("0000:17:00.0", node=8)
    resolution = tree.resolve("0000:17:00.0", Machine(nodes))
    return resolution.nodes, resolution.reason


def test_nodes_with_cpus_that_are_equally_near(tree: HostTree) -> None:
    """All of them count."""
    nodes = (node(0, "0", to_8=20), node(1, "1", to_8=20), node(2, "2", to_8=30), node(8))
    assert near_node_8(*nodes, tree=tree) == ((0, 1), None)


def test_no_distance_to_a_node_with_cpus(tree: HostTree) -> None:
    """Without distances none is the nearest."""
    said = "node 8 has no CPUs, and no distance to one that has"
    assert near_node_8(node(0, "0"), node(1, "1"), node(8), tree=tree) == ((), said)


def test_node_of_which_the_cpus_are_unknown(tree: HostTree) -> None:
    """It is not taken to have none."""
    nodes = (node(0, "0", to_8=20), NumaNode(8, cpus_known=False))
    assert near_node_8(*nodes, tree=tree) == ((8,), None)


@pytest.mark.parametrize("target", ["sda", "/dev/sda", "disk:sd*", "0000:17:00.0", "pci:*"])
def test_links_in_a_circle(tree: HostTree, target: str) -> None:
    """What cannot be followed is no device, with the reason."""
    for path in ("class/block/sda", "bus/pci/devices/0000:17:00.0", "class/net/x/device"):
        (tree.sysfs / path).parent.mkdir(parents=True, exist_ok=True)
        (tree.sysfs / path).symlink_to(Path(path).name)
    resolution = tree.resolve(target)
    assert (resolution.outcome, resolution.nodes) == (Outcome.UNSEEN, ())
    assert "Too many levels of symbolic links" in str(resolution.reason)


def test_link_below_dev_in_a_circle(tree: HostTree) -> None:
    """The same for the host's links."""
    tree.folder("class/block")
    tree.host_link("/dev/disk/by-id/x", "y")
    tree.host_link("/dev/disk/by-id/y", "x")
    resolution = tree.resolve("/dev/disk/by-id/x")
    assert resolution.outcome is Outcome.UNSEEN
    assert "Too many levels of symbolic links" in str(resolution.reason)


@pytest.mark.parametrize(
    ("backing_file", "said"),
    [
        (None, "loop0 has no file now"),
        ("/img (deleted)", "loop0 has a file that is deleted: /img"),
        ("/img\0x", "/ is in memory (rootfs), of whatever node is used"),
    ],
)
def test_loop_without_a_file(tree: HostTree, backing_file: str | None, said: str) -> None:
    """A loop device that is not set up, or whose file nobody else sees, is near no node."""
    disk = tree.disk("loop0", number="7:0")
    tree.mounts()
    if backing_file is not None:
        tree.write(f"{disk}/loop/backing_file", backing_file)
    resolution = tree.resolve("loop0")
    assert (resolution.outcome, resolution.reason) == (Outcome.UNKNOWN, said)


@pytest.mark.parametrize("kind", ["dm", "md"])
def test_array_without_members(tree: HostTree, kind: str) -> None:
    """An array that is stopped has no members."""
    disk = tree.disk("x0")
    tree.folder(f"{disk}/{kind}")
    assert tree.resolve("x0").reason == "x0 has no members now"


def test_members_that_cannot_be_listed(tree: HostTree) -> None:
    """The folder is named."""
    disk = tree.disk("dm-0")
    (tree.sysfs / disk / "slaves").symlink_to("slaves")
    resolution = tree.resolve("dm-0")
    assert resolution.outcome is Outcome.UNKNOWN
    assert str(resolution.reason).endswith(
        "dm-0/slaves: cannot be read: Too many levels of symbolic links"
    )


def test_controllers_without_paths(tree: HostTree) -> None:
    """Where a shared NVMe namespace shows no paths, its controllers tell."""
    card = tree.card("0000:81:00.0", node=1)
    tree.write(f"{card}/nvme/nvme3/transport", "pcie")
    subsystem = "devices/virtual/nvme-subsystem/nvme-subsys0"
    tree.link("class/block/nvme0n1", tree.folder(f"{subsystem}/nvme0n1"))
    tree.link(f"{subsystem}/nvme3", f"{card}/nvme/nvme3")
    assert tree.resolve("nvme0n1").chain == ("nvme0n1", "nvme3", "0000:81:00.0")


def test_no_sysfs_at_all(tmp_path: Path) -> None:
    """An empty folder shows nothing, and that is said."""
    tree = HostTree(tmp_path / "nowhere")
    assert Host(tree.sysfs, tree.root).network_sysfs == tree.sysfs
    for target in ("sda", "disk:*", "net:eth0", "0000:00:00.0"):
        assert tree.resolve(target).outcome is Outcome.UNSEEN
    assert tree.resolve("ib:x").outcome is Outcome.ABSENT
