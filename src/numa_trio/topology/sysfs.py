"""Reads the machine from sysfs.

The files are described in the kernel's Documentation/ABI/stable/sysfs-devices-node and
Documentation/ABI/testing/sysfs-devices-system-cpu.
"""

import errno
import os
import re
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from numa_trio.topology.lists import MalformedText, format_list, parse_cpumap, parse_list
from numa_trio.topology.machine import HugePages, Machine, NumaNode

# A node that goes offline takes its files with it, also those that are open.
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO})

# Nodes come and go one at a time, rarely: the second reading is nearly always undisturbed.
_READINGS = 3

_KIB = 1024

_NODE_FOLDER = re.compile(r"node(0|[1-9][0-9]{0,4})")
_CPU_FOLDER = re.compile(r"cpu(0|[1-9][0-9]{0,4})")
_HUGE_PAGES_FOLDER = re.compile(r"hugepages-([1-9][0-9]{0,15})kB")
_KIBIBYTES = re.compile(r"[ \t]*([0-9]{1,16})[ \t]*kB[ \t]*")
_COUNT = re.compile(r"[0-9]{1,19}")

# What was odd, said in the words that follow "node N: ", and the nodes of which it is true.
_Oddities = defaultdict[str, list[int]]

T = TypeVar("T")


class SysfsError(Exception):
    """The machine cannot be read from sysfs."""


class SysfsRootMissing(SysfsError):
    """What is configured as the root of sysfs is none: bad configuration."""

    def __init__(self, root: Path, seen: str) -> None:
        super().__init__(
            f"sysfs root {root}: {seen}; expected the directory where sysfs is mounted,"
            " usually /sys (NUMA_SYSFS_ROOT)"
        )
        self.root = root


class UnreadableSysfs(SysfsError):
    """A file is there but cannot be read."""

    def __init__(self, path: Path, problem: OSError) -> None:
        super().__init__(f"{path}: cannot be read: {problem.strerror}")
        self.path = path


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
    online = _parsed(folder / "online", _parse_inhabited_list)
    # Kernels before 2.6.24 have no such file; their folders are those of online nodes.
    return sorted(_numbered(folder, _NODE_FOLDER) if online is None else online)


def _numa_machine(folder: Path, online: list[int]) -> Machine:
    oddities: _Oddities = defaultdict(list)
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
    remarks = (
        f"node{'s' if len(node_ids) > 1 else ''} {format_list(node_ids)}: {oddity}"
        for oddity, node_ids in oddities.items()
    )
    return Machine(nodes, remarks=tuple(remarks))


def _exists(folder: Path, node_id: int, oddities: _Oddities) -> bool:
    there = _is_folder(folder / f"node{node_id}")
    if not there:
        oddities["left out: listed as online, but without a folder"].append(node_id)
    return there


def _node(folder: Path, node_id: int, online: list[int], oddities: _Oddities) -> NumaNode:
    here = folder / f"node{node_id}"
    cpus = _parsed(here / "cpulist", parse_list)
    if cpus is None:
        cpus = _parsed(here / "cpumap", parse_cpumap)
    if cpus is None:
        oddities["taken to have no CPUs: there is neither cpulist nor cpumap"].append(node_id)
    total, free = _parsed(here / "meminfo", _parse_meminfo) or (None, None)
    return NumaNode(
        id=node_id,
        cpus=cpus or frozenset(),
        memory_bytes=total,
        memory_free_bytes=free,
        distances=_distances(folder, node_id, online, oddities),
        huge_pages=_huge_pages(here / "hugepages"),
    )


def _distances(
    folder: Path, node_id: int, online: list[int], oddities: _Oddities
) -> dict[int, int]:
    """The distances to the online nodes; none where the file does not say whose they are.

    The kernel writes one number for each online node, in order of id. Of a machine with an
    offline node it has also been seen to write one for each possible node.
    """
    row = _parsed(folder / f"node{node_id}" / "distance", _parse_distances)
    if not row:
        return {}
    columns = online
    if len(row) != len(columns):
        columns = sorted(_parsed(folder / "possible", parse_list) or ())
    if len(row) != len(columns):
        oddities["distances unknown: not one number for each online node"].append(node_id)
        return {}
    return {other: row[place] for place, other in enumerate(columns) if other in online}


