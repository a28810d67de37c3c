"""The things that a glob matches."""

import glob
import posixpath
from collections.abc import Iterable
from fnmatch import fnmatchcase
from itertools import islice

from numa_trio.locality.block import mapped_names, no_disk
from numa_trio.locality.files import Unreadable, names_in, read_text
from numa_trio.locality.network import interfaces_folder
from numa_trio.locality.result import Outcome
from numa_trio.locality.survey import Survey
from numa_trio.locality.target import Kind, Target
from numa_trio.locality.things import DeadEnd, absent, unseen

_MOST_MATCHES = 1024


def matching(survey: Survey, target: Target) -> tuple[Target, ...] | DeadEnd:
    """A target for each match of a glob, in order of name; or why there is none."""
    kinds = (Kind.DISK, Kind.NET, Kind.IB) if target.kind is None else (target.kind,)
    found: dict[Kind, list[str]] = {}
    hidden: list[DeadEnd] = []
    for kind in kinds:
        try:
            names = _LISTS[kind](survey, target.name)
        except Unreadable as problem:
            names = unseen(str(problem))
        if isinstance(names, DeadEnd):
            hidden.append(names)
        elif names:
            found[kind] = names
    if len(found) > 1:
        forms = " or ".join(f"{kind}:{target.name}" for kind in found)
        return DeadEnd(f"it matches things of several kinds: write {forms}", Outcome.AMBIGUOUS)
    for kind, names in found.items():
        if len(names) > _MOST_MATCHES:
            return DeadEnd(f"it matches {len(names)} things; expected at most {_MOST_MATCHES}")
        return tuple(Target(name, kind, name, prefixed=True) for name in names)
    return hidden[0] if hidden else absent("nothing matches it")


def _disks(survey: Survey, pattern: str) -> list[str] | DeadEnd:
    folder = survey.host.sysfs / "class/block"
    entries = names_in(folder)
    if not entries:
        return no_disk(survey, pattern)
    # Hidden are the paths to an NVMe namespace that several controllers share.
    blocks = [
        name.replace("!", "/") for name in entries if read_text(folder / name / "hidden") != "1"
    ]
    if not pattern.startswith("/"):
        return _chosen(blocks, pattern)
    kernels = _chosen((f"/dev/{name}" for name in blocks), pattern)
    linked = _links(survey, pattern)
    if isinstance(linked, DeadEnd):
        return kernels or linked
    return sorted({*kernels, *linked})


def _links(survey: Survey, pattern: str) -> list[str] | DeadEnd:
    """The matches among links below /dev; of device-mapper's also without a look at them."""
    folder = posixpath.dirname(pattern)
    if folder == "/dev":
        return []
    root = survey.host.root
    if root is None or not survey.host.shows_device(pattern):
        if folder == "/dev/mapper":
            return _chosen((f"/dev/mapper/{name}" for name in mapped_names(survey)), pattern)
        top = "/".join(pattern.split("/")[:3])
        return unseen(survey.host.how_to_see(top, f"what {pattern} matches"))
    found = glob.iglob(pattern.lstrip("/"), root_dir=root)  # noqa: PTH207  with a root
    return sorted(f"/{name}" for name in islice(found, _MOST_MATCHES + 1))


def _interfaces(survey: Survey, pattern: str) -> list[str] | DeadEnd:
    folder = interfaces_folder(survey)
    return folder if isinstance(folder, DeadEnd) else _chosen(names_in(folder), pattern)


def _cards(survey: Survey, pattern: str) -> list[str] | DeadEnd:
    return _chosen(names_in(survey.host.sysfs / "bus/pci/devices"), pattern)


def _infiniband(survey: Survey, pattern: str) -> list[str] | DeadEnd:
    return _chosen(names_in(survey.host.sysfs / "class/infiniband"), pattern)


def _mount_points(survey: Survey, pattern: str) -> list[str] | DeadEnd:
    table = survey.mounts()
    if isinstance(table, DeadEnd):
        return table
    return _chosen(table.points, pattern)


def _chosen(names: Iterable[str], pattern: str) -> list[str]:
    """The names that match, sorted; neither `*` nor `?` stands for a slash."""
    steps = pattern.split("/")
    return sorted({name for name in names if _matches(name.split("/"), steps)})


def _matches(name: list[str], pattern: list[str]) -> bool:
    return len(name) == len(pattern) and all(map(fnmatchcase, name, pattern))


_LISTS = {
    Kind.DISK: _disks,
    Kind.NET: _interfaces,
    Kind.PCI: _cards,
    Kind.MOUNT: _mount_points,
    Kind.IB: _infiniband,
}
