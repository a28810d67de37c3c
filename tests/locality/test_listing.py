"""What a machine has under each NUMA node."""

from pathlib import Path

import pytest

from host_tree import HostTree
from numa_trio.locality import devices
from numa_trio.locality.listing import Listing, list_machine


def names(listing: Listing) -> dict[str, list[str]]:
    """What is listed, by its kind."""
    kinds = ("disks", "interfaces", "infiniband", "gpus", "mounts")
    found = {kind: [each.resolution.target for each in getattr(listing, kind)] for kind in kinds}
    return {kind: targets for kind, targets in found.items() if targets}


def test_virtual_machine(vm: HostTree) -> None:
    """Disks, cards and mounts are listed under each of their nodes; what is made of them is not."""
    listing = list_machine(vm.survey())
    assert names(listing.near(0)) == {
        "disks": ["nvme2n1", "nvme3n1", "vda"],
        "interfaces": ["eth2"],
        "mounts": ["/mnt/with blank", "/srv/btrfs", "/var/lib/elasticsearch"],
    }
    assert names(listing.near(1)) == {
        "disks": ["nvme0n1", "nvme3n1", "sda"],
        "interfaces": ["eth1"],
        "mounts": ["/data", "/mnt/with blank", "/srv/btrfs", "/var/lib/elasticsearch"],
    }
    assert names(listing.near_no_node()) == {"disks": ["nvme4n1"], "interfaces": ["eth0"]}
    assert names(listing.near(2)) == {}
    assert listing.hidden == ()


def test_server(server: HostTree) -> None:
    """Models, sizes, drivers and speeds are those that sysfs shows."""
    listing = list_machine(server.survey(rooted=False))
    disks = {disk.resolution.target: (disk.model, disk.size_bytes) for disk in listing.disks}
    assert disks == {
        "nvme0n1": (None, 400088457216),
        "pmem0.1": (None, 107808292864),
        "pmem1": (None, 64424509440),
        "sda": ("ST9250610NS", 250059350016),
    }
    interfaces = {
        each.resolution.target: (each.driver, each.speed_mbps) for each in listing.interfaces
    }
    assert interfaces == {"eth0": ("igb", 1000), "eth1": ("igb", None), "ib0": ("mlx4_core", None)}
    cards = {card.resolution.target: (card.driver, card.model) for card in listing.gpus}
    assert cards == {"0000:05:00.0": (None, "1a03:2000"), "0000:83:00.0": ("mic", "8086:225c")}
    assert names(listing.near(1)) == {
        "disks": ["pmem1"],
        "interfaces": ["ib0"],
        "infiniband": ["mlx4_0"],
        "gpus": ["0000:83:00.0"],
    }
    assert listing.mounts == ()
    assert len(listing.hidden) == 1
    assert "/proc/1/mountinfo" in listing.hidden[0]


def test_one_mount_point_for_a_file_system(tree: HostTree) -> None:
    """Bind mounts of parts are left out, and so is what is on no device or on a missing one."""
    tree.disk("sda", on=tree.card("0000:17:00.0", node=1), number="8:0")
    tree.mounts(
        "8:0 /kubelet/pods/x /var/lib/kubelet/pods/x ext4 /dev/sda rw",
        "8:0 / /var ext4 /dev/sda rw",
        "8:0 / /var/again ext4 /dev/sda rw",
        "8:16 / /gone ext4 /dev/sdb rw",
        "8:32 / /circle ext4 /dev/sdc rw",
        "0:50 / /run tmpfs tmpfs rw",
        "0:51 / /x overlay overlay rw,upperdir=/var/up",
        "0:52 / /tank zfs tank rw",
        "0:53 / /b bcachefs /dev/sda:/dev/sda rw",
    )
    (tree.sysfs / "class/block/sdc").symlink_to("sdc")
    tree.host_file("/run/udev/data/b8:0", "E:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL=tank\n")
    mounts = list_machine(tree.survey()).mounts
    assert [(each.resolution.target, each.file_system, each.source) for each in mounts] == [
        ("/b", "bcachefs", "/dev/sda:/dev/sda"),
        ("/tank", "zfs", "tank"),
        ("/var", "ext4", "/dev/sda"),
    ]
    assert {each.resolution.nodes for each in mounts} == {(1,)}


def test_interfaces_that_cannot_be_seen(tree: HostTree) -> None:
    """A pod's own interfaces are not listed, and it is said what to mount."""
    tree.interface("eth0")
    tree.mounts()
    listing = list_machine(tree.survey())
    assert listing.interfaces == ()
    (said,) = listing.hidden
    assert "mount the host's /sys/class/net" in said


def test_odd_files_hide_nothing_else(tree: HostTree) -> None:
    """What cannot be read of a device is unknown; the others are listed as ever."""
    card = tree.card("0000:17:00.0", node=1)
    path = tree.disk("sda", on=card)
    tree.disk("sdb", on=card, number="8:16")
    tree.write(f"{path}/size", "many")
    tree.folder(f"{card}/model")
    tree.write(f"{card}/class", "0x030200")
    tree.write(f"{card}/vendor", "0x10de")
    (tree.sysfs / "class/block/aaa").symlink_to("aaa")
    tree.folder(f"{card}/driver")
    listing = list_machine(tree.survey())
    assert [(disk.model, disk.size_bytes) for disk in listing.disks] == [(None, None)] * 2
    assert [(gpu.driver, gpu.model) for gpu in listing.gpus] == [(None, None)]


@pytest.mark.parametrize("folder", ["class/block", "class/net", "bus/pci/devices"])
def test_folders_in_a_circle(tree: HostTree, folder: str) -> None:
    """A folder that cannot be listed shows nothing."""
    (tree.sysfs / folder).parent.mkdir(parents=True, exist_ok=True)
    (tree.sysfs / folder).symlink_to(Path(folder).name)
    assert names(list_machine(tree.survey())) == {}


def test_bounded(vm: HostTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a huge machine the first devices are listed."""
    monkeypatch.setattr(devices, "_MOST", 3)
    assert [disk.resolution.target for disk in list_machine(vm.survey()).disks] == [
        "nvme0n1",
        "nvme2n1",
        "nvme3n1",
    ]
