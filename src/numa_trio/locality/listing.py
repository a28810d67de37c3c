"""The devices and mounts of a machine under the NUMA nodes that they are near."""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from attrs import frozen

from numa_trio.locality.devices import (
    Card,
    Disk,
    Infiniband,
    Interface,
    disks,
    gpus,
    infiniband,
    interfaces,
)
from numa_trio.locality.files import Unreadable
from numa_trio.locality.filesystems import below_mount
from numa_trio.locality.find import Found
from numa_trio.locality.mountinfo import Mount
from numa_trio.locality.network import interfaces_folder
from numa_trio.locality.resolve import resolve_found
from numa_trio.locality.result import Resolution
from numa_trio.locality.survey import Survey
from numa_trio.locality.things import DeadEnd

_MOST_MOUNTS = 4096


class _Local(Protocol):
    @property
    def resolution(self) -> Resolution: ...


T = TypeVar("T", bound=_Local)


@frozen
class MountPoint:
    """A mount point whose file system is on devices."""

    resolution: Resolution
    file_system: str
    source: str


@frozen
class Listing:
    """What a target could name; the name is `resolution.target`.

    `hidden` says what cannot be seen, and what to do about it.
    """

    disks: tuple[Disk, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    infiniband: tuple[Infiniband, ...] = ()
    gpus: tuple[Card, ...] = ()
    mounts: tuple[MountPoint, ...] = ()
    hidden: tuple[str, ...] = ()

    def near(self, node: int) -> "Listing":
        """What is near this node, and maybe near others too."""
        return self._those(lambda nodes: node in nodes)

    def near_no_node(self) -> "Listing":
        """What is near no node that is known."""
        return self._those(lambda nodes: not nodes)

    def _those(self, wanted: Callable[[tuple[int, ...]], bool]) -> "Listing":
        def choose(locals_: Iterable[T]) -> tuple[T, ...]:
            return tuple(each for each in locals_ if wanted(each.resolution.nodes))

        return Listing(
            choose(self.disks),
            choose(self.interfaces),
            choose(self.infiniband),
            choose(self.gpus),
            choose(self.mounts),
        )


def list_machine(survey: Survey) -> Listing:
    """All disks, interfaces, InfiniBand devices, GPUs and mounts on devices. Never raises."""
    mounts = _mount_points(survey)
    return Listing(
        tuple(disks(survey)),
        tuple(interfaces(survey)),
        tuple(infiniband(survey)),
        tuple(gpus(survey)),
        () if isinstance(mounts, DeadEnd) else tuple(mounts),
        tuple(
            end.reason for end in (interfaces_folder(survey), mounts) if isinstance(end, DeadEnd)
        ),
    )


def _mount_points(survey: Survey) -> list[MountPoint] | DeadEnd:
    table = survey.mounts()
    if isinstance(table, DeadEnd):
        return table
    found = []
    for mount in _one_of_each(table.mounts)[:_MOST_MOUNTS]:
        try:
            below = below_mount(survey, mount)
        except Unreadable:
            continue
        if not isinstance(below, DeadEnd):
            resolution = resolve_found(survey, mount.point, Found(below))
            found.append(MountPoint(resolution, mount.file_system, mount.source))
    return found


def _one_of_each(mounts: Iterable[Mount]) -> list[Mount]:
    """A mount of each file system that is on devices: the one of most of it, by mount point.

    The others are bind mounts, of which kubelet makes many; overlays are containers'.
    """
    best: dict[tuple[str, str], Mount] = {}
    for mount in mounts:
        on_devices = mount.has_block_device or mount.source.startswith("/dev/")
        if on_devices or mount.file_system == "zfs":
            key = (mount.device, mount.source)
            known = best.get(key)
            if known is None or len(mount.root) < len(known.root):
                best[key] = mount
    return sorted(best.values(), key=lambda mount: mount.point)
