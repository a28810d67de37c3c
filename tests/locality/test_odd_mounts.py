"""Whatever the mount table holds, a resolution comes of it, with the reason."""

import os

import pytest

from host_tree import ONE_NODE, HostTree
from numa_trio.locality.result import Outcome


@pytest.mark.parametrize("options", ["rw", "ro,lowerdir=l/A:l/B", "rw,lowerdir=", "rw,upperdir=u"])
def test_overlay_without_whole_paths(tree: HostTree, options: str) -> None:
    """Container runtimes name layers by where they stood when they mounted them."""
    tree.mounts(f"0:50 / /merged overlay overlay {options}")
    resolution = tree.resolve("/merged")
    assert resolution.outcome is Outcome.UNKNOWN
    assert resolution.reason == "/merged is an overlay of folders that it does not name in full"


@pytest.mark.parametrize(
    ("options", "folder"),
    [
        (r"ro,lowerdir=/low\134:er:/b", "/low:er"),
        ("ro,lowerdir+=/low,lowerdir+=/b", "/low"),
        ("rw,lowerdir=/b,upperdir=/low,workdir=/w", "/low"),
    ],
)
def test_uppermost_folder_of_an_overlay(tree: HostTree, options: str, folder: str) -> None:
    """The first is on top; a colon within a name is escaped."""
    tree.disk("sda", on=tree.card("0000:17:00.0", node=1))
    tree.mounts(f"8:0 / {folder} ext4 /dev/sda rw", f"0:50 / /merged overlay overlay {options}")
    assert tree.resolve("/merged").chain == (folder, "sda", "0000:17:00.0")


def test_overlay_upon_itself(tree: HostTree) -> None:
    """An overlay whose folder is in itself ends."""
    tree.mounts("0:50 / /merged overlay overlay rw,upperdir=/merged/up")
    assert tree.resolve("/merged").outcome is Outcome.UNKNOWN


def test_overlay_in_memory(tree: HostTree) -> None:
    """No device is below it, so the only node of a machine is not its node either."""
    tree.mounts("0:49 / /up tmpfs tmpfs rw", "0:50 / /merged overlay overlay rw,upperdir=/up/x")
    resolution = tree.resolve("/merged", ONE_NODE)
    assert resolution.outcome is Outcome.UNKNOWN
    assert resolution.reason == "/up is in memory (tmpfs), of whatever node is used"


def test_mount_without_a_number_that_sysfs_lists(tree: HostTree) -> None:
    """Where sysfs lists no numbers, or the file system has none, the source's name counts."""
    disk = tree.card("0000:17:00.0", node=1)
    tree.link("class/block/sda", disk)
    tree.mounts("8:0 / /data ext4 /dev/sda rw", "0:60 / /x f2fs /dev/sda rw")
    assert tree.resolve("/data").nodes == (1,)
    assert tree.resolve("/x").nodes == (1,)
    tree.mounts("8:16 / /data ext4 /dev/sdb rw")
    assert tree.resolve("/data").reason == (
        "the mount table names '/dev/sdb' as its device: there is no block device /dev/sdb"
    )


def test_btrfs_that_sysfs_does_not_know(tree: HostTree) -> None:
    """Then the one device that the mount table names counts."""
    tree.folder("fs/btrfs/features")
    tree.disk("sda", on=tree.card("0000:17:00.0", node=1), number="8:0")
    tree.mounts("0:40 / /data btrfs /dev/sda rw")
    assert tree.resolve("/data").nodes == (1,)


def test_zfs_pool_that_udev_does_not_know(tree: HostTree) -> None:
    """A pool on files, or one of which udev missed the devices."""
    tree.disk("sdb", number="8:16")
    tree.mounts("0:40 / /tank zfs tank rw")
    tree.host_file("/run/udev/data/b8:0", "E:ID_FS_TYPE=ext4\n")
    tree.host_file("/run/udev/data/c1:3", "E:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL=tank\n")
    (tree.root / "run/udev/data/b8:16").mkdir()
    assert tree.resolve("/tank").reason == "udev knows no device of the ZFS pool 'tank'"


@pytest.mark.parametrize("content", ["", "no mounts\n", "1 0 8:1 / /data rw - ext4 /dev/sda rw\n"])
def test_mount_table_in_another_form(tree: HostTree, content: str) -> None:
    """What is no mount table of a host's is named."""
    tree.mount_table(content)
    resolution = tree.resolve("/var")
    assert resolution.outcome is Outcome.UNSEEN
    assert "mount table" in str(resolution.reason)


def test_mount_table_that_is_a_fifo(tree: HostTree) -> None:
    """Nothing is waited for."""
    (tree.root / "proc/1").mkdir(parents=True)
    os.mkfifo(tree.root / "proc/1/mountinfo")
    resolution = tree.resolve("/var")
    assert resolution.outcome is Outcome.UNSEEN
    assert str(resolution.reason).endswith("mountinfo: cannot be read: not a regular file")


def test_mount_of_a_source_that_is_no_path(tree: HostTree) -> None:
    """A number that sysfs does not list, and a source that is just a word."""
    tree.mounts("8:99 / /data ext4 root rw")
    assert tree.resolve("/data").reason == (
        "the mount table names 'root' as its device, which is none"
    )
