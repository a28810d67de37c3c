"""Network interfaces and InfiniBand devices, and what bonds, VLANs and bridges consist of.

The links are described in the kernel's Documentation/ABI/testing/sysfs-class-net.
"""

from pathlib import Path

from numa_trio.locality.files import (
    Unreadable,
    exists,
    is_folder,
    is_link,
    names_in,
    read_text,
    real_folder,
)
from numa_trio.locality.numa_node import is_virtual
from numa_trio.locality.result import Outcome
from numa_trio.locality.survey import Survey
from numa_trio.locality.target import Kind
from numa_trio.locality.things import DeadEnd, Device, absent, unseen

_LOWER = "lower_"


def find_interface(survey: Survey, name: str) -> Device | DeadEnd:
    """The network interface of the host's with this name. Raises `Unreadable`."""
    folder = interfaces_folder(survey)
    if isinstance(folder, DeadEnd):
        return folder
    found = _interface(folder, name)
    if found is None and is_link(folder / name):
        what = f"the device of the network interface {name}"
        return unseen(survey.host.how_to_see("/sys/devices", what))
    return absent(f"there is no network interface {name}") if found is None else found


def interfaces_folder(survey: Survey) -> Path | DeadEnd:
    """The folder that lists the host's interfaces, or why it cannot be seen."""
    host = survey.host
    folder = host.network_sysfs / "class/net"
    try:
        names = names_in(folder)
    except Unreadable as problem:
        return unseen(str(problem))
    if host.network_sysfs != host.sysfs or any(exists(folder / name / "device") for name in names):
        return folder
    # Sysfs shows the interfaces of the network namespace in which it was mounted. That of a pod
    # has virtual ones, which may have the names of the host's.
    remedy = host.how_to_see("/sys/class/net", "what the host has")
    return unseen(
        f"{folder} has no interface with hardware, as in a pod's network namespace; {remedy},"
        " and /sys/devices beside it"
    )


def find_infiniband(survey: Survey, name: str) -> Device | DeadEnd:
    """The InfiniBand device with this name. Raises `Unreadable`."""
    folder = real_folder(survey.host.sysfs / "class/infiniband" / name)
    if folder is None:
        return absent(f"there is no InfiniBand device {name}")
    return Device(name, folder, Kind.IB)


def below_interface(survey: Survey, interface: Device) -> tuple[Device, ...]:
    """The interfaces of which a bond, a bridge or a VLAN consists, without virtual machines'.

    Raises `Unreadable`.
    """
    folder = interface.folder
    names = [
        *(name.removeprefix(_LOWER) for name in names_in(folder) if name.startswith(_LOWER)),
        *names_in(folder / "brif"),
        *(read_text(folder / "bonding/slaves") or "").split(),
    ]
    classes = survey.host.network_sysfs / "class/net"
    members = (_interface(classes, name) for name in dict.fromkeys(names))
    return tuple(each for each in members if each is not None and not _is_end_of_pipe(each))


def below_infiniband(survey: Survey, device: Device) -> tuple[Device, ...] | DeadEnd:
    """The interface on which a device in software (RoCE, iWARP) is built; nothing for hardware.

    Raises `Unreadable`.
    """
    parent = read_text(device.folder / "parent")
    return interface_below(survey, parent) if parent else ()


def interface_below(survey: Survey, name: str) -> tuple[Device, ...] | DeadEnd:
    """The interface that a device uses, which may have gone into a pod's network namespace.

    Raises `Unreadable`.
    """
    found = find_interface(survey, name)
    if isinstance(found, Device):
        return (found,)
    return DeadEnd(found.reason) if found.outcome is Outcome.ABSENT else found


def _interface(folder: Path, name: str) -> Device | None:
    found = real_folder(folder / name)
    return None if found is None else Device(name, found, Kind.NET)


def _is_end_of_pipe(interface: Device) -> bool:
    """Whether it is the end of something that leads to a pod or a virtual machine."""
    return (
        is_virtual(interface.folder)
        and not any(name.startswith(_LOWER) for name in names_in(interface.folder))
        and not is_folder(interface.folder / "brif")
        and not is_folder(interface.folder / "bonding")
    )
