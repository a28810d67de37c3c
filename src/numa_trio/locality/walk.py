"""Follows a target down to the devices that tell NUMA nodes."""

from collections import deque
from collections.abc import Iterable, Sequence

from attrs import define, field, frozen

from numa_trio.locality.disks import below_disk
from numa_trio.locality.files import Unreadable
from numa_trio.locality.filesystems import below_file
from numa_trio.locality.network import below_infiniband, below_interface
from numa_trio.locality.numa_node import node_of
from numa_trio.locality.result import Told, joined
from numa_trio.locality.survey import Survey
from numa_trio.locality.target import Kind
from numa_trio.locality.things import DeadEnd, Device, Thing

# Far above any real stack of devices, and any RAID's number of members.
_DEEPEST = 32
_MOST_THINGS = 4096


@frozen
class Trail:
    """Where a walk led: who told nodes, and why other ends told none, nearest ends first."""

    chain: tuple[str, ...]
    told: tuple[Told, ...]
    dead_ends: tuple[DeadEnd, ...]
    met_device: bool


def walk(survey: Survey, starts: Sequence[Thing]) -> Trail:
    """Follow the things of which a target consists, all their members and what these hang on."""
    steps = _Steps()
    told: list[Told] = []
    dead_ends: list[DeadEnd] = []
    waiting = deque((thing, steps.add(thing, thing.name)) for thing in dict.fromkeys(starts))
    met_device = False
    while waiting:
        thing, step = waiting.popleft()
        met_device |= isinstance(thing, Device)
        below = _below(survey, thing)
        if isinstance(below, tuple) and below:
            further = steps.members(step, below)
            if further is None:
                dead_ends.append(DeadEnd(f"{thing.name}: too many devices, or too deep a stack"))
                continue
            waiting.extend(further)
            continue
        end = _end(survey, thing, below)
        if isinstance(end, DeadEnd):
            dead_ends.append(end)
            continue
        told.append(end)
        steps.tell(step, end.device)
    return Trail(
        chain=steps.chain(),
        told=tuple(dict.fromkeys(told)),
        dead_ends=tuple(dict.fromkeys(dead_ends)),
        met_device=met_device,
    )


def _below(survey: Survey, thing: Thing) -> tuple[Thing, ...] | DeadEnd:
    try:
        if not isinstance(thing, Device):
            return below_file(survey, thing)
        if thing.kind is Kind.DISK:
            return below_disk(survey, thing)
        if thing.kind is Kind.NET:
            return below_interface(survey, thing)
        return below_infiniband(survey, thing) if thing.kind is Kind.IB else ()
    except Unreadable as problem:
        return DeadEnd(str(problem))


def _end(survey: Survey, thing: Thing, below: tuple[Thing, ...] | DeadEnd) -> Told | DeadEnd:
    """What the hardware tells that a thing without members hangs on."""
    if not isinstance(thing, Device):
        return below if isinstance(below, DeadEnd) else DeadEnd(f"{thing.path} is on no device")
    end = node_of(survey, thing.folder)
    return below if isinstance(end, DeadEnd) and isinstance(below, DeadEnd) else end


@define(eq=False)
class _Steps:
    """The steps so far, each thing once: their names, depths, and those from which each came."""

    _names: list[str] = field(factory=list)
    _depths: list[int] = field(factory=list)
    _above: list[list[int]] = field(factory=list)
    _steps: dict[object, int] = field(factory=dict)
    _tellers: list[int] = field(factory=list)

    def add(self, key: object, name: str, above: int | None = None) -> int:
        """The step of what has this key, a new one if it has none."""
        step = self._steps.setdefault(key, len(self._names))
        if step == len(self._names):
            self._names.append(name)
            self._depths.append(0 if above is None else self._depths[above] + 1)
            self._above.append([])
        if above is not None:
            self._above[step].append(above)
        return step

    def members(self, step: int, below: Iterable[Thing]) -> list[tuple[Thing, int]] | None:
        """Add the members of a step; those that are new, or None if there is no room for them."""
        things = list(below)
        if len(self._names) + len(things) > _MOST_THINGS or self._depths[step] >= _DEEPEST:
            return None
        new = {thing for thing in things if thing not in self._steps}
        steps = {thing: self.add(thing, thing.name, step) for thing in things}
        return [(thing, number) for thing, number in steps.items() if thing in new]

    def tell(self, step: int, device: str) -> None:
        """Note that a step ends at a device that told a node, which may be the step itself."""
        if self._names[step] == device:
            self._tellers.append(step)
        else:
            self._tellers.append(self.add(("told", device), device, step))

    def chain(self) -> tuple[str, ...]:
        """The steps that led to a node, by depth; all of them if none did."""
        leading = self._leading() if self._tellers else set(range(len(self._names)))
        by_depth: dict[int, list[str]] = {}
        for step in sorted(leading):
            by_depth.setdefault(self._depths[step], []).append(self._names[step])
        return tuple(joined(names) for _, names in sorted(by_depth.items()))

    def _leading(self) -> set[int]:
        found: set[int] = set()
        waiting = list(self._tellers)
        while waiting:
            step = waiting.pop()
            if step not in found:
                found.add(step)
                waiting.extend(self._above[step])
        return found
