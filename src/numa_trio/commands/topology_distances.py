"""The distances between NUMA nodes, drawn as a matrix; as lists where that is too wide."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from numa_trio.commands.topology_box import wrapped
from numa_trio.commands.topology_facts import NodeFacts
from numa_trio.topology.lists import format_nodes

if TYPE_CHECKING:
    from rich.text import Text

_NEAREST = "*"


def draw_distances(nodes: Sequence[NodeFacts], width: int) -> "Iterator[Text]":
    """The lines that tell the distances, if there is more than one node."""
    from rich.text import Text

    if not any(len(each.node.distances) > 1 for each in nodes):
        return
    yield Text()
    cell = 1 + max(
        *(len(str(each.node.id)) for each in nodes),
        *(len(_shown(each, other.node.id)) for each in nodes for other in nodes),
    )
    if cell * (len(nodes) + 1) <= width:
        title = f"Distances, from the row's node to the column's ({_NEAREST} the nearest)"
        yield from (Text(line, "bold") for line in wrapped(title, width))
        yield from _matrix(nodes, cell)
    else:
        yield from (Text(line, "bold") for line in wrapped("Distances, the nearest first", width))
        yield from _lists(nodes, width)


def _shown(each: NodeFacts, other: int) -> str:
    """A distance, marked if it is the one to a nearest node; not where all others are."""
    distance = each.node.distances.get(other)
    if distance is None:
        return "?"
    return f"{distance}{_NEAREST if is_nearest(each, other) else ' '}"


def is_nearest(each: NodeFacts, other: int) -> bool:
    """Whether the other node is nearer than some; of two nodes each is the other's nearest."""
    others = len(each.node.distances) - 1
    return (len(each.nearest) < others or others == 1) and other in each.nearest


def _matrix(nodes: Sequence[NodeFacts], cell: int) -> "Iterator[Text]":
    from rich.text import Text

    # The mark stands after the number, so that numbers are below each other.
    heads = (f"{each.node.id} ".rjust(cell) for each in nodes)
    yield Text(" " * cell + "".join(heads).rstrip(), "dim")
    for each in nodes:
        line = Text(f"{each.node.id} ".rjust(cell), "dim")
        for other in nodes:
            shown = _shown(each, other.node.id).rjust(cell)
            near, own = _NEAREST in shown, each is other
            line.append(shown, "bold green" if near else "dim" if own else "")
        line.rstrip()
        yield line


def _lists(nodes: Sequence[NodeFacts], width: int) -> "Iterator[Text]":
    from rich.text import Text

    for each in nodes:
        phrases = [
            f"{distance} to {format_nodes(others)}"
            for distance, members in each.node.nodes_by_distance.items()
            if (others := [other for other in members if other != each.node.id])
        ]
        told = "; ".join(phrases) or "unknown"
        yield from map(Text, wrapped(f"from node {each.node.id}: {told}", width, indent=2))
