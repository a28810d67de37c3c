"""The picture of the distances between NUMA nodes: the farther the stronger the colour."""

from collections.abc import Sequence

from numa_trio.commands.topology_distances import is_nearest
from numa_trio.commands.topology_facts import NodeFacts
from numa_trio.commands.topology_svg_shapes import CHARACTER, LINE, Drawing

_CELL_HEIGHT = 20
_STRONGEST = 0.6
_MOST = 128  # nodes: no screen and no paper has room for more


def matrix_width(nodes: Sequence[NodeFacts]) -> float:
    """How many pixels wide the matrix is; 0 where there is none to draw."""
    return _cell(nodes) * (len(nodes) + 1) if _known(nodes) and len(nodes) <= _MOST else 0


def draw_matrix(drawing: Drawing, nodes: Sequence[NodeFacts], x: float, y: float) -> float:
    """Draw it if there is more than one node; returns where it ends."""
    if not _known(nodes):
        return y
    if len(nodes) > _MOST:
        drawing.text(x, y + LINE, f"Distances of more than {_MOST} nodes are left out.", "faint")
        return y + LINE
    drawing.text(x, y + LINE, "Distances, from the row's node to the column's", "bold")
    y += LINE + 10
    cell = _cell(nodes)
    for place, each in enumerate(nodes, start=1):
        drawing.text(x + cell * (place + 0.5), y + 14, str(each.node.id), "mid faint")
    known = sorted({distance for each in nodes for distance in each.node.distances.values()})
    for each in nodes:
        y += _CELL_HEIGHT
        drawing.text(x + cell / 2, y + 14, str(each.node.id), "mid faint")
        for place, other in enumerate(nodes, start=1):
            distance = each.node.distances.get(other.node.id)
            if distance is None:
                continue
            left = x + cell * place
            shade = _STRONGEST * known.index(distance) / max(len(known) - 1, 1)
            drawing.box(left, y, cell - 1, _CELL_HEIGHT - 1, "cell", radius=2, opacity=shade)
            bold = " bold" if is_nearest(each, other.node.id) else ""
            drawing.text(left + cell / 2, y + 14, str(distance), f"mid{bold}")
    return y + _CELL_HEIGHT


def _known(nodes: Sequence[NodeFacts]) -> bool:
    return any(len(each.node.distances) > 1 for each in nodes)


def _cell(nodes: Sequence[NodeFacts]) -> float:
    numbers = [str(each.node.id) for each in nodes]
    numbers += [str(distance) for each in nodes for distance in each.node.distances.values()]
    return round(CHARACTER * (max(map(len, numbers)) + 1.5))
