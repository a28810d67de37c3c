"""Whatever sysfs holds, a resolution comes of it, with the reason."""

from pathlib import Path

import pytest

from host_tree import HostTree
from numa_trio.locality import walk
from numa_trio.locality.host import Host
from numa_trio.locality.result import Outcome


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


def test_bond_and_bridge_of_an_old_kernel(tree: HostTree) -> None:
    """Before there were links to lower interfaces, bonds and bridges had lists of their own."""
    tree.interface("eth0", on=tree.card("0000:5e:00.0", node=0))
    tree.interface("eth1", on=tree.card("0000:5e:00.1", node=0))
    bond = tree.interface("bond0")
    tree.write(f"{bond}/bonding/slaves", "eth0 eth1")
    tree.folder(f"{tree.interface('br1')}/brif/bond0")
    tree.folder(f"{tree.interface('br0')}/brif/br1")
    resolution = tree.resolve("br0")
    assert resolution.chain == ("br0", "br1", "bond0", "eth0+eth1", "0000:5e:00.0+0000:5e:00.1")


def test_bridge_of_pods_alone(tree: HostTree) -> None:
    """Which pods are on it makes no difference to what is said of it."""
    tree.interface("eth0", on=tree.card("0000:5e:00.0", node=0))
    tree.interface("cni0", lower=(tree.interface("veth0"), tree.interface("veth1")))
    resolution = tree.resolve("cni0")
    assert (resolution.outcome, resolution.chain) == (Outcome.UNKNOWN, ("cni0",))
    assert resolution.reason == "cni0 is virtual, with no hardware below that tells a node"


def test_infiniband_on_an_interface_that_is_gone(tree: HostTree) -> None:
    """The interface is named."""
    tree.interface("eth0", on=tree.card("0000:5e:00.0", node=0))
    tree.write("devices/virtual/infiniband/rxe0/parent", "eth2")
    tree.link("class/infiniband/rxe0", "devices/virtual/infiniband/rxe0")
    resolution = tree.resolve("ib:rxe0")
    assert (resolution.outcome, resolution.reason) == (
        Outcome.UNKNOWN,
        "there is no network interface eth2",
    )
