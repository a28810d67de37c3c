"""What the benchmarks show to people."""

import xml.etree.ElementTree as ET
from io import StringIO

import pytest
from benchmarks.plot import svg
from benchmarks.report import markdown, number, print_table
from benchmarks.results import OURS, PEER, Observation, Of, Run, Summary, Target, summarize
from rich.console import Console

RUN = Run(
    {"machine": "2 CPUs"},
    (
        Observation("recovery", "2 nodes", "ms", OURS, 0, (7, 7, 9)),
        Observation("recovery", "2 nodes", "ms", PEER, 0, (3,)),
        Observation("first list", "100 slots", "ms", OURS, 0, (0.9,)),
        Observation("first list", "100 slots", "ms", PEER, 0, (0.2,)),
        Observation("idle, CPU ticks", "2 nodes", "ticks", OURS, 0, (0,)),
        Observation("idle, CPU ticks", "2 nodes", "ticks", PEER, 0, (0,)),
    ),
    ("start-quota was not measured: no right",),
)


@pytest.fixture
def summaries() -> list[Summary]:
    targets = {
        ("recovery", "2 nodes"): Target(Of.RATIO, 3),
        ("first list", "100 slots"): Target(Of.RATIO, 3),
    }
    return summarize(RUN.observations, targets)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.000123456, "0.000123"),
        (0.0456, "0.0456"),
        (1, "1.00"),
        (31.94, "31.9"),
        (175.4, "175"),
        (20345.6, "20,346"),
    ],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    """Small and large figures are as precise as they were measured, without an exponent."""
    assert number(value) == text


def test_the_table_tells_met_from_missed(summaries: list[Summary]) -> None:
    """A reader sees the circumstances, each verdict and what was left out."""
    output = StringIO()
    print_table(RUN, summaries, Console(file=output, width=150))
    lines = output.getvalue().splitlines()
    assert "machine: 2 CPUs" in lines
    assert any("recovery" in line and "met" in line for line in lines)
    assert any("first list" in line and "MISSED" in line for line in lines)
    assert "start-quota was not measured: no right" in lines


def test_the_markdown_table_has_the_same_rows(summaries: list[Summary]) -> None:
    """The document's table needs no typing by hand."""
    heading, ruler, recovery, first_list, idle = markdown(summaries).splitlines()
    assert heading.count("|") == ruler.count("|") == recovery.count("|")
    assert recovery == (
        "| recovery | 2 nodes | 7.00 ms (7.00-9.00) | 3.00 ms | 2.33x (2.33-2.33) | ≤ 3.00x | met |"
    )
    assert "4.50x" in first_list
    assert idle == "| idle, CPU ticks | 2 nodes | 0 ticks | 0 ticks |  |  |  |"


def test_the_plot_draws_each_ratio_within_its_frame(summaries: list[Summary]) -> None:
    """Well-formed SVG: a dot and a red target for each ratio, none for what has no ratio."""
    root = ET.fromstring(svg(summaries))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    dots = [element for element in root if element.tag.endswith("circle")]
    targets = [element for element in root if element.attrib.get("stroke") == "#c33"]
    assert len(dots) == len(targets) == 2
    for dot in dots:
        assert 0 < float(dot.attrib["cx"]) < width
        assert 0 < float(dot.attrib["cy"]) < height
    assert float(dots[0].attrib["cx"]) < float(targets[0].attrib["x1"])
    assert float(dots[1].attrib["cx"]) > float(targets[1].attrib["x1"])


def test_the_plot_holds_extreme_ratios() -> None:
    """Ratios far beyond the usual still lie on the axis."""
    observations = [
        Observation("start", case, "s", subject, 0, (value,))
        for case, ours in (("slow", 5000), ("fast", 0.001))
        for subject, value in ((OURS, ours), (PEER, 1))
    ]
    root = ET.fromstring(svg(summarize(observations, {})))
    width = float(root.attrib["viewBox"].split()[2])
    dots = [float(e.attrib["cx"]) for e in root if e.tag.endswith("circle")]
    assert all(0 < x < width for x in dots)
    assert dots[0] > dots[1]
