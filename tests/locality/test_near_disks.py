"""Rows of the table in docs/near.md: disks."""

import pytest

from host_tree import MIRRORED, HostTree, near, unknown
from numa_trio.locality.result import Told


@pytest.mark.parametrize("target", ["nvme0n1", "disk:nvme0n1", "/dev/nvme0n1", "disk:/dev/nvme0n1"])
def test_disk_by_its_kernel_name(vm: HostTree, target: str) -> None:
    """A disk is near the node of the card that it hangs on; sysfs alone tells."""
    assert near(vm.resolve(target, rooted=False)) == ((1,), ("nvme0n1", "0000:81:00.0"))


def test_partition(vm: HostTree) -> None:
    """A partition is where its disk is."""
    assert near(vm.resolve("/dev/nvme2n1p2", rooted=False)) == (
        (0,),
        ("nvme2n1p2", "nvme2n1", "0000:41:00.0"),
    )


def test_link_that_udev_made(tree: HostTree) -> None:
    """A name by id, path or label is a link below /dev, of which no more than the text counts."""
    tree.disk("sda", on=tree.card("0000:17:00.0", node=1))
    tree.host_link("/dev/disk/by-id/ata-X", "../../sda")
    assert near(tree.resolve("/dev/disk/by-id/ata-X")) == ((1,), ("sda", "0000:17:00.0"))


@pytest.mark.parametrize("target", ["/dev/mapper/vg--0-data", "/dev/vg-0/data", "/dev/dm-1"])
def test_volume_by_its_name(vm: HostTree, target: str) -> None:
    """Names of LVM and of device-mapper are in sysfs: no look at /dev is needed."""
    assert near(vm.resolve(target, rooted=False)) == ((0, 1), ("dm-1", "dm-0", "md0", *MIRRORED))


def test_lvm_on_luks_on_md(vm: HostTree) -> None:
    """A volume on an encrypted RAID is followed down to all its disks."""
    resolution = vm.resolve("mount:/var/lib/elasticsearch")
    assert near(resolution) == ((0, 1), ("dm-1", "dm-0", "md0", *MIRRORED))
    assert resolution.told == (Told("0000:81:00.0", 1), Told("0000:41:00.0", 0))


def test_md_over_two_nodes(vm: HostTree) -> None:
    """A RAID of disks on several nodes is near all of them, and that is said."""
    resolution = vm.resolve("/dev/md0", rooted=False)
    assert near(resolution) == ((0, 1), ("md0", *MIRRORED))
    assert resolution.notes == ("on several nodes: 0000:41:00.0 on node 0; 0000:81:00.0 on node 1",)


def test_bcache(tree: HostTree) -> None:
    """A cached disk is near both the disk and the cache."""
    disk = tree.disk("sda", on=tree.card("0000:17:00.0", node=0), number="8:0")
    cache = tree.disk("sdb", on=tree.card("0000:18:00.0", node=0), number="8:16")
    tree.stacked("bcache0", disk, cache, number="252:0")
    assert near(tree.resolve("bcache0")) == (
        (0,),
        ("bcache0", "sda+sdb", "0000:17:00.0+0000:18:00.0"),
    )


def test_nvme_shared_by_controllers(vm: HostTree) -> None:
    """An NVMe namespace with several paths is near the nodes of all their controllers."""
    assert near(vm.resolve("nvme3n1", rooted=False)) == (
        (0, 1),
        ("nvme3n1", "nvme3c1n1+nvme3c3n1", "0000:82:00.0+0000:42:00.0"),
    )


def test_nvme_with_linked_paths(tree: HostTree) -> None:
    """Since Linux 6.15 a shared NVMe namespace has links to its paths."""
    card = tree.card("0000:81:00.0", node=1)
    path = f"{card}/nvme/nvme1/nvme1c1n1"
    tree.write(f"{path}/hidden", "1")
    head = tree.folder("devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1")
    tree.link("class/block/nvme1n1", head)
    tree.link(f"{head}/multipath/nvme1c1n1", path)
    assert near(tree.resolve("nvme1n1")) == ((1,), ("nvme1n1", "nvme1c1n1", "0000:81:00.0"))


