"""Where the commands show text: no text from outside changes the terminal or the layout."""

import sys
from typing import TYPE_CHECKING, TextIO

from numa_trio.plain_text import escaped_lines

if TYPE_CHECKING:
    from rich.console import Console


# More columns than any table takes.
_BOUNDLESS = 100_000


def complain(text: object) -> None:
    """Show a message on standard error."""
    print(escaped_lines(str(text)), file=sys.stderr)


def open_console(stream: TextIO) -> "Console":
    """A console that escapes what cannot be printed in texts and table cells; its styles stay.

    Without a terminal it has room for lines of any length: for grep and the like.
    """
    from rich.console import Console
    from rich.text import Text

    class PlainConsole(Console):
        # Each text, also that of a table's cell, becomes renderable by way of this method.
        def render_str(self, text: str, **options: object) -> Text:
            return super().render_str(escaped_lines(text), **options)  # type: ignore[arg-type]

    return PlainConsole(
        file=stream,
        highlight=False,
        markup=False,
        emoji=False,
        width=None if stream.isatty() else _BOUNDLESS,
    )
