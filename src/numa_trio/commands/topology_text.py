"""`numa-trio topology` for people: the machine, drawn with characters."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from numa_trio.commands.terminal import open_console
from numa_trio.commands.topology_box import Box, boxes_per_row, draw_row
from numa_trio.commands.topology_distances import draw_distances
from numa_trio.commands.topology_facts import NodeFacts, by_socket, facts_of
from numa_trio.commands.topology_words import (
    device_words,
    group_title,
    left_out,
    machine_title,
    node_title,
    node_words,
    offline_line,
)
from numa_trio.layout import print_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from numa_trio.commands.topology import Seen
    from numa_trio.near.verdicts import NearLook

_PIPED_COLUMNS = 80  # without a terminal, unless COLUMNS says how many
_NARROWEST = 24  # in which there is still room beside the labels
_LEAST = 48  # columns of a box beside another one
_LEAST_OF_MANY = 38  # where there are more nodes than are seen at one glance
_MANY = 8
_WIDEST = 96  # longer lines are hard to follow

# For terminals whose encoding has no more.
_ASCII = str.maketrans("╭╮╰╯─│█░…", "++++-|#.~")


def print_text(seen: "Seen") -> None:
    """Print it all on standard output."""
    console = open_console(sys.stdout)
    draw_machine(seen, console, console.width if sys.stdout.isatty() else _columns_of_pipe())


def _columns_of_pipe() -> int:
    told = os.environ.get("COLUMNS", "")
    return int(told) if re.fullmatch("[0-9]{1,4}", told) else _PIPED_COLUMNS


def draw_machine(seen: "Seen", console: "Console", columns: int) -> None:
    """The machine, its nodes by socket, their distances, and what there is to remark.

    The drawing has at most so many columns; sentences are wrapped as the console is wide.
    """
    columns = max(columns, _NARROWEST)
    nodes = facts_of(seen)
    print_lines(console, machine_title(seen, nodes), style="bold")
    if offline := offline_line(seen):
        print_lines(console, offline)
    groups = by_socket(nodes)
    least = _LEAST_OF_MANY if len(nodes) > _MANY else _LEAST
    per_row = boxes_per_row(columns, least, max(len(group.members) for group in groups))
    for group in groups:
        console.print()
        if len(groups) > 1:
            print_lines(console, group_title(group), style="bold")
        boxes = [_node_box(each, with_socket=len(groups) == 1) for each in group.members]
        _print_boxes(console, boxes, columns, per_row)
    elsewhere = tuple(device_words(seen.listing.near_no_node(), None))
    if elsewhere:
        console.print()
        box = Box("Near no known node", "", "dim", elsewhere)
        _print_boxes(console, [box], columns, 1)
    _print_all(console, draw_distances(nodes, columns))
    for lines in ([*left_out(nodes), *map(str, seen.machine.remarks)], [*_near(seen.near)]):
        if lines:
            console.print()
        print_lines(console, *lines)
    if seen.listing.hidden:
        console.print()
    print_lines(console, *(f"Not shown: {reason}." for reason in seen.listing.hidden))


def _node_box(facts: NodeFacts, *, with_socket: bool) -> Box:
    total, used = facts.node.memory_bytes, facts.memory_used_bytes
    return Box(
        node_title(facts),
        facts.resource or "not advertised",
        "green" if facts.resource else "yellow",
        tuple(node_words(facts, with_socket=with_socket)),
        ("Memory", used / total) if total and used is not None else None,
    )


def _print_boxes(console: "Console", boxes: Sequence[Box], columns: int, per_row: int) -> None:
    """Print so many side by side."""
    width = min(_WIDEST, (columns + 1) // per_row - 1)
    for start in range(0, len(boxes), per_row):
        _print_all(console, draw_row(boxes[start : start + per_row], width))


def _print_all(console: "Console", lines: "Iterator[Text]") -> None:
    for line in lines:
        if "utf" not in console.encoding:
            line.plain = line.plain.translate(_ASCII)
        console.print(line, soft_wrap=True)


def _near(look: "NearLook") -> "Iterator[str]":
    """A line for each name: the way to its nodes, or why it is not offered."""
    for verdict in look.verdicts:
        state = "" if verdict.advertised else " is not offered"
        notes = "; ".join(verdict.resolution.notes)
        yield f"{verdict.local_name}{state}: {verdict}" + (f" ({notes})" if notes else "")
    yield from look.problems
    yield from look.remarks
