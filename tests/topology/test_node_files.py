"""What is refused in the files of a NUMA node, and what the error says of it."""

from collections.abc import Callable

import pytest

from numa_trio.topology.lists import MalformedText
from numa_trio.topology.node_files import (
    parse_count,
    parse_distances,
    parse_inhabited_list,
    parse_meminfo,
)

TOTAL = "Node 0 MemTotal: 4194304 kB"


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (
            parse_meminfo,
            "Node 0 MemFree: 1 kB",
            "held 'Node 0 MemFree: 1 kB', expected a line like 'Node 0 MemTotal: 4194304 kB'",
        ),
        (
            parse_meminfo,
            f"{TOTAL}\nNode 0 MemFree: much",
            "held 'Node 0 MemFree: much', expected a line like 'Node 0 MemFree: 4194304 kB'",
        ),
        (
            parse_meminfo,
            "MemTotal: 1 kB\nMemFree: 2 kB",
            "held 'MemTotal: 1 kB\\nMemFree: 2 kB', expected a MemFree that is not above MemTotal",
        ),
        (parse_distances, "10 21 near", "held '10 21 near', expected decimal numbers"),
        (parse_count, "-1", "held '-1', expected decimal numbers"),
        (
            parse_inhabited_list,
            "",
            "held nothing, expected a list with at least one number, as in 0-3,8",
        ),
    ],
)
def test_an_error_quotes_what_was_held_and_names_what_was_expected(
    parse: Callable[[str], object], text: str, message: str
) -> None:
    """An operator sees the line at fault and the form that the kernel gives it."""
    with pytest.raises(MalformedText) as caught:
        parse(text)
    assert str(caught.value) == message


def test_all_memory_may_be_free() -> None:
    """MemFree may reach MemTotal."""
    assert parse_meminfo(f"{TOTAL}\nNode 0 MemFree: 4194304 kB") == (2**32, 2**32)
