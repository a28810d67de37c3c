"""Boxes of labelled facts, drawn with characters: each as wide as it may be, side by side."""

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from numa_trio.commands.topology_words import Fact
from numa_trio.plain_text import escaped

if TYPE_CHECKING:
    from rich.text import Text

_APART = 1  # between boxes
_FRAME = 4  # the borders, and a blank beside each
_GAP = 2  # between a label and what it is of
_BAR, _SHORTEST_BAR = 20, 10

# Words end at blanks, but for those between a number and its unit.
_BLANK = re.compile(r"\s+(?!(?:[KMGTPE]i)?B\b|M[Bb]/s|ns\b)")

# A word may be continued after these, if it does not fit in a line.
_PIECE = re.compile(r"[^,/]*[,/]+|[^,/]+")


@frozen
class Box:
    """A title at the left, a badge at the right if there is room for it, and facts.

    `colour` is that of the border and the badge. `bar` is the share of it that the fact of that
    label is drawn with, from 0 to 1.
    """

    title: str
    badge: str
    colour: str
    facts: tuple[Fact, ...]
    bar: tuple[str, float] | None = None


def boxes_per_row(width: int, least: int, count: int) -> int:
    """How many boxes of at `least` so many columns fit side by side, of so many boxes."""
    return max(1, min(count, (width + _APART) // (least + _APART)))


def draw_row(boxes: Sequence[Box], width: int) -> "Iterator[Text]":
    """The lines of boxes side by side, each `width` columns wide."""
    from rich.text import Text

    bodies = [list(_body(_fitted(box, width), width - _FRAME)) for box in boxes]
    height = max(map(len, bodies))
    blank = Text(" " * (width - _FRAME))
    drawn = [
        [
            _top(box, width),
            *(_framed(line, box.colour) for line in [*body, *[blank] * (height - len(body))]),
            Text(f"╰{'─' * (width - 2)}╯", box.colour),
        ]
        for box, body in zip(boxes, bodies, strict=True)
    ]
    for lines in zip_longest(*drawn):
        yield Text(" " * _APART).join(lines)


def _fitted(box: Box, width: int) -> Box:
    """The box, with the badge as its first fact where there is no room for it beside the title."""
    if not box.badge or _rule(box, width) > 0:
        return box
    return evolve(box, badge="", facts=(Fact("Resource", (box.badge,)), *box.facts))


def _rule(box: Box, width: int) -> int:
    """How long the stroke between title and badge is; not above 0 if there is no room for both."""
    from rich.cells import cell_len

    return width - 8 - cell_len(escaped(box.title)) - cell_len(escaped(box.badge))


def _top(box: Box, width: int) -> "Text":
    from rich.cells import cell_len
    from rich.text import Text

    title, badge = escaped(box.title), escaped(box.badge)
    text = Text.assemble(("╭─ ", box.colour), (title, "bold"), " ")
    if badge and (rule := _rule(box, width)) > 0:
        text.append(f"{'─' * rule} ", box.colour).append(badge, f"bold {box.colour}")
        return text.append(" ─╮", box.colour)
    return text.append(f"{'─' * (width - 5 - cell_len(title))}╮", box.colour)


def _framed(line: "Text", colour: str) -> "Text":
    from rich.text import Text

    return Text.assemble(("│ ", colour), line, (" │", colour))


def _body(box: Box, width: int) -> "Iterator[Text]":
    """The facts, each line exactly `width` columns wide."""
    from rich.cells import cell_len
    from rich.text import Text

    indent = max((len(fact.label) for fact in box.facts), default=0) + _GAP
    for fact in box.facts:
        label = fact.label
        for line in _lines(box, fact, width - indent):
            padding = " " * (width - indent - cell_len(line.plain))
            yield Text.assemble((f"{label:<{indent}}", "dim"), line, padding)
            label = ""


def _lines(box: Box, fact: Fact, width: int) -> "Iterator[Text]":
    """The fact in lines of that many columns at most; a bar is before it, or above if need be."""
    from rich.cells import cell_len
    from rich.text import Text

    lines = list(fact.lines)
    if box.bar and box.bar[0] == fact.label:
        room = width - 1 - cell_len(lines[0])
        if room >= _SHORTEST_BAR:
            yield _bar(box.bar[1], min(room, _BAR)).append(f" {lines.pop(0)}")
        else:
            yield _bar(box.bar[1], min(width, 2 * _BAR))
    for line in lines:
        yield from map(Text, wrapped(line, width, indent=2))


def _bar(share: float, length: int) -> "Text":
    from rich.text import Text

    full = round(share * length)
    return Text.assemble(("█" * full, "cyan"), ("░" * (length - full), "dim"))


def wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """The text in lines of that many columns at most, all but the first `indent` further in.

    Words are left whole while they fit in a line; longer ones are continued after a comma or a
    slash, and where there is none, where the line ends. What cannot be printed is escaped.
    """
    from rich.cells import cell_len

    lines = [""]
    for word in _words(_BLANK.split(escaped(text).strip()), width - indent):
        joint = " " if lines[-1].strip() and word.first else ""
        if cell_len(lines[-1] + joint + word.text) > width and lines[-1].strip():
            lines.append(" " * indent + word.text)
        else:
            lines[-1] += joint + word.text
    return lines


@frozen
class _Piece:
    """A word or a part of one; `first` is False where it continues a word."""

    text: str
    first: bool


def _words(words: Sequence[str], width: int) -> Iterator[_Piece]:
    """The words, those that are longer than a line in pieces."""
    from rich.cells import cell_len, chop_cells

    for word in words:
        # A number whose unit does not fit beside it is left alone.
        for part in [word] if cell_len(word) <= width else word.split():
            pieces = [part] if cell_len(part) <= width else _PIECE.findall(part)
            chopped = [short for piece in pieces for short in chop_cells(piece, width)]
            for place, piece in enumerate(chopped):
                yield _Piece(piece, first=not place)
