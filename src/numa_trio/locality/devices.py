"""The devices of a machine that a target could name: their nodes, and how people know them."""

import posixpath
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from numa_trio.locality.files import (
    Unreadable,
    is_link,
    link_target,
    names_in,
    read_text,
    real_folder,
)
from numa_trio.locality.network import interfaces_folder
from numa_trio.locality.resolve import resolve_device
from numa_trio.locality.result import Resolution
from numa_trio.locality.survey import Survey
from numa_trio.locality.target import Kind
from numa_trio.locality.things import DeadEnd, Device

_SECTOR_BYTES = 512  # of the files `size`, whatever the disk's own sectors
_MOST = 4096

# The classes of PCI: display controllers, coprocessors and processing accelerators.
_GPU_CLASSES = ("0x03", "0x0b40", "0x12")


@frozen
class Disk:
    """A disk with hardware: no partition, and nothing that is made of other disks."""

    resolution: Resolution
    model: str | None
    size_bytes: int | None


@frozen
class Interface:
    """A network interface with hardware; `speed_mbps` is None while it has no link."""

    resolution: Resolution
    driver: str | None
    speed_mbps: int | None


@frozen
class Card:
    """A GPU or other accelerator; `model` is its vendor's and its own number, as in 10de:20b0."""

    resolution: Resolution
    driver: str | None
    model: str | None


@frozen
class Infiniband:
    """An InfiniBand device, also one of RoCE or iWARP."""

    resolution: Resolution


def disks(survey: Survey) -> list[Disk]:
    """The disks in order of name."""
    return [
        Disk(resolve_device(survey, device), _model(device.folder), _size(device.folder))
        for device in disk_devices(survey)
    ]


def disk_devices(survey: Survey) -> list[Device]:
    """The disks alone, without what there is to say of them."""
    return _devices(survey.host.sysfs / "class/block", Kind.DISK, _is_disk)


def interfaces(survey: Survey) -> list[Interface]:
    """The network interfaces in order of name; none where the host's cannot be seen."""
    return [
        Interface(
            resolve_device(survey, device),
            _driver(device.folder / "device"),
            _speed(device.folder),
        )
        for device in interface_devices(survey) or ()
    ]


def interface_devices(survey: Survey) -> list[Device] | None:
    """The network interfaces alone; None where the host's cannot be seen."""
    folder = interfaces_folder(survey)
    return None if isinstance(folder, DeadEnd) else _devices(folder, Kind.NET, _has_hardware)


def infiniband(survey: Survey) -> list[Infiniband]:
    """The InfiniBand devices in order of name."""
    devices = _devices(survey.host.sysfs / "class/infiniband", Kind.IB, lambda _: True)
    return [Infiniband(resolve_device(survey, device)) for device in devices]


def gpus(survey: Survey) -> list[Card]:
    """The GPUs and accelerators in order of address."""
    return [
        Card(
            resolve_device(survey, device),
            _driver(device.folder),
            _pci_model(device.folder),
        )
        for device in _devices(survey.host.sysfs / "bus/pci/devices", Kind.PCI, _is_gpu)
    ]


def _devices(folder: Path, kind: Kind, wanted: Callable[[Path], bool]) -> list[Device]:
    """The devices of a class that are wanted, as far as they can be seen, not above `_MOST`."""
    try:
        names = names_in(folder)
    except Unreadable:
        return []
    found: list[Device] = []
    for name in names:
        if len(found) == _MOST:
            break
        try:
            real = real_folder(folder / name)
        except Unreadable:
            continue
        if real is not None and wanted(real):
            found.append(Device(name.replace("!", "/"), real, kind))
    return found


def _is_disk(folder: Path) -> bool:
    return _has_hardware(folder) and _text(folder / "hidden") != "1"


def _is_gpu(folder: Path) -> bool:
    return (_text(folder / "class") or "").startswith(_GPU_CLASSES)


def _has_hardware(folder: Path) -> bool:
    """Whether the kernel shows the device that it is on; partitions and virtual ones have none."""
    return is_link(folder / "device")


def _text(path: Path) -> str | None:
    try:
        return read_text(path) or None
    except Unreadable:  # the speed of an interface without a link, for one
        return None


def _model(disk: Path) -> str | None:
    return _text(disk / "device/model")


def _size(disk: Path) -> int | None:
    sectors = _number(_text(disk / "size"))
    return None if sectors is None else sectors * _SECTOR_BYTES


def _speed(interface: Path) -> int | None:
    return _number(_text(interface / "speed")) or None


def _driver(device: Path) -> str | None:
    target = link_target(device / "driver")
    return None if target is None else posixpath.basename(target)


def _pci_model(card: Path) -> str | None:
    vendor, device = _text(card / "vendor"), _text(card / "device")
    if vendor is None or device is None:
        return None
    return f"{vendor.removeprefix('0x')}:{device.removeprefix('0x')}"


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None
