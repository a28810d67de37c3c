"""The elements of a picture: texts and rectangles at places, in pixels."""

from collections.abc import Sequence
from html import escape

from attrs import define, field

from numa_trio.commands.topology_box import wrapped
from numa_trio.plain_text import escaped

CHARACTER = 7.3  # pixels: at the most, of the monospaced fonts in 12 that viewers have
LINE = 17


def markup(text: str) -> str:
    """The text as it may stand in an element: on one line, without control characters."""
    return escape(escaped(text), quote=False)


def lines_within(text: str, width: float) -> list[str]:
    """The text in lines that are at most so many pixels wide."""
    return wrapped(text, max(8, int(width / CHARACTER)))


@define
class Drawing:
    """Elements in the order in which they are drawn; the style has the classes."""

    elements: list[str] = field(factory=list)

    def text(self, x: float, y: float, text: str, classes: str = "") -> None:
        """One line of text, its baseline at `y`."""
        named = f' class="{classes}"' if classes else ""
        self.elements.append(f'<text x="{x:g}" y="{y:g}"{named}>{markup(text)}</text>')

    def texts(self, x: float, y: float, lines: Sequence[str], classes: str = "") -> float:
        """Lines below each other, the first baseline at `y`; returns the one after the last."""
        for line in lines:
            self.text(x, y, line, classes)
            y += LINE
        return y

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        classes: str,
        *,
        radius: float = 0,
        opacity: float = 1,
    ) -> None:
        """A rectangle, maybe with round corners and partly transparent."""
        extra = f' rx="{radius:g}"' if radius else ""
        extra += f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
        size = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
        self.elements.append(f'<rect {size} class="{classes}"{extra}/>')
