"""Text and tables for a terminal of any width: no word is broken while it fits in a line."""

import textwrap
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from numa_trio.plain_text import escaped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_BETWEEN = 1  # columns of a table are apart at least so far


def print_lines(console: "Console", *lines: str, style: str = "", indent: int = 0) -> None:
    """Print each line, continued after a word where it is too long, `indent` blanks further in.

    Lines are escaped. A word that is longer than a line is left whole: the terminal continues it.
    """
    from rich.text import Text

    for line in map(escaped, lines):
        own_indent = len(line) - len(line.lstrip())
        wrapped = textwrap.wrap(
            line,
            console.width,
            subsequent_indent=" " * (own_indent + indent),
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
            replace_whitespace=False,
        )
        console.print(Text("\n".join(wrapped), style), soft_wrap=True)


def print_table(
    console: "Console",
    headings: Sequence[str],
    rows: Sequence[Sequence["str | Text"]],
    *,
    padding: int = 1,
    right: Collection[str] = (),
) -> None:
    """Print a table; of one that would break words, print the rows as lists of facts instead.

    Strings are escaped. Headings in `right` are of columns that end at the right; the first one
    may be empty.
    """
    cells = [[_as_text(cell) for cell in row] for row in rows]
    for each in dict.fromkeys((padding, 0)):
        room = console.width - len(headings) * each - (len(headings) - 1) * _BETWEEN
        if widths := _widths(headings, cells, room):
            console.print(_table(headings, cells, widths, each, right))
            return
    for row in cells:
        _print_facts(console, headings, row)


def _as_text(cell: "str | Text") -> "Text":
    from rich.text import Text

    return Text(escaped(cell)) if isinstance(cell, str) else cell


def _widths(
    headings: Sequence[str], cells: Sequence[Sequence["Text"]], room: int
) -> list[int] | None:
    """The width of each column in a table of that width; None if its words do not fit."""
    columns = [
        [heading, *(row[place].plain for row in cells if place < len(row))]
        for place, heading in enumerate(headings)
    ]
    least = [max(map(_longest_word, column)) for column in columns]
    widths = [max(map(len, column)) for column in columns]
    while sum(widths) > room:
        slack = [width - needed for width, needed in zip(widths, least, strict=True)]
        if not any(slack):
            return None
        widest = max(range(len(widths)), key=lambda place: (slack[place] > 0, widths[place]))
        widths[widest] -= 1
    return widths


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def _table(
    headings: Sequence[str],
    cells: Sequence[Sequence["Text"]],
    widths: Sequence[int],
    padding: int,
    right: Collection[str],
) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, padding, 0, 0))
    for heading, width in zip(headings, widths, strict=True):
        justify = "right" if heading in right else "left"
        table.add_column(heading, justify=justify, width=width, overflow="fold")  # type: ignore[arg-type]
    for row in cells:
        table.add_row(*row)
    return table


def _print_facts(console: "Console", headings: Sequence[str], row: Sequence["Text"]) -> None:
    """The first cell, and below it the others that say something, as many in a line as fit."""
    from rich.text import Text

    first, *others = row
    print_lines(console, f"{headings[0]} {first.plain}".lstrip(), style="bold", indent=2)
    line = Text()
    for heading, cell in zip(headings[1:], others, strict=False):
        if not cell.plain:
            continue
        fact = Text.assemble("  ", f"{heading}: " if heading else "", cell)
        if line and len(line) + len(fact) > console.width:
            console.print(line, soft_wrap=True)
            line = Text()
        if len(fact) > console.width:
            print_lines(console, fact.plain, indent=2)
        else:
            line.append_text(fact)
    if line:
        console.print(line, soft_wrap=True)
