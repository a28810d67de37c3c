"""Finds what a target names: a device in sysfs, or what a file system of the host consists of."""

from attrs import frozen

from numa_trio.locality.block import find_disk
from numa_trio.locality.files import Unreadable, exists, real_folder
from numa_trio.locality.filesystems import below_mount
from numa_trio.locality.network import find_infiniband, find_interface
from numa_trio.locality.result import Outcome
from numa_trio.locality.survey import Spot, Survey
from numa_trio.locality.target import Kind, Target
from numa_trio.locality.things import DeadEnd, Device, Thing, absent, unseen

_FINDERS = {Kind.DISK: find_disk, Kind.NET: find_interface, Kind.IB: find_infiniband}


@frozen
class Found:
    """Where the way to the nodes begins, with what is to be said of it."""

    things: tuple[Thing, ...]
    notes: tuple[str, ...] = ()


def find(survey: Survey, target: Target) -> Found | DeadEnd:
    """What a target without a glob names, or why nothing."""
    try:
        if target.kind is Kind.MOUNT:
            return _find_mount(survey, target)
        device = _find_device(survey, target)
    except Unreadable as problem:
        return unseen(str(problem))
    return device if isinstance(device, DeadEnd) else Found((device,))


def _find_device(survey: Survey, target: Target) -> Device | DeadEnd:
    if target.kind is None:
        return _find_by_name(survey, target.name)
    if target.kind is Kind.PCI:
        return _find_card(survey, target.name)
    return _FINDERS[target.kind](survey, target.name)


def _find_card(survey: Survey, address: str) -> Device | DeadEnd:
    cards = survey.host.sysfs / "bus/pci/devices"
    folder = real_folder(cards / address)
    if folder is not None:
        return Device(address, folder, Kind.PCI)
    if real_folder(cards) is None:
        return unseen(f"{cards}: there is no such folder, so no PCI device can be seen")
    return absent(f"there is no PCI device {address}")


def _find_by_name(survey: Survey, name: str) -> Device | DeadEnd:
    """The one device of this name, whatever its kind."""
    results = {kind: finder(survey, name) for kind, finder in _FINDERS.items()}
    devices = {kind: found for kind, found in results.items() if isinstance(found, Device)}
    if len(devices) > 1:
        forms = " or ".join(f"{kind}:{name}" for kind in devices)
        return DeadEnd(f"{name} names several things: write {forms}", Outcome.AMBIGUOUS)
    for device in devices.values():
        return device
    hidden = [
        end.reason
        for end in results.values()
        if isinstance(end, DeadEnd) and end.outcome is Outcome.UNSEEN
    ]
    nothing = f"there is no block device, network interface or InfiniBand device {name}"
    return unseen(f"{nothing} in sight; {'; '.join(hidden)}") if hidden else absent(nothing)


def _find_mount(survey: Survey, target: Target) -> Found | DeadEnd:
    spot = survey.spot(target.name)
    if isinstance(spot, DeadEnd):
        return spot
    path, mount = spot.path, spot.mount
    upon = mount.point == path
    if target.prefixed and not upon:
        return absent(
            f"nothing is mounted at {path}; without 'mount:' it would be a directory on"
            f" {mount.point}"
        )
    if not upon and not _may_exist(survey, spot):
        return absent(f"there is no {path} on this host")
    below = below_mount(survey, mount)
    if isinstance(below, DeadEnd):
        return below
    return Found(below, () if upon else (f"{path} lies on what is mounted at {mount.point}",))


def _may_exist(survey: Survey, spot: Spot) -> bool:
    """Whether there is something, or might be, as far as can be seen without waiting."""
    seen = survey.host.inside(spot.path)
    return seen is None or spot.hangs or not survey.host.shows_everything or exists(seen)
