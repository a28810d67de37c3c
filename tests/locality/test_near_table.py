"""The rows of the table in docs/near.md: how each kind of target is resolved."""

import pytest
from host_tree import ONE_NODE, HostTree, node

from numa_trio.locality.result import Outcome, Resolution, Told
from numa_trio.topology.machine import Machine

MIRRORED = ("nvme0n1p1+nvme2n1p1", "nvme0n1+nvme2n1", "0000:81:00.0+0000:41:00.0")


def near(resolution: Resolution) -> tuple[tuple[int, ...], tuple[str, ...]]:
    assert resolution.outcome is Outcome.NEAR, resolution
    assert resolution.reason is None
    return resolution.nodes, resolution.chain


def unknown(resolution: Resolution) -> str:
    assert resolution.outcome is Outcome.UNKNOWN
    assert resolution.nodes == ()
    assert resolution.reason is not None
    return resolution.reason


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


def test_machine_with_one_node(server: HostTree) -> None:
    """Where there is one node only, whatever is there is near it, also if the kernel knows none."""
    resolution = server.resolve("nvme0n1", ONE_NODE, rooted=False)
    assert near(resolution) == ((0,), ("nvme0n1",))
    assert resolution.notes == ("the machine has one NUMA node only",)


GPU_MACHINE = Machine(
    (node(0, "01", to_250=80), node(8, "23", to_250=40), node(250, to_0=80, to_8=40))
)


def test_device_near_a_node_without_cpus(tree: HostTree) -> None:
    """Near the memory of a GPU counts the nearest node with CPUs, and that is said."""
    tree.card("0004:04:00.0", node=250)
    resolution = tree.resolve("0004:04:00.0", GPU_MACHINE)
    assert near(resolution) == ((8,), ("0004:04:00.0",))
    assert resolution.notes == ("node 250 has no CPUs; nearest with CPUs, at distance 40: node 8",)


@pytest.mark.parametrize("target", ["eth1", "net:eth1"])
def test_network_interface(vm: HostTree, target: str) -> None:
    """An interface is near its card."""
    assert near(vm.resolve(target)) == ((1,), ("eth1", "0000:84:00.0"))


def test_bond(vm: HostTree) -> None:
    """A bond is near the nodes of all its interfaces."""
    assert near(vm.resolve("bond0")) == (
        (0, 1),
        ("bond0", "eth1+eth2", "0000:84:00.0+0000:44:00.0"),
    )


def test_vlan_on_a_bond(vm: HostTree) -> None:
    """A VLAN is where the interface below is, and so is that."""
    assert near(vm.resolve("net:bond0.100")) == (
        (0, 1),
        ("bond0.100", "bond0", "eth1+eth2", "0000:84:00.0+0000:44:00.0"),
    )


def test_bridge_without_its_pods(vm: HostTree) -> None:
    """A bridge is near its hardware; the pods that come and go on it count for nothing."""
    assert near(vm.resolve("br0")) == (
        (0, 1),
        ("br0", "bond0.100", "bond0", "eth1+eth2", "0000:84:00.0+0000:44:00.0"),
    )


def test_virtual_function(tree: HostTree) -> None:
    """A virtual function that knows no node is where its card is."""
    card = tree.card("0000:5e:00.0", node=1)
    function = tree.card("0000:5e:02.1", node=-1)
    tree.link(f"{function}/physfn", card)
    tree.interface("eth5", on=function)
    assert near(tree.resolve("eth5")) == ((1,), ("eth5", "0000:5e:02.1"))


def test_interface_without_hardware(vm: HostTree) -> None:
    """A loopback or dummy interface is near no node."""
    assert unknown(vm.resolve("lo")).startswith("lo is virtual")


@pytest.mark.parametrize("target", ["ib:mlx4_0", "mlx4_0"])
def test_infiniband_device(server: HostTree, target: str) -> None:
    """An InfiniBand device is near its card."""
    assert near(server.resolve(target, rooted=False)) == ((1,), ("mlx4_0", "0000:82:00.0"))


def test_infiniband_in_software(tree: HostTree) -> None:
    """RoCE in software is where the interface is on which it was built."""
    tree.interface("eth2", on=tree.card("0000:5e:00.0", node=1))
    device = "devices/virtual/infiniband/rxe0"
    tree.write(f"{device}/parent", "eth2")
    tree.link("class/infiniband/rxe0", device)
    assert near(tree.resolve("ib:rxe0")) == ((1,), ("rxe0", "eth2", "0000:5e:00.0"))


@pytest.mark.parametrize("target", ["0000:83:00.0", "pci:0000:83:00.0", "83:00.0"])
def test_pci_device(server: HostTree, target: str) -> None:
    """A card by its address, in domain 0 also without it."""
    assert near(server.resolve(target, rooted=False)) == ((1,), ("0000:83:00.0",))


def test_mount_point(vm: HostTree) -> None:
    """A mount point is where the device of its file system is."""
    assert near(vm.resolve("mount:/data")) == ((1,), ("nvme0n1p2", "nvme0n1", "0000:81:00.0"))


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
