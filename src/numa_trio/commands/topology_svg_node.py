"""The picture of one NUMA node: its CPUs core by core, its memory, and what is near it."""

from collections.abc import Iterable, Iterator, Sequence

from numa_trio.commands.topology_facts import NodeFacts
from numa_trio.commands.topology_svg_shapes import CHARACTER, LINE, Drawing, lines_within
from numa_trio.commands.topology_words import Fact, node_title, node_words

BOX = 440  # how wide the picture is

_INSET = 14
_INNER = BOX - 2 * _INSET
LABEL = 86  # how far the lines are from the labels
_MEMORY = "Memory"
_TILE_WIDTH, _TILE_HEIGHT, _PER_DIGIT = 10, 16, 5.6
_BETWEEN_CORES, _BETWEEN_ROWS = 6, 4
_BAR = 8


def draw_node(
    drawing: Drawing, facts: NodeFacts, x: float, y: float, *, with_socket: bool
) -> float:
    """Draw it without its frame; returns where it ends."""
    left, y = x + _INSET, y + 24
    drawing.text(left, y, node_title(facts), "bold")
    badge = facts.resource or "not advertised"
    tone = "good" if facts.resource else "poor"
    if len(badge) + len(node_title(facts)) < _INNER / CHARACTER - 2:
        drawing.text(x + BOX - _INSET, y, badge, f"bold end {tone}")
    else:
        y = drawing.texts(left, y + LINE, lines_within(badge, _INNER), tone) - LINE
    y = _draw_cpus(drawing, facts, left, y + 12) + LINE - 4
    for fact in node_words(facts, with_socket=with_socket, list_cores=False):
        if fact.label == _MEMORY:
            y = _draw_bar(drawing, facts, left + LABEL, y)
        y = _draw_fact(drawing, fact, left, y)
    return y


def draw_facts(drawing: Drawing, facts: Iterable[Fact], x: float, y: float) -> float:
    """Draw each label with its lines beside it, from the line at `y`; returns the one after."""
    for fact in facts:
        y = _draw_fact(drawing, fact, x, y)
    return y


def _draw_fact(drawing: Drawing, fact: Fact, x: float, y: float) -> float:
    drawing.text(x, y, fact.label, "faint")
    for line in fact.lines:
        y = drawing.texts(x + LABEL, y, lines_within(line, _INNER - LABEL))
    return y


def _draw_cpus(drawing: Drawing, facts: NodeFacts, left: float, y: float) -> float:
    """A tile for each CPU; threads of a core are side by side, cores apart from each other."""
    cores: list[Sequence[int]] = [core.cpus for core in facts.cores]
    cores = cores or [[cpu] for cpu in sorted(facts.node.cpus)]
    if not cores:
        return y
    tile = round(_TILE_WIDTH + _PER_DIGIT * len(str(max(facts.node.cpus))))
    for row in _rows(cores, tile):
        x = left
        for core in row:
            for cpu in core:
                drawing.box(x, y, tile, _TILE_HEIGHT, "cpu", radius=2)
                drawing.text(x + tile / 2, y + 12, str(cpu), "small mid")
                x += tile + 1
            x += _BETWEEN_CORES
        y += _TILE_HEIGHT + _BETWEEN_ROWS
    return y + _BETWEEN_ROWS


def _rows(cores: Sequence[Sequence[int]], tile: int) -> Iterator[Sequence[Sequence[int]]]:
    """As many cores in a row as fit, of a power of two where there are so many."""
    core = max(map(len, cores)) * (tile + 1) + _BETWEEN_CORES
    fit = max(1, (_INNER + _BETWEEN_CORES) // core)
    several = 1 << (fit.bit_length() - 1)
    per_row = several if several * 4 >= fit * 3 else fit
    for start in range(0, len(cores), per_row):
        yield cores[start : start + per_row]


def _draw_bar(drawing: Drawing, facts: NodeFacts, x: float, y: float) -> float:
    """The part of the memory that is used; nothing where it is unknown or there is none."""
    total, used = facts.node.memory_bytes, facts.memory_used_bytes
    if not total or used is None:
        return y
    drawing.box(x, y - _BAR, _INNER - LABEL, _BAR, "rest", radius=_BAR / 2)
    if used:
        width = max(_BAR, (_INNER - LABEL) * used / total)
        drawing.box(x, y - _BAR, width, _BAR, "used", radius=_BAR / 2)
    return y + LINE - 2
