"""Reads the machine from sysfs.

The files are described in the kernel's Documentation/ABI/stable/sysfs-devices-node and
Documentation/ABI/testing/sysfs-devices-system-cpu. Which nodes are online and which CPUs they have
decides the resources; every other file is only shown, so that a broken one becomes a remark.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from attrs import field, frozen

from numa_trio.topology.files import GONE, read_regular
from numa_trio.topology.lists import (
    MalformedText,
    format_list,
    format_nodes,
    parse_cpumap,
    parse_list,
)
from numa_trio.topology.machine import HugePages, Machine, NumaNode, Remark
from numa_trio.topology.node_files import (
    parse_count,
    parse_distances,
    parse_inhabited_list,
    parse_meminfo,
)
from numa_trio.topology.sizes import KIB

# Nodes come and go one at a time, rarely: the second reading is nearly always undisturbed.
_READINGS = 3


# A cpulist of LARGEST CPUs, every second of them, takes less than 200 KiB.
_MOST_BYTES = 1 << 20

_NODE_FOLDER = re.compile(r"node(0|[1-9][0-9]{0,4})")
_CPU_FOLDER = re.compile(r"cpu(0|[1-9][0-9]{0,4})")
_HUGE_PAGES_FOLDER = re.compile(r"hugepages-([1-9][0-9]{0,15})kB")

T = TypeVar("T")


class SysfsError(Exception):
    """The machine cannot be read from sysfs."""


class SysfsRootMissing(SysfsError):
    """What is configured as the root of sysfs is something else: bad configuration."""

    def __init__(self, root: Path, seen: str) -> None:
        super().__init__(
            f"sysfs root {root}: {seen}; expected the directory where sysfs is mounted,"
            " usually /sys (NUMA_SYSFS_ROOT)"
        )


class UnreadableSysfs(SysfsError):
    """A file is there but cannot be read."""

    def __init__(self, path: Path, problem: OSError) -> None:
        super().__init__(f"{path}: cannot be read: {problem.strerror}")


class MalformedSysfs(SysfsError):
    """A file is not in the form in which the kernel writes it: what it held, what was expected."""

    def __init__(self, path: Path, problem: MalformedText) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.held = problem.held
        self.expected = problem.expected


def read_machine(sysfs_root: Path) -> Machine:
    """The machine as it is now; a kernel without NUMA counts as one node 0.

    If the set of online nodes changes meanwhile, reads again. Raises `SysfsRootMissing`,
    `MalformedSysfs` or `UnreadableSysfs`.
    """
    try:
        os.listdir(sysfs_root)  # noqa: PTH208  pathlib's listing is lazy about errors
    except OSError as problem:
        raise SysfsRootMissing(sysfs_root, problem.strerror or str(problem)) from problem
    system = sysfs_root / "devices/system"
    for _ in range(_READINGS):
        online = _online_nodes(system / "node")
        machine = _numa_machine(system / "node", online) if online else _uniform_machine(sysfs_root)
        if _online_nodes(system / "node") == online:
            break
    return machine


def _online_nodes(folder: Path) -> list[int]:
    """The ids of the online nodes, ascending; none for a kernel without NUMA."""
    online = _parsed(folder / "online", parse_inhabited_list)
    # Kernels before 2.6.24 have no such file; their folders are those of online nodes.
    return sorted(_numbered(folder, _NODE_FOLDER) if online is None else online)


def _numa_machine(folder: Path, online: list[int]) -> Machine:
    oddities = _Oddities()
    nodes = tuple(
        _node(folder, node_id, online, oddities)
        for node_id in online
        if _exists(folder, node_id, oddities)
    )
    if not nodes:
        raise MalformedSysfs(
            folder / "online",
            MalformedText(format_list(online), f"nodes with a folder in {folder}"),
        )
    return Machine(nodes, remarks=oddities.remarks())


@frozen
class _Oddities:
    """What was odd about nodes: of which it is true, and the first problem that showed it."""

    _nodes: dict[str, list[int]] = field(factory=dict)
    _problems: dict[str, str | None] = field(factory=dict)

    def note(self, node_id: int, oddity: str, problem: SysfsError | None = None) -> None:
        """Remember the `oddity`, in the words that follow "node N: "."""
        self._nodes.setdefault(oddity, []).append(node_id)
        self._problems.setdefault(oddity, str(problem) if problem else None)

    def remarks(self) -> tuple[Remark, ...]:
        """A remark for each oddity."""
        return tuple(
            Remark(
                f"{format_nodes(node_ids)}: {oddity}",
                self._problems[oddity],
            )
            for oddity, node_ids in self._nodes.items()
        )


def _exists(folder: Path, node_id: int, oddities: _Oddities) -> bool:
    try:
        there = _is_folder(folder / f"node{node_id}")
    except UnreadableSysfs:
        return True  # reading its CPUs will say why they are unknown
    if not there:
        oddities.note(node_id, "left out: listed as online, but without a folder")
    return there


def _node(folder: Path, node_id: int, online: list[int], oddities: _Oddities) -> NumaNode:
    here = folder / f"node{node_id}"
    cpus = _cpus(here, node_id, oddities)
    total, free = None, None
    try:
        total, free = _parsed(here / "meminfo", parse_meminfo) or (None, None)
    except SysfsError as problem:
        oddities.note(node_id, "memory unknown", problem)
    return NumaNode(
        id=node_id,
        cpus=cpus or frozenset(),
        cpus_known=cpus is not None,
        memory_bytes=total,
        memory_free_bytes=free,
        distances=_distances(folder, node_id, online, oddities),
        huge_pages=_huge_pages(here / "hugepages", node_id, oddities),
    )


def _cpus(here: Path, node_id: int, oddities: _Oddities) -> frozenset[int] | None:
    """The node's CPUs; None if what the kernel says of them cannot be read."""
    try:
        cpus = _parsed(here / "cpulist", parse_list)
        if cpus is None:
            cpus = _parsed(here / "cpumap", parse_cpumap)
    except SysfsError as problem:
        oddities.note(node_id, "CPUs unknown", problem)
        return None
    if cpus is None:
        oddities.note(node_id, "taken to have no CPUs: there is neither cpulist nor cpumap")
    return cpus or frozenset()


