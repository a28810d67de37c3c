"""HTML built from elements, in which all text is escaped unless it is HTML already."""

from collections.abc import Iterable
from html import escape

# Their end tags may be left out (HTML standard, 13.1.2.4), which halves a large table.
_NO_END_TAG = frozenset({"li", "td", "th", "tr", "dt", "dd"})


class Markup(str):
    """HTML already; it is not escaped again."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: str | int | None) -> Markup:
    """An element; `class_` is its class, `_` in a name stands for `-`, None leaves one out."""
    start = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    end = "" if name in _NO_END_TAG else f"</{name}>"
    return Markup(f"<{name}{start}>{join(children)}{end}")


def join(parts: Iterable[str]) -> Markup:
    """The parts one after the other."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))