def _uniform_machine(sysfs_root: Path) -> Machine:
    """The machine of a kernel without NUMA. Sysfs then tells nothing about memory."""
    cpus = _online_cpus(sysfs_root / "devices/system/cpu")
    if not cpus:
        raise SysfsRootMissing(
            sysfs_root, "neither devices/system/node nor devices/system/cpu tells of CPUs"
        )
    node = NumaNode(id=0, cpus=cpus, huge_pages=_huge_pages(sysfs_root / "kernel/mm/hugepages"))
    remark = "the kernel knows no NUMA nodes (devices/system/node): one node 0 with all online CPUs"
    return Machine((node,), numa_aware=False, remarks=(remark,))


def _online_cpus(folder: Path) -> frozenset[int]:
    online = _parsed(folder / "online", _parse_inhabited_list)
    if online is not None:
        return online
    # A CPU that cannot be taken offline has no such file.
    return frozenset(
        cpu for cpu in _numbered(folder, _CPU_FOLDER) if _read(folder / f"cpu{cpu}/online") != "0"
    )


def _huge_pages(folder: Path) -> tuple[HugePages, ...]:
    """The huge pages by ascending size."""
    found = []
    for kibibytes in sorted(_numbered(folder, _HUGE_PAGES_FOLDER)):
        here = folder / f"hugepages-{kibibytes}kB"
        total = _parsed(here / "nr_hugepages", _parse_count)
        free = _parsed(here / "free_hugepages", _parse_count)
        if total is not None and free is not None:
            found.append(HugePages(kibibytes * _KIB, total, free))
    return tuple(found)


def _parse_inhabited_list(text: str) -> frozenset[int]:
    numbers = parse_list(text)
    if not numbers:
        raise MalformedText(text, "a list with at least one number, as in 0-3,8")
    return numbers


def _parse_meminfo(text: str) -> tuple[int | None, int | None]:
    """The total and the free memory in bytes; an empty file tells neither."""
    if not text:
        return None, None
    total = _meminfo_line(text, "MemTotal")
    if total is None:
        raise MalformedText(text, "a line like 'Node 0 MemTotal: 4194304 kB'")
    return total, _meminfo_line(text, "MemFree")


def _meminfo_line(text: str, name: str) -> int | None:
    line = re.search(rf"^.*\b{name}:(.*)$", text, re.MULTILINE)
    if line is None:
        return None
    amount = _KIBIBYTES.fullmatch(line[1])
    if amount is None:
        raise MalformedText(line[0], f"a line like 'Node 0 {name}: 4194304 kB'")
    return int(amount[1]) * _KIB


def _parse_distances(text: str) -> list[int]:
    return [_parse_count(word, held=text) for word in text.split()]


def _parse_count(text: str, held: str | None = None) -> int:
    if not _COUNT.fullmatch(text):
        raise MalformedText(text if held is None else held, "decimal numbers")
    return int(text)


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
        content = path.read_bytes()
    except OSError as problem:
        if problem.errno in _GONE:
            return None
        raise UnreadableSysfs(path, problem) from problem
    return content.decode("ascii", "backslashreplace").strip(" \t\r\n\0")


def _numbered(folder: Path, name: re.Pattern[str]) -> Iterator[int]:
    """The numbers of the folders with such a name; none if there is no `folder`."""
    try:
        entries = list(folder.iterdir())
    except OSError as problem:
        if problem.errno in _GONE:
            return
        raise UnreadableSysfs(folder, problem) from problem
    for entry in entries:
        match = name.fullmatch(entry.name)
        if match is not None and _is_folder(entry):
            yield int(match[1])


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError as problem:
        if problem.errno in _GONE:
            return False
        raise UnreadableSysfs(path, problem) from problem