def _distances(
    folder: Path, node_id: int, online: list[int], oddities: _Oddities
) -> dict[int, int]:
    """The distances to the online nodes; none where the file does not say whose they are.

    The kernel writes one number for each online node, in order of id. Of a machine with an
    offline node it has also been seen to write one for each possible node.
    """
    columns = online
    try:
        row = _parsed(folder / f"node{node_id}" / "distance", parse_distances)
        if not row:
            return {}
        if len(row) != len(columns):
            columns = sorted(_parsed(folder / "possible", parse_list) or ())
    except SysfsError as problem:
        oddities.note(node_id, "distances unknown", problem)
        return {}
    if len(row) != len(columns):
        oddities.note(node_id, "distances unknown: not one number for each online node")
        return {}
    return {other: row[place] for place, other in enumerate(columns) if other in online}


def _uniform_machine(sysfs_root: Path) -> Machine:
    """The machine of a kernel without NUMA, which says nothing about memory in sysfs."""
    cpus = _online_cpus(sysfs_root / "devices/system/cpu")
    if not cpus:
        raise SysfsRootMissing(
            sysfs_root, "no CPUs in devices/system/node nor in devices/system/cpu"
        )
    oddities = _Oddities()
    huge_pages = _huge_pages(sysfs_root / "kernel/mm/hugepages", 0, oddities)
    remark = Remark(
        "the kernel knows no NUMA nodes (devices/system/node): one node 0 with all online CPUs"
    )
    node = NumaNode(id=0, cpus=cpus, huge_pages=huge_pages)
    return Machine((node,), numa_aware=False, remarks=(remark, *oddities.remarks()))


def _online_cpus(folder: Path) -> frozenset[int]:
    online = _parsed(folder / "online", parse_inhabited_list)
    if online is not None:
        return online
    # A CPU that cannot be taken offline has no such file.
    return frozenset(
        cpu for cpu in _numbered(folder, _CPU_FOLDER) if _read(folder / f"cpu{cpu}/online") != "0"
    )


def _huge_pages(folder: Path, node_id: int, oddities: _Oddities) -> tuple[HugePages, ...]:
    """The huge pages by ascending size, without the sizes of which the counts are unknown."""
    try:
        sizes = sorted(_numbered(folder, _HUGE_PAGES_FOLDER))
    except SysfsError as problem:
        oddities.note(node_id, "huge pages unknown", problem)
        return ()
    found = []
    for kibibytes in sizes:
        here = folder / f"hugepages-{kibibytes}kB"
        try:
            total = _parsed(here / "nr_hugepages", parse_count)
            free = _parsed(here / "free_hugepages", parse_count)
        except SysfsError as problem:
            oddities.note(node_id, f"huge pages of {kibibytes} kB unknown", problem)
            continue
        if total is not None and free is not None:
            found.append(HugePages(kibibytes * KIB, total, free))
    return tuple(found)


def _parsed(path: Path, parse: Callable[[str], T]) -> T | None:
    """What the file holds; None if it does not exist, or no longer."""
    text = _read(path)
    if text is None:
        return None
    try:
        return parse(text)
    except MalformedText as problem:
        raise MalformedSysfs(path, problem) from None


def _read(path: Path) -> str | None:
    """The text without the newline or NUL that may end it; None if there is no such file."""
    try:
        content = read_regular(path, _MOST_BYTES + 1)
    except OSError as problem:
        if problem.errno in GONE:
            return None
        raise UnreadableSysfs(path, problem) from problem
    text = content[:_MOST_BYTES].decode("ascii", "backslashreplace").strip(" \t\r\n\0")
    if len(content) > _MOST_BYTES:
        raise MalformedSysfs(path, MalformedText(text, f"at most {_MOST_BYTES} bytes"))
    return text


def _numbered(folder: Path, name: re.Pattern[str]) -> Iterator[int]:
    """The numbers of the folders with such a name; none if there is no `folder`."""
    try:
        entries = list(folder.iterdir())
    except OSError as problem:
        if problem.errno in GONE:
            return
        raise UnreadableSysfs(folder, problem) from problem
    for entry in entries:
        match = name.fullmatch(entry.name)
        if match is not None and _may_be_folder(entry):
            yield int(match[1])


def _may_be_folder(path: Path) -> bool:
    """Whether it is a folder, or cannot be examined: then reading its files will fail."""
    try:
        return _is_folder(path)
    except UnreadableSysfs:
        return True


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError as problem:
        if problem.errno in GONE:
            return False
        raise UnreadableSysfs(path, problem) from problem
