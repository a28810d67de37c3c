"""Byte sizes as a person reads them."""

import pytest

from numa_trio.topology.sizes import format_bytes


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (2 * 1024**2, "2 MiB"),
        (int(62.8 * 1024**3), "62.8 GiB"),
        (1024**2 - 1, "1 MiB"),
        (1024**4, "1 TiB"),
        (5000 * 1024**6, "5000 EiB"),
    ],
)
def test_sizes_are_read_at_a_glance(size: int, text: str) -> None:
    """A size has the largest unit that fits, and at most one decimal."""
    assert format_bytes(size) == text
