"""Rows of the table in docs/near.md: mount points and directories."""

import pytest

from host_tree import MIRRORED, ONE_NODE, HostTree, near, unknown
from numa_trio.locality.result import Outcome


def test_mount_point(vm: HostTree) -> None:
    """A mount point is where the device of its file system is."""
    resolution = vm.resolve("mount:/data")
    assert near(resolution) == ((1,), ("nvme0n1p2", "nvme0n1", "0000:81:00.0"))
    assert resolution.notes == ()


def test_directory(vm: HostTree) -> None:
    """A directory lies on what is mounted there or above, and that is said."""
    resolution = vm.resolve("/data/shards/7")
    assert near(resolution) == ((1,), ("nvme0n1p2", "nvme0n1", "0000:81:00.0"))
    assert resolution.notes == ("/data/shards/7 lies on what is mounted at /data",)


def test_mount_point_without_a_mount(vm: HostTree) -> None:
    """With the prefix a directory is absent until something is mounted there."""
    resolution = vm.resolve("mount:/data/late")
    assert resolution.outcome is Outcome.ABSENT
    assert resolution.reason == (
        "nothing is mounted at /data/late; without 'mount:' it would be a directory on /data"
    )


def test_directory_that_is_a_link(tree: HostTree) -> None:
    """Links are followed if the host's / is seen."""
    tree.disk("sda", on=tree.card("0000:17:00.0", node=1))
    tree.mounts("8:0 / /mnt/big ext4 /dev/sda rw")
    (tree.root / "mnt/big/es").mkdir(parents=True)
    tree.host_link("/var/lib/elasticsearch", "/mnt/./big/../big/es")
    assert near(tree.resolve("/var/lib/elasticsearch")) == ((1,), ("sda", "0000:17:00.0"))


def test_bind_mount(vm: HostTree) -> None:
    """A part of a file system that is mounted elsewhere is where the file system is."""
    assert near(vm.resolve("mount:/bound"))[1][:3] == ("dm-1", "dm-0", "md0")


def test_overlay(vm: HostTree) -> None:
    """An overlay is where the folder is that takes what is written."""
    assert near(vm.resolve("/merged")) == (
        (0, 1),
        ("/var/lib/elasticsearch/up", "dm-1", "dm-0", "md0", *MIRRORED),
    )


@pytest.mark.parametrize("target", ["/srv/btrfs", "/sub"])
def test_btrfs_on_two_disks(vm: HostTree, target: str) -> None:
    """A btrfs is near all its disks, of which the mount table names one."""
    assert near(vm.resolve(target)) == ((0, 1), ("sda+vda", "0000:83:00.0+0000:43:00.0"))


def test_bcachefs_on_two_disks(tree: HostTree) -> None:
    """A bcachefs is near all the disks that the mount table names."""
    tree.disk("sda", on=tree.card("0000:17:00.0", node=0), number="8:0")
    tree.disk("sdb", on=tree.card("0000:81:00.0", node=1), number="8:16")
    tree.mounts("0:40 / /data bcachefs /dev/sda:/dev/sdb rw")
    assert near(tree.resolve("/data")) == ((0, 1), ("sda+sdb", "0000:17:00.0+0000:81:00.0"))


def test_zfs(tree: HostTree) -> None:
    """A ZFS pool is near the devices that udev has found to be its."""
    tree.disk("sda", on=tree.card("0000:17:00.0", node=0), number="8:0")
    tree.disk("sdb", on=tree.card("0000:81:00.0", node=1), number="8:16")
    tree.mounts("0:40 / /tank/data zfs tank/data rw")
    tree.host_file("/run/udev/data/b8:0", "E:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL=other\n")
    tree.host_file("/run/udev/data/b8:16", "E:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL=tank\n")
    assert near(tree.resolve("/tank/data")) == ((1,), ("sdb", "0000:81:00.0"))


@pytest.mark.parametrize(
    ("file_system", "source", "said"),
    [
        ("nfs4", "filer:/export", "/mnt/x is on a server (nfs4), near no node of this machine"),
        ("ceph", "192.0.2.1:6789:/", "/mnt/x is on a server (ceph), near no node of this machine"),
        ("tmpfs", "tmpfs", "/mnt/x is in memory (tmpfs), of whatever node is used"),
        ("fuse.sshfs", "a@b:", "/mnt/x is served by a program (fuse.sshfs), not from a device"),
        ("cgroup2", "cgroup2", "/mnt/x has no block device (cgroup2)"),
    ],
)
def test_file_system_without_a_device(
    tree: HostTree, file_system: str, source: str, said: str
) -> None:
    """What is on a server or in memory is near no node, on a machine with one node either."""
    tree.mounts(f"0:50 / /mnt/x {file_system} {source} rw")
    assert unknown(tree.resolve("/mnt/x")) == said
    assert unknown(tree.resolve("/mnt/x", ONE_NODE)) == said


def test_automount_that_waits(tree: HostTree) -> None:
    """What is mounted when it is used is absent until then."""
    tree.mounts("0:50 / /mnt/x autofs systemd-1 rw")
    resolution = tree.resolve("mount:/mnt/x")
    assert resolution.outcome is Outcome.ABSENT
    assert resolution.reason == "nothing is mounted yet at /mnt/x, which is mounted when it is used"
