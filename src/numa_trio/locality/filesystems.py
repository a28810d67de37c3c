"""File systems: the devices on which what lies at a path of the host is stored."""

import re
from collections.abc import Sequence
from pathlib import Path
from posixpath import basename

from numa_trio.locality.block import by_kernel_name, by_number, device_at, find_disk
from numa_trio.locality.files import Unreadable, is_folder, names_in, read_text
from numa_trio.locality.host import UDEV
from numa_trio.locality.mountinfo import Mount
from numa_trio.locality.survey import Survey
from numa_trio.locality.things import DeadEnd, Device, HostFile, Thing, absent, unseen
from numa_trio.plain_text import quoted

_ON_SERVERS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "9p", "afs", "lustre"}
    | {"beegfs", "gpfs", "glusterfs", "orangefs", "wekafs"}
)
_IN_MEMORY = frozenset({"tmpfs", "ramfs", "rootfs", "devtmpfs", "hugetlbfs"})
# Between the layers of an overlay; one within a path is escaped.
_COLON = re.compile(r"(?<!\\):")


def below_file(survey: Survey, file: HostFile) -> tuple[Thing, ...] | DeadEnd:
    """What a file is stored on. Raises `Unreadable`."""
    spot = survey.spot(file.path)
    return spot if isinstance(spot, DeadEnd) else below_mount(survey, spot.mount)


def below_mount(survey: Survey, mount: Mount) -> tuple[Thing, ...] | DeadEnd:
    """The devices of a file system, or the folder that it shows; or why it has none.

    Raises `Unreadable`.
    """
    kind = mount.file_system
    if kind == "overlay":
        return _of_overlay(mount)
    if kind == "zfs":
        return _of_zfs(survey, mount)
    if kind == "btrfs":
        return _of_btrfs(survey, mount)
    if kind == "bcachefs":
        return _all_of(survey, mount.source.split(":"))
    if kind == "autofs":
        return absent(f"nothing is mounted yet at {mount.point}, which is mounted when it is used")
    if mount.has_block_device:
        return _of_number(survey, mount)
    if mount.source.startswith("/dev/"):
        return _all_of(survey, [mount.source])
    return _without_device(mount)


def _of_number(survey: Survey, mount: Mount) -> tuple[Thing, ...] | DeadEnd:
    """The device of this number; where sysfs lists no numbers, of the source's name.

    When a disk is pulled out, its mounts stay. Its name may then be that of another one, or of the
    same disk in another place, on which this mount is not.
    """
    device = by_number(survey, mount.device)
    if device is not None:
        return (device,)
    if is_folder(survey.host.sysfs / "dev/block"):
        return absent(f"the disk that is mounted at {mount.point} is gone ({mount.device})")
    return _all_of(survey, [mount.source])


def _without_device(mount: Mount) -> DeadEnd:
    kind = mount.file_system
    if kind in _ON_SERVERS:
        return DeadEnd(f"{mount.point} is on a server ({kind}), near no node of this machine")
    if kind in _IN_MEMORY:
        return DeadEnd(f"{mount.point} is in memory ({kind}), of whatever node is used")
    if kind.startswith("fuse"):
        return DeadEnd(f"{mount.point} is served by a program ({kind}), not from a device")
    return DeadEnd(f"{mount.point} has no block device ({kind})")


def _of_overlay(mount: Mount) -> tuple[Thing, ...] | DeadEnd:
    """The folder that takes what is written; of a read-only overlay the uppermost."""
    folder = mount.options.get("upperdir")
    if not folder:
        layers = mount.options.get("lowerdir") or mount.options.get("lowerdir+", "")
        folder = _COLON.split(layers)[0].replace("\\:", ":")
    if not folder.startswith("/"):
        return DeadEnd(f"{mount.point} is an overlay of folders that it does not name in full")
    return (HostFile(folder),)


def _of_btrfs(survey: Survey, mount: Mount) -> tuple[Thing, ...] | DeadEnd:
    """All devices of the file system, of which the mount table names one."""
    first = find_disk(survey, mount.source)
    # A disk that was pulled out stays in the mount table, and is still listed among the others.
    kernel_name = first.folder.name if isinstance(first, Device) else basename(mount.source)
    systems = survey.host.sysfs / "fs/btrfs"
    for name in names_in(systems):
        members = names_in(systems / name / "devices")
        if kernel_name in members:
            found = (device_at(systems / name / "devices" / member) for member in members)
            devices = tuple(device for device in found if device is not None)
            if devices:
                return devices
    return first if isinstance(first, DeadEnd) else (first,)


def _of_zfs(survey: Survey, mount: Mount) -> tuple[Thing, ...] | DeadEnd:
    """The devices that udev has seen to be of the pool, which the kernel itself tells nobody."""
    pool = mount.source.partition("/")[0]
    folder = survey.host.inside(UDEV)
    if folder is None or not survey.host.shows(UDEV):
        return unseen(survey.host.how_to_see(UDEV, f"which devices the ZFS pool {pool} has"))
    found = [
        by_number(survey, name.removeprefix("b"))
        for name in names_in(folder)
        if name.startswith("b") and _is_member(folder / name, pool)
    ]
    devices = tuple(device for device in found if device is not None)
    return devices or DeadEnd(f"udev knows no device of the ZFS pool {quoted(pool)}")


def _is_member(record: Path, pool: str) -> bool:
    try:
        lines = (read_text(record) or "").splitlines()
    except Unreadable:
        return False
    return "E:ID_FS_TYPE=zfs_member" in lines and f"E:ID_FS_LABEL={pool}" in lines


def _all_of(survey: Survey, names: Sequence[str]) -> tuple[Thing, ...] | DeadEnd:
    found: list[Device] = []
    for name in names:
        disk = find_disk(survey, name) if name.startswith("/") else by_kernel_name(survey, name)
        if disk is None:
            return DeadEnd(f"the mount table names {quoted(name)} as its device, which is none")
        if isinstance(disk, DeadEnd):
            return DeadEnd(f"the mount table names {quoted(name)} as its device: {disk.reason}")
        found.append(disk)
    return tuple(found)
