"""`numa-trio topology` for people: tables of the nodes and of what is near them."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from numa_trio.commands.terminal import open_console
from numa_trio.layout import print_lines, print_table

if TYPE_CHECKING:
    from numa_trio.commands.topology import Seen
    from numa_trio.locality.listing import Listing
    from numa_trio.locality.result import Resolution
    from numa_trio.near.verdicts import NearLook
    from numa_trio.plugin.advertising import Advertisement
    from numa_trio.topology.machine import HugePages, NumaNode

_NODE_HEADINGS = ("Node", "CPUs", "Count", "Memory", "Distance", "Huge pages", "Advertised")
_DEVICE_HEADINGS = ("Near", "Kind", "Name", "What it is", "By")


def print_text(seen: "Seen") -> None:
    """Print it all on standard output."""
    console = open_console(sys.stdout)
    nodes = list(_nodes(seen.advertisements, comma=", " if sys.stdout.isatty() else ","))
    print_table(console, _NODE_HEADINGS, nodes, right=("Node", "Count", "Memory"))
    for remark in (*_left_out(seen.advertisements), *seen.machine.remarks):
        print_lines(console, "", str(remark))
    rows = list(_devices(seen.listing, [node.id for node in seen.machine.nodes]))
    if rows:
        console.print()
        print_table(console, _DEVICE_HEADINGS, rows, right=("Near",))
    lines = [*_near(seen.near), *map(_not_shown, seen.listing.hidden)]
    if lines:
        console.print()
    print_lines(console, *lines)


def _near(look: "NearLook") -> "Iterator[str]":
    """A line for each name: the way to its nodes, or why it is not offered."""
    for verdict in look.verdicts:
        state = "" if verdict.advertised else " is not offered"
        notes = "; ".join(verdict.resolution.notes)
        yield f"{verdict.local_name}{state}: {verdict}" + (f" ({notes})" if notes else "")
    yield from look.problems
    yield from look.remarks


def _not_shown(reason: str) -> str:
    return f"Not shown: {reason}."


def _devices(listing: "Listing", nodes: "Sequence[int]") -> "Iterator[tuple[str, ...]]":
    """A row for each device and mount, by node; what is near several nodes comes with each."""
    for node in nodes:
        yield from _rows(str(node), listing.near(node))
    yield from _rows("unknown", listing.near_no_node())


def _rows(node: str, listing: "Listing") -> "Iterator[tuple[str, ...]]":
    from numa_trio.topology.sizes import format_bytes

    for disk in listing.disks:
        size = None if disk.size_bytes is None else format_bytes(disk.size_bytes)
        yield _row(node, "disk", disk.resolution, disk.model, size)
    for interface in listing.interfaces:
        speed = None if interface.speed_mbps is None else f"{interface.speed_mbps} Mb/s"
        yield _row(node, "interface", interface.resolution, interface.driver, speed)
    for each in listing.infiniband:
        yield _row(node, "InfiniBand", each.resolution)
    for card in listing.gpus:
        yield _row(node, "GPU", card.resolution, card.driver, card.model)
    for mount in listing.mounts:
        yield _row(node, "mount", mount.resolution, mount.file_system, mount.source)


def _row(node: str, kind: str, resolution: "Resolution", *facts: str | None) -> tuple[str, ...]:
    said = resolution.chain[-1] if resolution.nodes and resolution.chain else resolution.reason
    told = "" if said == resolution.target or said is None else said
    return node, kind, resolution.target, ", ".join(filter(None, facts)), told


def _nodes(advertisements: "Iterable[Advertisement]", comma: str) -> "Iterator[tuple[str, ...]]":
    """A row for each node; a list goes on in a further line where `comma` has a blank."""
    from numa_trio.topology.sizes import format_bytes

    for verdict in advertisements:
        node = verdict.node
        yield (
            str(node.id),
            _cpus(node).replace(",", comma),
            str(len(node.cpus)) if node.cpus_known else "unknown",
            "unknown" if node.memory_bytes is None else format_bytes(node.memory_bytes),
            _distances(node).replace(",", comma),
            _huge_pages(node.huge_pages),
            "yes" if verdict.advertised else "no",
        )


def _cpus(node: "NumaNode") -> str:
    from numa_trio.topology.lists import format_list

    return (format_list(node.cpus) or "none") if node.cpus_known else "unknown"


def _distances(node: "NumaNode") -> str:
    """The nodes at each distance, the nearest first."""
    from numa_trio.topology.lists import format_list

    nodes = node.nodes_by_distance.items()
    return "; ".join(f"{format_list(ids)} at {distance}" for distance, ids in nodes) or "unknown"


def _huge_pages(huge_pages: "Iterable[HugePages]") -> str:
    """The sizes of which there are pages at all."""
    from numa_trio.topology.sizes import format_bytes

    text = ", ".join(
        f"{format_bytes(pages.size_bytes)}: {pages.free} of {pages.total} free"
        for pages in huge_pages
        if pages.total
    )
    return text or "none"


def _left_out(advertisements: "Iterable[Advertisement]") -> list[str]:
    """A sentence for each reason, with the nodes that are not advertised for it."""
    from numa_trio.topology.lists import format_list

    nodes = defaultdict(list)
    for verdict in advertisements:
        if verdict.reason is not None:
            nodes[verdict.reason].append(verdict.node.id)
    return [f"Not advertised: {format_list(ids)}: {reason}." for reason, ids in nodes.items()]
