"""What the files of a NUMA node hold: memory, distances and counts of pages.

The forms are described in the kernel's Documentation/ABI/stable/sysfs-devices-node.
"""

import re

from numa_trio.topology.lists import MalformedText, parse_list
from numa_trio.topology.sizes import KIB

_KIBIBYTES = re.compile(r"[ \t]*([0-9]{1,16})[ \t]*kB[ \t]*")
_COUNT = re.compile(r"[0-9]{1,19}")


def parse_inhabited_list(text: str) -> frozenset[int]:
    """The numbers of a list that has at least one. Raises `MalformedText`."""
    numbers = parse_list(text)
    if not numbers:
        raise MalformedText(text, "a list with at least one number, as in 0-3,8")
    return numbers


def parse_meminfo(text: str) -> tuple[int | None, int | None]:
    """The total and the free memory in bytes; None for what the file does not say.

    Raises `MalformedText`, but not for an empty file.
    """
    if not text:
        return None, None
    total = _meminfo_line(text, "MemTotal")
    if total is None:
        raise MalformedText(text, "a line like 'Node 0 MemTotal: 4194304 kB'")
    free = _meminfo_line(text, "MemFree")
    if free is not None and free > total:
        raise MalformedText(text, "a MemFree that is not above MemTotal")
    return total, free


def _meminfo_line(text: str, name: str) -> int | None:
    line = re.search(rf"^.*\b{name}:(.*)$", text, re.MULTILINE)
    if line is None:
        return None
    amount = _KIBIBYTES.fullmatch(line[1])
    if amount is None:
        raise MalformedText(line[0], f"a line like 'Node 0 {name}: 4194304 kB'")
    return int(amount[1]) * KIB


def parse_distances(text: str) -> list[int]:
    """The numbers of a row. Raises `MalformedText`."""
    return [_number(word, held=text) for word in text.split()]


def parse_count(text: str) -> int:
    """A number of pages. Raises `MalformedText`."""
    return _number(text, held=text)


def _number(text: str, held: str) -> int:
    if not _COUNT.fullmatch(text):
        raise MalformedText(held, "decimal numbers")
    return int(text)
