"""A fact of the page: its name, what it is, and in some places what that means."""

from functools import cache

from numa_trio.agent.monitor.page.markup import Markup, element


def fact(name: str, *content: str, meaning: str | None = None) -> Markup:
    """A name and its content, which a pointer on the name or a line below it explains."""
    dt = element("dt", name) if meaning is None else _with_meaning(name, meaning)
    return element("div", dt, element("dd", *content))


@cache  # the same few on each card
def _with_meaning(name: str, meaning: str) -> Markup:
    return element("dt", name, title=meaning)


def explained(name: str, content: str, meaning: str) -> Markup:
    """The same, with its meaning in a line below."""
    return element(
        "div", element("dt", name), element("dd", content, element("p", meaning, class_="meaning"))
    )
