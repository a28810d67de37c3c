"""What of the host must be visible, and what is said where it is not."""

import os
from pathlib import Path

import pytest

from host_tree import HostTree
from numa_trio.locality import files
from numa_trio.locality.result import Outcome


def unseen(tree: HostTree, target: str, *, rooted: bool = True) -> str:
    resolution = tree.resolve(target, rooted=rooted)
    assert resolution.outcome is Outcome.UNSEEN
    assert not resolution.found
    assert resolution.reason is not None
    return resolution.reason


@pytest.mark.parametrize("target", ["/var/lib/data", "mount:/data", "mount:/data/*"])
def test_mounts_need_the_hosts_mount_table(tree: HostTree, target: str) -> None:
    """The container's own table lists the container's mounts, so it is never asked."""
    assert unseen(tree, target, rooted=False) == (
        "the host's mount table cannot be seen from here: mount the host's /proc/1/mountinfo"
        " (read-only) below a directory, as in /host, and name that directory in NUMA_HOST_ROOT"
        " (the kustomize component near does); on the host itself NUMA_HOST_ROOT=/ is enough"
    )
    assert unseen(tree, target) == (
        "the host's mount table cannot be seen from here: mount the host's /proc/1/mountinfo"
        f" (read-only) at {tree.root}/proc/1/mountinfo, for NUMA_HOST_ROOT is {tree.root}"
        " (the kustomize component near does)"
    )


def test_a_loop_device_needs_it_too(vm: HostTree) -> None:
    """The chain is shown as far as it could be followed."""
    resolution = vm.resolve("loop0", rooted=False)
    assert resolution.outcome is Outcome.UNSEEN
    assert resolution.chain == ("loop0", "/srv/btrfs/img")
    assert "/proc/1/mountinfo" in str(resolution)


@pytest.mark.parametrize("target", ["/dev/disk/by-id/x", "/dev/disk/by-*/x", "/dev/md/data"])
def test_links_that_udev_made_need_their_folder(tree: HostTree, target: str) -> None:
    """The smallest folder is named that has them."""
    tree.folder("class/block/sda")
    folder = "/".join(target.split("/")[:3])
    assert f"mount the host's {folder} (read-only) at {tree.root}{folder}," in unseen(tree, target)
    (tree.root / folder.lstrip("/")).mkdir(parents=True)
    assert tree.resolve(target).outcome is Outcome.ABSENT


def test_a_link_is_absent_if_all_of_dev_is_seen(tree: HostTree) -> None:
    """Without its folder it does not exist."""
    tree.folder("class/block/sda")
    tree.host_file("/dev/null")
    assert tree.resolve("/dev/disk/by-id/x").outcome is Outcome.ABSENT


@pytest.mark.parametrize(
    "target", ["/dev/mapper/x", "/dev/mapper/x*", "/dev/sdz", "/dev/sdz*", "disk:sdz*"]
)
def test_names_of_sysfs_need_nothing(tree: HostTree, target: str) -> None:
    """What is not in sysfs does not exist."""
    tree.folder("class/block/sda")
    assert tree.resolve(target, rooted=False).outcome is Outcome.ABSENT


def test_glob_over_volumes_needs_nothing(vm: HostTree) -> None:
    """The names of device-mapper are in sysfs."""
    assert vm.resolve("/dev/mapper/luks-data", rooted=False).chain[:2] == ("dm-0", "md0")
    resolution = vm.resolve("/dev/mapper/vg*", rooted=False)
    assert resolution.chain[:2] == ("/dev/mapper/vg--0-data", "dm-1")


def test_names_with_a_slash(tree: HostTree) -> None:
    """Sysfs writes an exclamation mark for the slash of a kernel name."""
    path = tree.disk("cciss!c0d0", on=tree.card("0000:17:00.0", node=1))
    for target in ("/dev/cciss/c0d0", "/dev/cciss/c*", "disk:cciss!c0d0"):
        assert tree.resolve(target).nodes == (1,)
    assert tree.resolve("/dev/cciss/c0d0").chain == ("cciss/c0d0", "0000:17:00.0")
    assert Path(path).name == "cciss!c0d0"


def test_only_lvm_joins_names_by_a_hyphen(tree: HostTree) -> None:
    """`vg/lv` is a volume of LVM, and not whatever else is named `vg-lv`."""
    disk = tree.stacked("dm-0", tree.disk("sda", on=tree.card("0000:17:00.0", node=1)))
    tree.write(f"{disk}/dm/name", "vg-lv")
    tree.write(f"{disk}/dm/uuid", "CRYPT-LUKS2-x")
    tree.host_file("/dev/null")
    assert tree.resolve("/dev/vg/lv").outcome is Outcome.ABSENT
    tree.write(f"{disk}/dm/uuid", "LVM-x")
    assert tree.resolve("/dev/vg/lv").nodes == (1,)
    assert tree.resolve("/dev/a/vg/lv").outcome is Outcome.ABSENT


