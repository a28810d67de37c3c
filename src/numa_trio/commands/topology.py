"""`numa-trio topology`: shows the machine's NUMA nodes and which of them are advertised."""

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from numa_trio.commands.terminal import complain, open_console
from numa_trio.plain_text import escaped

if TYPE_CHECKING:
    from rich.table import Table

    from numa_trio.plugin.advertising import Advertisement
    from numa_trio.topology.machine import HugePages, Machine, NumaNode

HELP = "Show this machine's NUMA nodes and which of them are advertised."

# More columns than any table takes.
_BOUNDLESS = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--output",
        choices=["table", "json"],
        default="table",
        help="a table for people or JSON for programs (default: table)",
    )
    parser.add_argument(
        "--sysfs-root",
        type=Path,
        metavar="PATH",
        help="where sysfs is mounted (default: NUMA_SYSFS_ROOT, else /sys)",
    )


def main(arguments: argparse.Namespace) -> int:
    """Print the machine; returns 2 for bad configuration, 1 if sysfs cannot be understood."""
    from numa_trio.plugin.advertising import advertise
    from numa_trio.settings import BadConfiguration, load_settings
    from numa_trio.topology.sysfs import SysfsError, SysfsRootMissing, read_machine

    try:
        settings = load_settings(os.environ)
        machine = read_machine(arguments.sysfs_root or settings.sysfs_root)
    except (BadConfiguration, SysfsRootMissing) as problem:
        complain(problem)
        return 2
    except SysfsError as problem:
        complain(problem)
        return 1
    advertisements = advertise(machine, settings.cpuless_nodes)
    if arguments.output == "json":
        _print_json(machine, advertisements)
    else:
        _print_table(machine, advertisements)
    return 0


def _print_json(machine: "Machine", advertisements: "Sequence[Advertisement]") -> None:
    import json

    from attrs import asdict

    from numa_trio.topology.lists import format_list

    nodes = [
        {
            "id": node.id,
            "cpus": format_list(node.cpus) if node.cpus_known else None,
            "memory_bytes": node.memory_bytes,
            "distances": {str(other): distance for other, distance in node.distances.items()},
            "advertised": verdict.advertised,
            "reason": verdict.reason,
            "memory_free_bytes": node.memory_free_bytes,
            "huge_pages": [asdict(pages) for pages in node.huge_pages],
        }
        for verdict in advertisements
        for node in [verdict.node]
    ]
    remarks = [str(remark) for remark in machine.remarks]
    document = {"nodes": nodes, "numa_aware": machine.numa_aware, "remarks": remarks}
    print(json.dumps(document, indent=2))


def _print_table(machine: "Machine", advertisements: "Sequence[Advertisement]") -> None:
    # Without a terminal, lines and lists are not wrapped: for grep and the like.
    window = sys.stdout.isatty()
    width = None if window else _BOUNDLESS
    console = open_console(sys.stdout, width=width)
    console.print(_table(advertisements, comma=", " if window else ","))
    for line in (*_left_out(advertisements), *machine.remarks):
        console.print(f"\n{escaped(str(line))}", soft_wrap=True)


def _table(advertisements: "Sequence[Advertisement]", comma: str) -> "Table":
    """The nodes in rows; a list goes on in a further line where `comma` has a blank."""
    from rich import box
    from rich.table import Table

    from numa_trio.topology.sizes import format_bytes

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for heading in ("Node", "CPUs", "Count", "Memory", "Distance", "Huge pages", "Advertised"):
        numeric = heading in ("Node", "Count", "Memory")
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for verdict in advertisements:
        node = verdict.node
        table.add_row(
            str(node.id),
            _cpus(node).replace(",", comma),
            str(len(node.cpus)) if node.cpus_known else "unknown",
            "unknown" if node.memory_bytes is None else format_bytes(node.memory_bytes),
            _distances(node).replace(",", comma),
            _huge_pages(node.huge_pages),
            "yes" if verdict.advertised else "no",
        )
    return table


def _cpus(node: "NumaNode") -> str:
    from numa_trio.topology.lists import format_list

    return (format_list(node.cpus) or "none") if node.cpus_known else "unknown"


def _distances(node: "NumaNode") -> str:
    """Each distance with the nodes to which it applies, the nearest first."""
    from numa_trio.topology.lists import format_list

    nodes = node.nodes_by_distance.items()
    return "; ".join(f"{distance} to {format_list(ids)}" for distance, ids in nodes) or "unknown"


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
