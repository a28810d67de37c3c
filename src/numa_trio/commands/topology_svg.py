"""`numa-trio topology` as a picture: an SVG that needs nothing else, in light and dark."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from numa_trio.commands.topology_facts import Group, NodeFacts, by_socket, facts_of
from numa_trio.commands.topology_svg_matrix import draw_matrix, matrix_width
from numa_trio.commands.topology_svg_node import BOX, draw_facts, draw_node
from numa_trio.commands.topology_svg_shapes import LINE, Drawing, lines_within, markup
from numa_trio.commands.topology_words import (
    device_words,
    group_title,
    left_out,
    machine_title,
    memory_words,
    node_title,
    offline_line,
)
from numa_trio.topology.lists import format_list

if TYPE_CHECKING:
    from numa_trio.commands.topology import Seen

_MARGIN, _APART, _INSIDE = 18, 12, 12
_BOTTOM = 2  # below the last line of a box, besides the line itself
_FEW = 8  # nodes, of which two columns are high enough

# The colours are there twice instead of once as variables, which some viewers do not know. They
# are of 4.5 to 1 on their ground at least.
_STYLE = """\
text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#1f2733;white-space:pre}
.bold{font-weight:600}.small{font-size:9px}.end{text-anchor:end}.mid{text-anchor:middle}
.faint{fill:#566174}.good{fill:#1d7045}.poor{fill:#8f5200}
.page{fill:#fff}.frame{fill:#f4f6fa;stroke:#b8c2d0}.socket{fill:none;stroke:#8a94a6}
.cpu,.rest{fill:#dbe4f0}.used,.cell{fill:#2f6fb3}
@media (prefers-color-scheme:dark){
text{fill:#dfe5ee}.faint{fill:#9aa7b8}.good{fill:#6bd69a}.poor{fill:#f0c060}
.page{fill:#12161b}.frame{fill:#1b2129;stroke:#3d4755}.socket{stroke:#5b6675}
.cpu,.rest{fill:#2c3a4d}.used,.cell{fill:#4c8fd9}
}"""


def print_svg(seen: "Seen") -> None:
    """Print it on standard output."""
    print(draw_svg(seen))


def draw_svg(seen: "Seen") -> str:
    """The machine, its nodes by socket, their distances, and what there is to remark."""
    nodes = facts_of(seen)
    groups = by_socket(nodes)
    most = 2 if len(nodes) <= _FEW else 4
    columns = max(min(most, len(group.members)) for group in groups)
    inside = _INSIDE if len(groups) > 1 else 0
    width = max(_across(columns) + 2 * inside, matrix_width(nodes)) + 2 * _MARGIN
    drawing = Drawing()
    y: float = _MARGIN + LINE
    drawing.text(_MARGIN, y, machine_title(seen, nodes), "bold")
    if offline := offline_line(seen):
        drawing.text(_MARGIN, y := y + LINE, offline)
    y += _APART
    for group in groups:
        if inside:
            y = _draw_socket(drawing, group, y, columns)
        else:
            y = _draw_nodes(drawing, group.members, _MARGIN, y, columns, with_socket=True)
    if elsewhere := list(device_words(seen.listing.near_no_node(), None)):
        drawing.text(_MARGIN, y + LINE, "Near no known node", "bold")
        y = draw_facts(drawing, elsewhere, _MARGIN, y + 2 * LINE + 4)
    y = draw_matrix(drawing, nodes, _MARGIN, y)
    y += LINE + 6
    for line in [*left_out(nodes), *map(str, seen.machine.remarks)]:
        y = drawing.texts(_MARGIN, y, lines_within(line, width - 2 * _MARGIN), "faint")
    return _document(machine_title(seen, nodes), nodes, drawing, width, y - LINE + _MARGIN)


def _draw_socket(drawing: Drawing, group: Group, y: float, columns: int) -> float:
    """The nodes of a socket within a frame."""
    inner = Drawing()
    inner.text(_MARGIN + _INSIDE, y + LINE + 2, group_title(group), "bold")
    end = _draw_nodes(
        inner, group.members, _MARGIN + _INSIDE, y + LINE + 12, columns, with_socket=False
    )
    wide = _across(columns) + 2 * _INSIDE
    drawing.box(_MARGIN, y, wide, end - y, "socket", radius=10)
    drawing.elements += inner.elements
    return end + _APART


def _draw_nodes(
    drawing: Drawing,
    members: Sequence[NodeFacts],
    x: float,
    y: float,
    columns: int,
    *,
    with_socket: bool,
) -> float:
    """The nodes in rows; those of a row are equally high."""
    for start in range(0, len(members), columns):
        inner, ends, row = Drawing(), [], members[start : start + columns]
        for place, each in enumerate(row):
            left = x + place * (BOX + _APART)
            ends.append(draw_node(inner, each, left, y, with_socket=with_socket))
        height = max(ends) - y - LINE + _BOTTOM + 12
        for place in range(len(row)):
            drawing.box(x + place * (BOX + _APART), y, BOX, height, "frame", radius=8)
        drawing.elements += inner.elements
        y += height + _APART
    return y


def _across(columns: int) -> float:
    return columns * (BOX + _APART) - _APART


def _document(
    title: str, nodes: Sequence[NodeFacts], drawing: Drawing, width: float, height: float
) -> str:
    page = Drawing()
    page.box(0, 0, width, height, "page", radius=10)
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    named = 'role="img" aria-labelledby="numa-title numa-description"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {named}>',
            f'<title id="numa-title">{markup(title)}</title>',
            f'<desc id="numa-description">{markup(" ".join(map(_described, nodes)))}</desc>',
            f"<style>{_STYLE}</style>",
            *page.elements,
            *drawing.elements,
            "</svg>",
        ]
    )


def _described(facts: NodeFacts) -> str:
    """A node in a sentence, for those who do not see the picture."""
    cpus = format_list(facts.node.cpus) if facts.node.cpus_known else "unknown"
    offered = facts.resource or "not advertised"
    memory = memory_words(facts)
    return f"{node_title(facts)}: {offered}; CPUs {cpus or 'none'}; memory {memory}."
