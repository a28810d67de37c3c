"""The distances between NUMA nodes: as a table, and in words for one node."""

from collections.abc import Iterator, Sequence

from numa_trio.agent.monitor.page.markup import Markup, element, join
from numa_trio.topology.lists import format_nodes
from numa_trio.topology.machine import NumaNode

_LEVELS = 6  # shades that style.css has, from near to far

# Of more other nodes than these, only the nearest and the farthest are named.
_MOST_NAMED = 12

# The table of more nodes than these fills a screen, so that it is folded.
_TABLE_AT_A_GLANCE = 16


def describe_distances(node: NumaNode) -> list[str]:
    """The other nodes by their distance from this one, the nearest first: `21 to node 1`."""
    by_distance = {
        distance: others
        for distance, nodes in node.nodes_by_distance.items()
        if (others := [other for other in nodes if other != node.id])
    }
    phrases = [f"{distance} to {format_nodes(others)}" for distance, others in by_distance.items()]
    if len(node.distances) > _MOST_NAMED and len(phrases) > 1:
        return [phrases[0], f"up to {max(by_distance)} to the others"]
    return phrases


def distances_section(nodes: Sequence[NumaNode]) -> Iterator[Markup]:
    """The table with what its numbers mean, if there is more than one node."""
    if not any(len(node.distances) > 1 for node in nodes):
        return
    fold = "open" if len(nodes) <= _TABLE_AT_A_GLANCE else "shut"
    yield element(
        "details",
        element("summary", element("h2", "Distances")),
        element(
            "p",
            "From the node of the row to the node of the column; 10 is the node's own memory,"
            " 20 costs twice that.",
            class_="meaning",
        ),
        element("div", _table(nodes), class_="scroll", tabindex=0, role="group"),
        id="distances",
        class_="panel",
        data_fold=fold,
        open="" if fold == "open" else None,
    )


def _table(nodes: Sequence[NumaNode]) -> Markup:
    """From each node, a row, to each, a column; the farther the darker."""
    shades = _shades(nodes)
    heads = (element("th", str(node.id), scope="col") for node in nodes)
    rows = (_row(node, nodes, shades) for node in nodes)
    return element("table", element("tr", element("td"), *heads), *rows, class_="distances")


def _row(node: NumaNode, nodes: Sequence[NumaNode], shades: dict[int, str]) -> Markup:
    cells = []
    for other in nodes:
        distance = node.distances.get(other.id)
        if distance is None:
            cells.append(Markup("<td>"))
        else:  # not by element(): there are thousands on a large machine
            cells.append(Markup(f"<td class={shades[distance]}>{distance}"))
    return element("tr", element("th", str(node.id), scope="row"), join(cells))


def _shades(nodes: Sequence[NumaNode]) -> dict[int, str]:
    """A class for each distance that occurs."""
    known = sorted({distance for node in nodes for distance in node.distances.values()})
    steps = max(len(known) - 1, 1)
    return {distance: f"d{rank * (_LEVELS - 1) // steps}" for rank, distance in enumerate(known)}
