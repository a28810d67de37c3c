"""Drawings of CPUs and memory, small whatever their number."""

from collections.abc import Set as AbstractSet

from numa_trio.agent.monitor.page.markup import Markup, element

# Up to so many CPUs of a node, each is drawn with its number; more become little squares.
MAX_NUMBERED = 32

_COLUMNS = 32
_PITCH = 9  # of the little squares
_GAP = 2


def draw_cpus(cpus: AbstractSet[int], cpulist: str) -> Markup:
    """One box a CPU; nothing for no CPUs."""
    if not cpus:
        return Markup()
    if len(cpus) <= MAX_NUMBERED:
        boxes = (element("li", str(cpu)) for cpu in sorted(cpus))
        return element("ol", *boxes, class_="cpus", aria_label=f"CPUs {cpulist}")
    full_rows, rest = divmod(len(cpus), _COLUMNS)
    height = (full_rows + bool(rest)) * _PITCH
    top = full_rows * _PITCH
    width = _COLUMNS * _PITCH - _GAP
    return element(
        "svg",
        element("rect", width=width, height=top, class_="squares"),
        element("rect", y=top, width=max(rest * _PITCH - _GAP, 0), height=_PITCH, class_="squares"),
        viewBox=f"0 0 {width} {height}",
        class_="cpus",
        role="img",
        aria_label=f"{len(cpus)} CPUs: {cpulist}",
    )


def square_pattern() -> Markup:
    """What the little squares are painted with; once in the page."""
    square = element("rect", width=_PITCH - _GAP, height=_PITCH - _GAP, rx=1)
    pattern = element(
        "pattern",
        square,
        id="squares",
        width=_PITCH,
        height=_PITCH,
        patternUnits="userSpaceOnUse",
    )
    return element("svg", element("defs", pattern), class_="paint", aria_hidden="true")


def draw_share(share: float, label: str) -> Markup:
    """A bar of which `share`, from 0 to 1, is filled."""
    filled = element("rect", width=f"{100 * min(max(share, 0), 1):.1f}", height=6)
    return element(
        "svg",
        filled,
        viewBox="0 0 100 6",
        preserveAspectRatio="none",
        class_="bar",
        role="img",
        aria_label=label,
    )
