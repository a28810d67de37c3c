"""`numa-trio topology --output svg`: a picture that stands alone and says what the drawing says."""

import re
from itertools import combinations
from xml.etree import ElementTree as ET

import pytest
from rich.cells import cell_len

from drawn_machines import EVERY_MACHINE, seen_of
from numa_trio.commands import topology_svg_matrix
from numa_trio.commands.topology_facts import facts_of
from numa_trio.commands.topology_svg import draw_svg

SVG = "{http://www.w3.org/2000/svg}"
WIDTH_OF_A_CHARACTER = 7.3  # pixels, of the widest monospaced font of 12 pixels
Rectangle = tuple[float, float, float, float]


def picture(machine: str) -> ET.Element:
    return ET.fromstring(draw_svg(seen_of(machine)))


def texts(root: ET.Element) -> list[str]:
    return [each.text or "" for each in root.iter(f"{SVG}text")]


def rectangles(root: ET.Element, kind: str) -> list[Rectangle]:
    """Left, top, right and bottom of each of that class."""
    found = []
    for each in root.iter(f"{SVG}rect"):
        if kind in each.attrib["class"].split():
            x, y, width, height = (float(each.attrib[n]) for n in ("x", "y", "width", "height"))
            found.append((x, y, x + width, y + height))
    return found


def within(inner: Rectangle, outer: Rectangle) -> bool:
    return (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and inner[2] <= outer[2]
        and inner[3] <= outer[3]
    )


def apart(one: Rectangle, other: Rectangle) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@pytest.mark.parametrize("machine", EVERY_MACHINE)
def test_every_machine_is_drawn_within_its_frames(machine: str) -> None:
    """A frame for each node, none upon another; each CPU in one, all of it on the page."""
    nodes = facts_of(seen_of(machine))
    root = picture(machine)
    (page,) = rectangles(root, "page")
    frames, tiles = rectangles(root, "frame"), rectangles(root, "cpu")
    assert len(frames) == len(nodes)
    assert len(tiles) == sum(len(each.node.cpus) for each in nodes)
    assert all(apart(one, other) for one, other in combinations(frames, 2))
    assert all(any(within(tile, frame) for frame in frames) for tile in tiles)
    assert all(
        within(each, page)
        for kind in ("frame", "socket", "cell")
        for each in rectangles(root, kind)
    )


@pytest.mark.parametrize("machine", EVERY_MACHINE)
def test_every_text_ends_on_the_page(machine: str) -> None:
    """Also in the widest font that a viewer may have."""
    root = picture(machine)
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    for each in root.iter(f"{SVG}text"):
        kind = each.attrib.get("class", "").split()
        x, y = float(each.attrib["x"]), float(each.attrib["y"])
        length = cell_len(each.text or "") * WIDTH_OF_A_CHARACTER
        if "end" in kind:
            assert x - length > 0
        elif "mid" not in kind:
            assert x + length <= width, each.text
        assert 0 < y < height


def test_says_what_there_is() -> None:
    """The nodes with their CPUs, memory, devices and distances, and what is not advertised."""
    written = texts(picture("odd"))
    assert {"NUMA node 0", "numa-align/numa-0", "not advertised"} <= set(written)
    assert {str(cpu) for cpu in (0, 1, 2, 3, 6, 7, 8, 9, 10)} <= set(written)
    assert "6 GiB of 8 GiB used, 2 GiB free" in written
    assert "CXL memory, memory tier 22" in written
    assert "Offline: 4 CPUs: 4-5,11-12." in written
    assert r"e\nth\x1b[31m: 0000:f9:00.0" in written
    assert "<b>&amp;: 0000:f8:00.0" in written
    assert {"14", "21", "24"} <= set(written)
    assert any(text.startswith("Not advertised: 2: no online CPUs") for text in written)


def test_the_distances_of_very_many_nodes_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """No page has room for them; the picture says so."""
    monkeypatch.setattr(topology_svg_matrix, "_MOST", 7)
    root = picture("8-nodes")
    assert rectangles(root, "cell") == []
    assert "Distances of more than 7 nodes are left out." in texts(root)


def test_threads_of_a_core_are_side_by_side() -> None:
    """Closer to each other than to the next core."""
    root = picture("two-node-server")
    first, second, third, *_ = rectangles(root, "cpu")
    assert texts(root)[3:6] == ["0", "32", "1"]
    assert second[0] - first[2] < third[0] - second[2]


def test_stands_alone_and_is_told_to_those_who_do_not_see_it() -> None:
    """It loads nothing; has a title, a description of each node, and colours for light and dark."""
    text = draw_svg(seen_of("two-node-server"))
    assert not re.search(r"https?:|url\(|@import|<script|<image|href", text.replace(SVG[1:-1], ""))
    root = ET.fromstring(text)
    assert root.attrib["role"] == "img"
    named = {each.attrib["id"]: each.text or "" for each in root if "id" in each.attrib}
    assert [*named] == root.attrib["aria-labelledby"].split()
    title, description = named.values()
    assert title == "2 NUMA nodes, 2 sockets, 32 cores, 64 CPUs, 256 GiB of memory (256 GiB free)"
    assert "NUMA node 1: numa-align/numa-1; CPUs 16-31,48-63; memory " in description
    assert "@media (prefers-color-scheme:dark)" in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_can_be_read(scheme: str) -> None:
    """Each text is 4.5 to 1 on what is behind it, as WCAG 2 asks of small texts."""
    light, dark = draw_svg(seen_of("odd")).split("<style>")[1].split("</style>")[0].split("@media")
    colours = fills(light) | (fills(dark) if scheme == "dark" else {})
    for ground in ("page", "frame"):
        for text in ("text", "faint", "good", "poor"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    strongest = mixed(colours["cell"], colours["page"], 0.6)
    assert contrast(colours["text"], strongest) >= 4.5
    assert contrast(colours["text"], colours["cpu"]) >= 4.5


Colour = tuple[float, float, float]


def fills(style: str) -> dict[str, Colour]:
    """The colours by class or element."""
    found = {}
    for names, body in re.findall(r"([^{}]+)\{([^{}]*)\}", style):
        if fill := re.search(r"fill:#([0-9a-f]{3,6})", body):
            digits = fill[1] if len(fill[1]) == 6 else "".join(2 * digit for digit in fill[1])
            red, green, blue = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
            for name in names.split(","):
                found[name.strip().lstrip(".")] = (red, green, blue)
    return found


def mixed(colour: Colour, ground: Colour, opacity: float) -> Colour:
    red, green, blue = (
        opacity * above + (1 - opacity) * below for above, below in zip(colour, ground, strict=True)
    )
    return red, green, blue


def contrast(one: Colour, other: Colour) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: Colour) -> float:
    """The relative luminance of WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
