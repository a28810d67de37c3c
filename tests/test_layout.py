"""Text and tables in windows of any width."""

from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from numa_trio.layout import print_lines, print_table

HEADINGS = ("Pod", "Asks for", "CPUs", "Environment")
ROWS = [
    ("on-numa-0", "numa-0, near-data", Text("1-3"), "NUMA_NODE=0"),
    ("elsewhere", "numa-1", "", ""),
    ("alone",),
]
WORDS = st.text("abc-/", min_size=1, max_size=12)


def table(width: int, **options: int) -> list[str]:
    out = StringIO()
    print_table(Console(file=out, width=width), HEADINGS, ROWS, **options)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def lines(width: int, *texts: str, **options: int) -> list[str]:
    out = StringIO()
    print_lines(Console(file=out, width=width), *texts, **options)
    return out.getvalue().splitlines()


def test_a_table_that_fits_is_a_table() -> None:
    """A row for each row, whatever room is left."""
    assert table(200)[0] == "Pod        Asks for           CPUs  Environment"
    assert table(200)[2:] == [
        "on-numa-0  numa-0, near-data  1-3   NUMA_NODE=0",
        "elsewhere  numa-1",
        "alone",
    ]


def test_columns_are_closer_and_cells_wrapped_before_the_table_is_given_up() -> None:
    """Between words only."""
    assert table(40)[2:4] == [
        "on-numa-0  numa-0,    1-3   NUMA_NODE=0",
        "           near-data",
    ]
    assert table(36)[2:4] == [
        "on-numa-0 numa-0,   1-3  NUMA_NODE=0",
        "          near-data",
    ]


def test_rows_become_lists_where_words_would_break() -> None:
    """With the headings, and without what is empty."""
    assert table(35) == [
        "Pod on-numa-0",
        "  Asks for: numa-0, near-data",
        "  CPUs: 1-3",
        "  Environment: NUMA_NODE=0",
        "Pod elsewhere",
        "  Asks for: numa-1",
        "Pod alone",
    ]


@given(st.lists(st.lists(WORDS, max_size=8), min_size=1, max_size=4), st.integers(12, 60))
def test_lines_end_between_words(texts: list[list[str]], width: int) -> None:
    """No line is too long, and each word is there, in order and whole."""
    found = lines(width, *(" ".join(words) for words in texts))
    assert max(map(len, found)) <= width
    assert " ".join(found).split() == [word for words in texts for word in words]


@given(st.lists(st.lists(WORDS, min_size=3, max_size=3), max_size=4), st.integers(14, 90))
def test_tables_have_every_word_whole(rows: list[list[str]], width: int) -> None:
    """As a table or as lists."""
    out = StringIO()
    print_table(Console(file=out, width=width), ("One", "Two", "Three"), rows)
    found = out.getvalue().split()
    for row in rows:
        for cell in row:
            assert cell in found


def test_what_continues_a_line_is_indented() -> None:
    """Below the text that it continues."""
    assert lines(12, "  NA002: ask for more", indent=2) == ["  NA002: ask", "    for more"]


def test_a_word_longer_than_a_line_stays_whole() -> None:
    """A path can be copied from the terminal."""
    path = "/var/lib/elasticsearch"
    assert lines(10, f"at {path}") == ["at", path]


def test_empty_lines_stay() -> None:
    """They are there to be seen."""
    assert lines(10, "", "one", "") == ["", "one", ""]


@pytest.mark.parametrize("width", [8, 200])
def test_cells_are_escaped(width: int) -> None:
    """Neither markup nor control characters do anything."""
    out = StringIO()
    print_table(Console(file=out, width=width), ("Pod", "CPUs"), [("[bold]x\ny", "1")])
    assert "[bold]x\\ny" in out.getvalue()


def test_a_fact_longer_than_a_line_is_continued() -> None:
    """Indented, and at words."""
    out = StringIO()
    print_table(
        Console(file=out, width=12), ("Node", "CPUs", "Count"), [("0", "0, 2, 4, 6, 8", "5")]
    )
    assert out.getvalue().splitlines() == [
        "Node 0",
        "  CPUs: 0,",
        "    2, 4, 6,",
        "    8",
        "  Count: 5",
    ]
