"""What kind of memory a NUMA node has, and how fast it is: only for showing.

The files are described in the kernel's Documentation/ABI/testing, sysfs-bus-dax and
sysfs-kernel-mm-memory-tiers, and in Documentation/admin-guide/mm/numaperf.rst. What cannot be read
is unknown.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from attrs import frozen

from numa_trio.topology.files import read_regular
from numa_trio.topology.lists import MalformedText, parse_list

_MOST_BYTES = 1 << 16

# The driver that makes memory of a device the kernel's own, as that of a NUMA node.
_KMEM = "bus/dax/drivers/kmem"
_TIERS = "devices/virtual/memory_tiering"
_TIER = re.compile(r"memory_tier([0-9]{1,9})")
_INITIATOR = re.compile(r"node([0-9]{1,5})")

# Class 1 is the access of CPUs; class 0 may be that of a card. Before Linux 5.10 there is no other.
_ACCESS_CLASSES = ("access1", "access0")


class MemoryKind(StrEnum):
    """Memory that the kernel was given by a driver; other memory is the machine's ordinary one."""

    CXL = "CXL"
    PERSISTENT = "persistent"
    # What firmware keeps for those who ask for it (EFI_MEMORY_SP): HBM, or CXL that it set up.
    SPECIFIC_PURPOSE = "specific-purpose"


@frozen
class NodeMemory:
    """What is known of a node's memory besides its size.

    `tier` is the kernel's, a lower one is faster. The other facts are the firmware's (ACPI HMAT):
    the `initiators` are the nodes with the fastest access, and bandwidth in MB/s and latency in
    nanoseconds are theirs when they read.
    """

    kind: MemoryKind | None = None
    tier: int | None = None
    initiators: tuple[int, ...] = ()
    read_bandwidth_mb_per_s: int | None = None
    read_latency_ns: int | None = None


def read_memories(sysfs_root: Path, nodes: Iterable[int]) -> Mapping[int, NodeMemory]:
    """What is known of each node's memory. Never raises."""
    kinds = dict(_kinds(sysfs_root))
    tiers = dict(_tiers(sysfs_root / _TIERS))
    return {
        node: _memory(sysfs_root / f"devices/system/node/node{node}", kinds, tiers, node)
        for node in nodes
    }


def _memory(
    folder: Path, kinds: Mapping[int, MemoryKind], tiers: Mapping[int, int], node: int
) -> NodeMemory:
    for name in _ACCESS_CLASSES:
        here = folder / name / "initiators"
        initiators = [int(found[1]) for found in map(_INITIATOR.fullmatch, _names(here)) if found]
        if initiators:
            return NodeMemory(
                kinds.get(node),
                tiers.get(node),
                tuple(sorted(initiators)),
                # Firmware that tells only one of them leaves the other 0.
                _number(here / "read_bandwidth") or None,
                _number(here / "read_latency") or None,
            )
    return NodeMemory(kinds.get(node), tiers.get(node))


def _kinds(sysfs_root: Path) -> Iterator[tuple[int, MemoryKind]]:
    """The nodes whose memory is a device's."""
    folder = sysfs_root / _KMEM
    for name in _names(folder):
        node = _number(folder / name / "target_node")
        if node is not None:
            yield node, _kind_of(os.path.realpath(folder / name))


def _kind_of(device: str) -> MemoryKind:
    """The kind of memory by where its device is: below CXL's region, or a bus of NVDIMMs."""
    steps = device.split("/")
    if any(step.startswith("dax_region") for step in steps):
        return MemoryKind.CXL
    if any(step.startswith("ndbus") for step in steps):
        return MemoryKind.PERSISTENT
    return MemoryKind.SPECIFIC_PURPOSE


def _tiers(folder: Path) -> Iterator[tuple[int, int]]:
    for name in _names(folder):
        if tier := _TIER.fullmatch(name):
            try:
                nodes = parse_list(_text(folder / name / "nodelist"))
            except MalformedText:
                continue
            yield from ((node, int(tier[1])) for node in nodes)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208  names are all that is wanted
    except OSError:
        return []


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _text(path: Path) -> str:
    """What the file holds; nothing if it cannot be read."""
    try:
        return read_regular(path, _MOST_BYTES).decode("ascii", "replace")
    except OSError:
        return ""
