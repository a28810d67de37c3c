"""Devices as Linux shows them in /sys, and the host's mount table, for files of a test directory.

Of each device there is what tells its NUMA node: docs/near.md says what that is.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

from numa_trio.locality.mountinfo import is_below
from numa_trio.simulator.wiring import Attached, Kind

_NVME = re.compile(r"(nvme[0-9]+)n[0-9]+")
_PCI = Path("bus/pci/devices")
_FOLDERS = (_PCI, Path("class/block"), Path("class/net"))  # they are there, devices or not
_PCI_CLASSES = {Kind.DISK: "0x010802", Kind.INTERFACE: "0x020000", Kind.GPU: "0x030200"}
_BLOCK_MAJOR = 259  # the kernel's for disks that have no number of their own
_MEMBERS = {Kind.DISK: "slaves/", Kind.INTERFACE: "lower_"}

# What needs an escape in the mount table, as the kernel writes it.
_ESCAPED = re.compile(r"[ \t\n\\#]")


@frozen
class _Link:
    """A symbolic link in sysfs to another of its paths."""

    path: Path
    target: Path


def write_devices(sysfs: Path, wiring: Sequence[Attached]) -> None:
    """Write the devices into a sysfs, over those of the same name that it has."""
    for folder in _FOLDERS:
        (sysfs / folder).mkdir(parents=True, exist_ok=True)
    folders = {(each.kind, each.name): _folder(each) for each in wiring}
    for number, each in enumerate(wiring):
        for path, text in _files(each, number):
            _write(sysfs / path, f"{text}\n".encode())
        members = [folders[each.kind, member] for member in each.members]
        for link in _links(each, number, members):
            _link(sysfs / link.path, os.path.relpath(link.target, link.path.parent))


def write_host(root: Path, sysfs: Path, wiring: Sequence[Attached]) -> None:
    """Write what `NUMA_HOST_ROOT` shows of a host that has these devices, and this sysfs."""
    _write(root / "proc/1/mountinfo", b"".join(_mount_table(wiring)))
    _write(root / "dev/null", b"")  # all of /dev can be seen, and nothing is in it
    _link(root / "sys", str(sysfs))


def _folder(device: Attached) -> Path:
    """Where sysfs has the device."""
    if device.members:
        virtual = "block" if device.kind is Kind.DISK else "net"
        return Path("devices/virtual") / virtual / device.name
    card = _card(device)
    if device.kind is Kind.GPU:
        return card
    if device.kind is Kind.INTERFACE:
        return card / "net" / device.name
    controller = _controller(device)
    return controller / device.name if controller else card / "block" / device.name


def _card(device: Attached) -> Path:
    return Path("devices") / f"pci{device.pci.rpartition(':')[0]}" / device.pci


def _controller(device: Attached) -> Path | None:
    """The folder of the NVMe controller, if it is a disk that has one."""
    nvme = _NVME.fullmatch(device.name)
    return _card(device) / "nvme" / nvme[1] if nvme else None


def _files(device: Attached, number: int) -> Iterator[tuple[Path, str]]:
    if device.kind is Kind.DISK:
        yield _folder(device) / "dev", f"{_BLOCK_MAJOR}:{number}"
    if device.members:
        return
    yield _card(device) / "class", _PCI_CLASSES[device.kind]
    yield _card(device) / "numa_node", str(device.node)
    if device.kind is Kind.DISK and (controller := _controller(device)):
        yield controller / "address", device.pci
        yield controller / "numa_node", str(device.node)
        yield controller / "transport", "pcie"


def _links(device: Attached, number: int, members: Sequence[Path]) -> Iterator[_Link]:
    folder = _folder(device)
    if device.kind is Kind.DISK:
        yield _Link(Path("class/block") / device.name, folder)
        yield _Link(Path("dev/block") / f"{_BLOCK_MAJOR}:{number}", folder)
    if device.kind is Kind.INTERFACE:
        yield _Link(Path("class/net") / device.name, folder)
    for member in members:
        yield _Link(Path(f"{folder}/{_MEMBERS[device.kind]}{member.name}"), member)
    if device.members:
        return
    yield _Link(_PCI / device.pci, _card(device))
    if device.kind is not Kind.GPU:
        controller = _controller(device) if device.kind is Kind.DISK else None
        yield _Link(folder / "device", controller or _card(device))


def _mount_table(wiring: Sequence[Attached]) -> Iterator[bytes]:
    """Its lines, each after those of the mounts upon which it is."""
    mounts = {
        each.mount: (f"{_BLOCK_MAJOR}:{number}", f"ext4 /dev/{each.name}")
        for number, each in enumerate(wiring)
        if each.mount
    }
    mounts.setdefault("/", ("0:2", "rootfs rootfs"))
    ids: dict[str, int] = {}
    for number, (point, (device, source)) in enumerate(sorted(mounts.items()), start=2):
        parent = [ids[above] for above in ids if is_below(point, above)][-1:] or [1]
        ids[point] = number
        line = f"{number} {parent[0]} {device} / {_escaped(point)} rw,relatime - {source} rw\n"
        yield os.fsencode(line)


def _escaped(path: str) -> str:
    return _ESCAPED.sub(lambda match: f"\\{ord(match[0]):03o}", path)


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _link(link: Path, target: str) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
