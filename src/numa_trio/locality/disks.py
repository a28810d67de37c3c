"""What a block device consists of: disks below partitions, RAID, LVM, LUKS, multipath and loops."""

import re

from numa_trio.locality.block import by_kernel_name, device_at
from numa_trio.locality.files import exists, is_folder, is_link, names_in, read_text, real_folder
from numa_trio.locality.network import interface_below
from numa_trio.locality.result import joined
from numa_trio.locality.survey import Survey
from numa_trio.locality.target import Kind
from numa_trio.locality.things import DeadEnd, Device, HostFile, Thing, absent

# nvme<subsystem>n<namespace> is what all paths share, nvme<subsystem>c<controller>n<namespace> one.
_SHARED = re.compile(r"nvme([0-9]+)n([0-9]+)")
_CONTROLLER = re.compile(r"nvme[0-9]+")
_OWN_INTERFACE = re.compile(r"host_iface=([^,]+)")

_NETWORKED = {"nbd": "a network block device", "rbd": "a Ceph RADOS block device"}
_DELETED = " (deleted)"


def below_disk(survey: Survey, disk: Device) -> tuple[Thing, ...] | DeadEnd:
    """What the disk consists of, nothing for hardware; or why that is unknown.

    Raises `Unreadable`.
    """
    if exists(disk.folder / "partition"):
        whole = device_at(disk.folder.parent)
        return () if whole is None else (whole,)
    if re.fullmatch(r"loop[0-9]+", disk.name):
        return _file_of_loop(disk)
    names = names_in(disk.folder / "slaves")
    members = [by_kernel_name(survey, name) for name in names]
    found = tuple(member for member in members if member is not None)
    if found:
        return found
    if names:  # the links stay when the disks are pulled out
        return absent(f"{disk.name} consists of {joined(names)}, which is gone")
    for kind in ("dm", "md"):
        if is_folder(disk.folder / kind):
            return DeadEnd(f"{disk.name} has no members now")
    for prefix, what in _NETWORKED.items():
        if re.fullmatch(rf"{prefix}[0-9]+", disk.name):
            return DeadEnd(f"{disk.name} is {what}")
    if re.fullmatch(r"zd[0-9]+", disk.name):
        return DeadEnd(f"{disk.name} is a ZFS volume, whose disks sysfs does not tell")
    return _paths(disk) or _network_of(survey, disk)


def _file_of_loop(disk: Device) -> tuple[Thing, ...] | DeadEnd:
    path = read_text(disk.folder / "loop/backing_file")
    if not path:
        return DeadEnd(f"{disk.name} has no file now")
    if path.endswith(_DELETED):
        return DeadEnd(f"{disk.name} has a file that is deleted: {path.removesuffix(_DELETED)}")
    return (HostFile(path),)


def _paths(disk: Device) -> tuple[Thing, ...]:
    """The paths to an NVMe namespace that several controllers may share."""
    linked = [device_at(disk.folder / "multipath" / n) for n in names_in(disk.folder / "multipath")]
    found = tuple(path for path in linked if path is not None)
    shared = _SHARED.fullmatch(disk.name)
    if found or shared is None:
        return found
    # Kernels before 6.15 link only the controllers, in the folder of the subsystem.
    subsystem = disk.folder.parent
    name = re.compile(rf"nvme{shared[1]}c[0-9]+n{shared[2]}")
    controllers = [
        folder
        for entry in names_in(subsystem)
        if _CONTROLLER.fullmatch(entry) and is_link(subsystem / entry)
        for folder in [real_folder(subsystem / entry)]
        if folder is not None
    ]
    paths = [
        Device(entry, folder / entry, Kind.DISK)
        for folder in controllers
        for entry in names_in(folder)
        if name.fullmatch(entry)
    ]
    return tuple(paths or [Device(folder.name, folder, Kind.DISK) for folder in controllers])


def _network_of(survey: Survey, disk: Device) -> tuple[Thing, ...] | DeadEnd:
    """The interface by which an NVMe namespace is reached over TCP, if it is bound to one."""
    for folder in (disk.folder, disk.folder.parent):
        transport = read_text(folder / "transport")
        if transport in (None, "pcie"):
            continue
        interface = _OWN_INTERFACE.search(read_text(folder / "address") or "")
        if interface is None:
            return DeadEnd(f"{disk.name} is reached by NVMe over {transport}")
        return interface_below(survey, interface[1])
    return ()
