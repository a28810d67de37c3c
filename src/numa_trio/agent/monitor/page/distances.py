"""The distances between NUMA nodes: as a table, and in words for one node."""

from collections.abc import Sequence

from numa_trio.agent.monitor.page.markup import Markup, element, join
from numa_trio.topology.lists import format_list
from numa_trio.topology.machine import NumaNode

_LEVELS = 6  # shades that style.css has, from near to far

# Of more other nodes than these, only the nearest and the farthest are named.
_MOST_NAMED = 12


def describe_distances(node: NumaNode) -> list[str]:
    """The other nodes by their distance from this one, the nearest first: `21 to node 1`."""
    by_distance = {
        distance: others
        for distance, nodes in node.nodes_by_distance.items()
        if (others := [other for other in nodes if other != node.id])
    }
    phrases = [
        f"{distance} to {'node' if len(others) == 1 else 'nodes'} {format_list(others)}"
        for distance, others in by_distance.items()
    ]
    if len(node.distances) > _MOST_NAMED and len(phrases) > 1:
        return [phrases[0], f"up to {max(by_distance)} to the others"]
    return phrases


def distance_table(nodes: Sequence[NumaNode]) -> Markup:
    """From each node, a row, to each, a column; the farther the darker."""
    shades = _shades(nodes)
    head = element("tr", element("td"), *(element("th", str(node.id)) for node in nodes))
    return element(
        "table", head, *(_row(node, nodes, shades) for node in nodes), class_="distances"
    )


def _row(node: NumaNode, nodes: Sequence[NumaNode], shades: dict[int, str]) -> Markup:
    cells = []
    for other in nodes:
        distance = node.distances.get(other.id)
        if distance is None:
            cells.append(Markup("<td>"))
        else:  # not by element(): there are thousands on a large machine
            cells.append(Markup(f"<td class={shades[distance]}>{distance}"))
    return element("tr", element("th", str(node.id)), join(cells))


def _shades(nodes: Sequence[NumaNode]) -> dict[int, str]:
    """A class for each distance that occurs."""
    known = sorted({distance for node in nodes for distance in node.distances.values()})
    steps = max(len(known) - 1, 1)
    return {distance: f"d{rank * (_LEVELS - 1) // steps}" for rank, distance in enumerate(known)}
