"""The kernel's lists and maps of CPUs and nodes."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.topology.lists import (
    LARGEST,
    MalformedText,
    format_cpumap,
    format_list,
    format_nodes,
    parse_cpumap,
    parse_list,
)

numbers = st.frozensets(st.integers(0, LARGEST), max_size=200)
# Runs of consecutive numbers, which ranges are made of, with what may be left between them.
runs = st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 130)), max_size=20).map(
    lambda pairs: frozenset(n for first, length in pairs for n in range(first, first + length))
)
almost_lists = st.text(alphabet="0123456789-,:/ \n\0xNal", max_size=40)
almost_maps = st.text(alphabet="0123456789abcdefABCDEFx,- \n\0", max_size=40)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0-2,33-34,45,72-73\n", {0, 1, 2, 33, 34, 45, 72, 73}),
        ("0\n", {0}),
        ("7", {7}),
        ("0-1\n\0", {0, 1}),
        ("", set()),
        ("\n", set()),
        ("\0", set()),
        ("4-4", {4}),
        ("3,0-1,1", {0, 1, 3}),
        ("65535", {65535}),
    ],
)
def test_reads_every_list_that_kernels_write(text: str, expected: set[int]) -> None:
    """Ranges, single numbers and nothing are understood, whatever ends the file."""
    assert parse_list(text) == expected


def test_ranges_that_overlap_cost_no_more_than_one() -> None:
    """A file of a megabyte cannot keep us busy: 100,000 ranges of 65,536 numbers are one."""
    began = time.process_time()
    assert parse_list(",".join(["0-65535"] * 100_000)) == frozenset(range(65_536))
    assert time.process_time() - began < 5.0


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 9))))
def test_ranges_may_overlap_in_any_order(ranges: list[tuple[int, int]]) -> None:
    """The list stands for the union of its entries."""
    text = ",".join(f"{first}-{first + more}" for first, more in ranges)
    union = {number for first, more in ranges for number in range(first, first + more + 1)}
    assert parse_list(text) == union


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00000000,0000000f\n", {0, 1, 2, 3}),
        ("0000,0003f000", set(range(12, 18))),
        ("000f,c0000000", set(range(30, 36))),
        ("03\n", {0, 1}),
        ("1,00000000,00000001", {0, 64}),
        ("1,0,1", {0, 64}),
        ("00000000,00000000\n\0", set()),
        ("FF", set(range(8))),
    ],
)
def test_reads_every_map_that_kernels_write(text: str, expected: set[int]) -> None:
    """Words count from the least significant, the last; the first may be shorter."""
    assert parse_cpumap(text) == expected


@pytest.mark.parametrize(
    "text",
    ["a", "0-", "-3", "0,,1", "0-1,", ",0", "0 1", "0-1-2", "0x3", "٣", "1_0", "0-31:2/4", "all"],
)
def test_refuses_what_is_no_list(text: str) -> None:
    """The error says what was held and how a list looks."""
    with pytest.raises(MalformedText, match="expected a list of numbers and ranges") as caught:
        parse_list(text)
    assert caught.value.held == text
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0,5-3", "ranges that ascend, unlike 5-3"), ("0-65536", "numbers up to 65535")],
)
def test_says_what_is_wrong_with_the_numbers_of_a_list(text: str, expected: str) -> None:
    """A range that descends and a number that no kernel writes are told apart."""
    with pytest.raises(MalformedText, match=expected):
        parse_list(text)


@pytest.mark.parametrize(
    "text",
    ["", "\n", "g", "0x3", "000000001", "ffffffffffffffff", "0,,1", ",1", "1,", "0-3", "1 2"],
)
def test_refuses_what_is_no_map(text: str) -> None:
    """The error says what was held and how a map looks."""
    with pytest.raises(MalformedText, match="expected 32-bit hexadecimal words") as caught:
        parse_cpumap(text)
    assert caught.value.held == text


def test_refuses_a_map_beyond_the_largest_number() -> None:
    """A map of more bits than any kernel has is a wrong file."""
    longest = ",".join(["00000001"] * 2048)
    assert max(parse_cpumap(longest)) == 2047 * 32
    with pytest.raises(MalformedText, match="expected at most 2048 words") as caught:
        parse_cpumap(f"1,{longest}")
    assert caught.value.held == f"1,{longest}"


def test_an_error_shows_the_beginning_of_a_long_text() -> None:
    """A message stays readable, whatever the file holds."""
    with pytest.raises(MalformedText) as caught:
        parse_list("x" * 5000)
    assert "(5000 characters)" in str(caught.value)
    assert len(str(caught.value)) < 250


def test_an_empty_text_is_called_nothing() -> None:
    """Quotes around nothing would be overlooked."""
    with pytest.raises(MalformedText, match=r"^held nothing, expected"):
        parse_cpumap("")


def test_writes_the_shortest_list() -> None:
    """Neighbours become ranges, in ascending order, whatever the order given."""
    assert format_list([73, 0, 72, 2, 1, 45, 33, 34, 34]) == "0-2,33-34,45,72-73"
    assert format_list([]) == ""


def test_writes_maps_in_words_of_eight_digits() -> None:
    """There are as many words as the largest number needs, at least one."""
    assert format_cpumap([0, 1, 35]) == "00000008,00000003"
    assert format_cpumap([]) == "00000000"


@given(numbers | runs)
def test_a_list_reads_back_as_it_was(those: frozenset[int]) -> None:
    """Nothing is lost between writing a list and reading it."""
    assert parse_list(format_list(those)) == those


@given(numbers | runs)
def test_a_map_reads_back_as_it_was(those: frozenset[int]) -> None:
    """Nothing is lost between writing a map and reading it."""
    assert parse_cpumap(format_cpumap(those)) == those


@given(numbers | runs)
def test_a_list_is_in_the_normal_form(those: frozenset[int]) -> None:
    """Entries ascend and neither touch nor overlap: as the kernel would write them."""
    entries = [entry.split("-") for entry in format_list(those).split(",") if entry]
    assert all(int(low[-1]) + 1 < int(high[0]) for low, high in pairwise(entries))
    assert all(int(entry[0]) < int(entry[-1]) for entry in entries if len(entry) == 2)


@given(almost_lists | st.text())
def test_any_text_is_a_list_or_malformed(text: str) -> None:
    """What a file holds can cause no other error; what is accepted reads back the same."""
    try:
        those = parse_list(text)
    except MalformedText:
        return
    assert parse_list(format_list(those)) == those


@given(almost_maps | st.text())
def test_any_text_is_a_map_or_malformed(text: str) -> None:
    """What a file holds can cause no other error; what is accepted reads back the same."""
    try:
        those = parse_cpumap(text)
    except MalformedText:
        return
    assert parse_cpumap(format_cpumap(those)) == those


@pytest.mark.parametrize(
    ("nodes", "words"), [((), ""), ((1,), "node 1"), ((0, 1, 3), "nodes 0-1,3")]
)
def test_nodes_in_words(nodes: tuple[int, ...], words: str) -> None:
    """As people are told them."""
    assert format_nodes(nodes) == words
