"""Disks that were pulled out while they were in use: what the kernel leaves of them.

So a Debian kernel 6.1 shows it: a mount, a volume and a btrfs keep their names for what is gone.
"""

import pytest

from host_tree import ONE_NODE, TWO_NODES, HostTree, near
from numa_trio.locality.result import Outcome
from numa_trio.topology.machine import Machine

BY_ID = "/dev/disk/by-id/nvme-X-part3"


@pytest.fixture
def moved(tree: HostTree) -> HostTree:
    """nvme1n1 was pulled out; plugged in near node 0 it got the name nvme1n2, and udev's link."""
    tree.disk("nvme1n2p3", on=tree.card("0000:45:00.0", node=0), number="259:12")
    tree.host_link(BY_ID, "../../nvme1n2p3")
    return tree


@pytest.mark.parametrize("source", ["/dev/nvme1n1p3", "/dev/nvme1n2p3", BY_ID])
@pytest.mark.parametrize("machine", [ONE_NODE, TWO_NODES])
def test_mount_of_a_disk_that_is_gone(moved: HostTree, source: str, machine: Machine) -> None:
    """It is absent, and not near the node where the disk is now: it was not mounted there."""
    moved.mounts(f"259:11 / /data ext4 {source} rw")
    resolution = moved.resolve("mount:/data", machine)
    assert resolution.outcome is Outcome.ABSENT
    assert resolution.reason == "the disk that is mounted at /data is gone (259:11)"


@pytest.mark.parametrize("machine", [ONE_NODE, TWO_NODES])
def test_volume_of_a_disk_that_is_gone(moved: HostTree, machine: Machine) -> None:
    """It is absent, by its name and by its mount point, also on a machine with one node."""
    moved.stacked("dm-2", "devices/gone/nvme1n1p2", number="252:2")
    moved.mounts("252:2 / /srv ext4 /dev/fast/es rw")
    for target in ("dm-2", "mount:/srv"):
        resolution = moved.resolve(target, machine)
        assert resolution.outcome is Outcome.ABSENT
        assert resolution.reason == "dm-2 consists of nvme1n1p2, which is gone"


def test_volume_of_which_one_disk_is_gone(moved: HostTree) -> None:
    """What is left counts."""
    left = "devices/pci0000:45/0000:45:00.0/block/nvme1n2p3"
    moved.stacked("dm-2", "devices/gone/nvme1n1p2", left)
    assert near(moved.resolve("dm-2")) == ((0,), ("dm-2", "nvme1n2p3", "0000:45:00.0"))


def test_btrfs_whose_first_disk_is_gone(tree: HostTree) -> None:
    """The mount table goes on naming it; the disks that are left count."""
    left = tree.disk("vda", on=tree.card("0000:43:00.0", node=0), number="254:0")
    tree.link("fs/btrfs/5d1c/devices/sda", "devices/gone/sda")
    tree.link("fs/btrfs/5d1c/devices/vda", left)
    tree.mounts("0:26 / /srv btrfs /dev/sda rw")
    assert near(tree.resolve("/srv")) == ((0,), ("vda", "0000:43:00.0"))


def test_btrfs_whose_disks_are_gone(tree: HostTree) -> None:
    """It is absent."""
    tree.folder("class/block")
    tree.link("fs/btrfs/5d1c/devices/sda", "devices/gone/sda")
    tree.mounts("0:26 / /srv btrfs /dev/sda rw")
    assert tree.resolve("/srv").outcome is Outcome.ABSENT