def over_tcp(tree: HostTree, address: str) -> None:
    controller = "devices/virtual/nvme-fabrics/ctl/nvme0"
    tree.write(f"{controller}/transport", "tcp")
    tree.write(f"{controller}/numa_node", "-1")
    tree.write(f"{controller}/address", address)
    tree.write(f"{controller}/nvme0n1/dev", "259:0")
    tree.link("class/block/nvme0n1", f"{controller}/nvme0n1")
    tree.interface("eth2", on=tree.card("0000:5e:00.0", node=1))


def test_nvme_over_tcp(tree: HostTree) -> None:
    """An NVMe namespace on a server is near the interface to which the connection is bound."""
    over_tcp(tree, "traddr=192.0.2.7,trsvcid=4420,host_iface=eth2")
    assert near(tree.resolve("nvme0n1")) == ((1,), ("nvme0n1", "eth2", "0000:5e:00.0"))


def test_nvme_over_tcp_by_any_way(tree: HostTree) -> None:
    """Without an interface of its own nobody knows by which one the connection goes."""
    over_tcp(tree, "traddr=192.0.2.7,trsvcid=4420")
    assert unknown(tree.resolve("nvme0n1")) == "nvme0n1 is reached by NVMe over tcp"


def test_loop_on_a_file(vm: HostTree) -> None:
    """A loop device is where its file is stored, which the host's mount table tells."""
    assert near(vm.resolve("loop0")) == (
        (0, 1),
        ("loop0", "/srv/btrfs/img", "sda+vda", "0000:83:00.0+0000:43:00.0"),
    )


def test_scsi_disk_behind_a_virtual_adapter(vm: HostTree) -> None:
    """Between a disk and its card there may be any number of buses."""
    assert near(vm.resolve("sda", rooted=False)) == ((1,), ("sda", "0000:83:00.0"))


def test_disk_on_usb(tree: HostTree) -> None:
    """A USB disk is near its controller."""
    controller = tree.card("0000:00:14.0", node=0)
    tree.disk("sdc", on=tree.folder(f"{controller}/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0"))
    assert near(tree.resolve("sdc")) == ((0,), ("sdc", "0000:00:14.0"))


def test_persistent_memory(server: HostTree) -> None:
    """Persistent memory tells its node itself."""
    assert near(server.resolve("pmem1", rooted=False)) == ((1,), ("pmem1", "namespace1.0"))


@pytest.mark.parametrize("own", [None, "-1"])
def test_device_whose_bridge_tells(tree: HostTree, own: str | None) -> None:
    """What does not know its node is near the device above that does."""
    bridge = tree.card("0000:16:02.0", node=1)
    card = tree.folder(f"{bridge}/0000:17:00.0")
    tree.disk("sda", on=card)
    if own is not None:
        tree.write(f"{card}/numa_node", own)
    assert near(tree.resolve("sda")) == ((1,), ("sda", "0000:16:02.0"))


def test_disk_of_which_the_kernel_knows_no_node(server: HostTree) -> None:
    """Where every numa_node is -1 nothing is guessed from neighbours."""
    reason = unknown(server.resolve("nvme0n1p1", rooted=False))
    assert reason == "the kernel knows no node of 0000:00:02.0 (numa_node is -1)"


def test_disk_without_hardware(vm: HostTree) -> None:
    """Compressed memory and the like are near no node."""
    reason = unknown(vm.resolve("zram0", rooted=False))
    assert reason == "zram0 is virtual, with no hardware below that tells a node"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nbd0", "nbd0 is a network block device"),
        ("rbd3", "rbd3 is a Ceph RADOS block device"),
        ("zd16", "zd16 is a ZFS volume, whose disks sysfs does not tell"),
    ],
)
def test_disk_that_is_elsewhere(tree: HostTree, name: str, said: str) -> None:
    """Block devices of servers and pools are near no node, with the reason."""
    tree.disk(name)
    assert unknown(tree.resolve(name)) == said