def test_device_file_of_another_name(tree: HostTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no link leads to a kernel name the number of the device file counts."""
    tree.disk("sda", on=tree.card("0000:17:00.0", node=1), number="8:0")
    tree.host_file("/dev/data/mine")
    assert tree.resolve("/dev/data/mine").outcome is Outcome.ABSENT
    status = os.stat_result((0o060600, *(0,) * 9), {"st_rdev": os.makedev(8, 0)})
    monkeypatch.setattr(Path, "stat", lambda _path: status)
    assert tree.resolve("/dev/data/mine").nodes == (1,)


def test_links_lead_out_of_dev(tree: HostTree) -> None:
    """A link to what is no device names none."""
    tree.folder("class/block/sda")
    tree.host_link("/dev/disk/x", "/etc/passwd")
    assert tree.resolve("/dev/disk/x").outcome is Outcome.ABSENT


def pod_with_interface(tree: HostTree) -> None:
    tree.interface("lo")
    tree.interface("eth0")


@pytest.mark.parametrize("target", ["net:eth0", "net:eth2", "net:*", "eth2"])
def test_interfaces_need_the_hosts_namespace(tree: HostTree, target: str) -> None:
    """A pod's own eth0 is not the host's, so that it is not taken for it."""
    pod_with_interface(tree)
    tree.folder("class/block")
    reason = unseen(tree, target)
    assert "has no interface with hardware, as in a pod's network namespace" in reason
    assert f"mount the host's /sys/class/net (read-only) at {tree.root}/sys/class/net" in reason
    assert reason.endswith(", and /sys/devices beside it")


def host_sysfs(tree: HostTree) -> HostTree:
    """The host's sysfs below NUMA_HOST_ROOT."""
    return HostTree(tree.root)


def test_interfaces_below_the_hosts_root(tree: HostTree) -> None:
    """With class/net and devices of the host's sysfs its interfaces are seen, and bonds too."""
    pod_with_interface(tree)
    host = host_sysfs(tree)
    eth = host.interface("eth0", on=host.card("0000:5e:00.0", node=1))
    host.interface("bond0", lower=(eth,))
    assert tree.resolve("net:eth0").chain == ("eth0", "0000:5e:00.0")
    assert tree.resolve("net:bond0").chain == ("bond0", "eth0", "0000:5e:00.0")
    assert tree.resolve("net:bond*").nodes == (1,)
    assert tree.resolve("net:eth7").outcome is Outcome.ABSENT


def test_interfaces_without_their_devices(tree: HostTree) -> None:
    """With class/net alone the links lead nowhere, and the rest is asked for."""
    (tree.root / "sys/class/net").mkdir(parents=True)
    (tree.root / "sys/class/net/eth2").symlink_to("../../devices/pci0000:5d/net/eth2")
    assert unseen(tree, "net:eth2") == (
        "the device of the network interface eth2 cannot be seen from here: mount the host's"
        f" /sys/devices (read-only) at {tree.root}/sys/devices, for NUMA_HOST_ROOT is {tree.root}"
        " (the kustomize component near does)"
    )


def test_zfs_needs_udev(tree: HostTree) -> None:
    """The kernel tells nobody which devices a pool has."""
    tree.mounts("0:40 / /tank zfs tank/data rw")
    assert "which devices the ZFS pool tank has cannot be seen" in unseen(tree, "/tank")
    assert f"{tree.root}/run/udev/data" in unseen(tree, "/tank")


def test_a_directory_may_exist_where_it_cannot_be_seen(tree: HostTree) -> None:
    """Only if the host's / is seen is a directory known to be missing."""
    tree.disk("sda", on=tree.card("0000:17:00.0", node=1))
    tree.mounts("8:0 / / ext4 /dev/sda rw")
    assert tree.resolve("/var/lib/data").nodes == (1,)
    (tree.root / "etc").mkdir()
    assert tree.resolve("/var/lib/data").outcome is Outcome.ABSENT
    (tree.root / "var/lib/data").mkdir(parents=True)
    assert tree.resolve("/var/lib/data").nodes == (1,)


@pytest.mark.parametrize("file_system", ["nfs4", "fuse.sshfs", "autofs"])
def test_nobody_elses_file_system_is_looked_at(
    tree: HostTree, file_system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at a server's file system may never return, so none is taken, not at its root."""
    tree.mounts(f"0:50 / /mnt/far {file_system} x rw")
    (tree.root / "etc").mkdir()
    looked_at = []
    link, exists = files.link_target, os.path.exists
    monkeypatch.setattr(files, "link_target", lambda path: looked_at.append(path) or link(path))
    monkeypatch.setattr(os.path, "exists", lambda path: looked_at.append(path) or exists(path))
    tree.resolve("/mnt/far/deep/data")
    assert looked_at
    assert [path for path in looked_at if "/mnt/far" in str(path)] == []


def test_a_programs_file_system_on_a_disk(tree: HostTree) -> None:
    """NTFS in user space names its disk, but is not looked at either."""
    tree.disk("sda", on=tree.card("0000:17:00.0", node=1))
    tree.mounts("8:0 / /mnt/ntfs fuseblk /dev/sda rw")
    tree.host_link("/mnt/ntfs/x", "/elsewhere")
    assert tree.resolve("/mnt/ntfs/x").nodes == (1,)


def test_a_mount_point_by_a_link(tree: HostTree) -> None:
    """What a link leads to counts, also for `mount:`."""
    tree.disk("sda", on=tree.card("0000:17:00.0", node=1))
    tree.mounts("8:0 / /mnt/big ext4 /dev/sda rw")
    tree.host_link("/data", "mnt/big")
    assert tree.resolve("mount:/data").nodes == (1,)


def test_links_of_the_host_in_a_circle(tree: HostTree) -> None:
    """The path is named."""
    tree.mounts()
    tree.host_link("/a", "b")
    tree.host_link("/b", "a")
    assert unseen(tree, "/a/x").endswith("/a/x: cannot be read: Too many levels of symbolic links")
