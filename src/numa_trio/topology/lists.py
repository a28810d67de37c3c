"""The two forms in which the kernel writes sets of CPUs and nodes: the list and the map.

The list (`0-2,33-34,72`) is what cpuset(7) calls the List Format; the map (`0000,0000003f`) is its
Mask Format: 32-bit hexadecimal words, the most significant first.
"""

import math
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from numa_trio.plain_text import quoted

# Far above any kernel's limit (NR_CPUS is at most 8192 on x86, node ids end at 1023), and low
# enough that a wrong file cannot make us build a set of billions.
LARGEST = 65_535

_ENTRY = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_WORD = re.compile(r"[0-9A-Fa-f]{1,8}")
_WORD_BITS = 32
_WORD_DIGITS = 8
_MOST_WORDS = (LARGEST + 1) // _WORD_BITS

# Some kernels end these files with a NUL, or write no newline.
_PADDING = " \t\r\n\0"


class MalformedText(ValueError):
    """A text of the kernel's that is not in its form: what was `held` and what was `expected`."""

    def __init__(self, held: str, expected: str) -> None:
        super().__init__(f"held {quoted(held) if held else 'nothing'}, expected {expected}")
        self.held = held
        self.expected = expected


def parse_list(text: str) -> frozenset[int]:
    """The numbers of a list like `0-2,33-34,72`; an empty text is the empty set.

    Raises `MalformedText`; also for the grouped form (`0-31:2/4`), which the kernel reads but
    never writes.
    """
    entries = text.strip(_PADDING)
    if not entries:
        return frozenset()
    ranges = []
    for entry in entries.split(","):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise MalformedText(text, "a list of numbers and ranges, as in 0-3,8")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise MalformedText(text, f"ranges that ascend, unlike {entry}")
        if last > LARGEST:
            raise MalformedText(text, f"numbers up to {LARGEST}")
        ranges.append((first, last))
    numbers: list[int] = []
    for first, last in sorted(ranges):
        # Ranges that overlap, however many, cost no more than one.
        start = max(first, numbers[-1] + 1) if numbers else first
        numbers.extend(range(start, last + 1))
    return frozenset(numbers)


def format_list(numbers: Iterable[int]) -> str:
    """The shortest list of these numbers, ascending; empty for none."""
    ascending = sorted(set(numbers))
    if not ascending:
        return ""
    breaks = [(low, high) for low, high in pairwise(ascending) if high != low + 1]
    firsts = [ascending[0], *(high for _, high in breaks)]
    lasts = [*(low for low, _ in breaks), ascending[-1]]
    return ",".join(
        str(first) if first == last else f"{first}-{last}"
        for first, last in zip(firsts, lasts, strict=True)
    )


def format_nodes(nodes: Sequence[int]) -> str:
    """The nodes in words, as in `node 1` or `nodes 0-1`; empty for none."""
    return f"node{'s' if len(nodes) > 1 else ''} {format_list(nodes)}" if nodes else ""


def parse_cpumap(text: str) -> frozenset[int]:
    """The numbers of the bits that are set in a map like `0000,0000003f`.

    Raises `MalformedText`.
    """
    words = text.strip(_PADDING).split(",")
    if not all(_WORD.fullmatch(word) for word in words):
        raise MalformedText(text, "32-bit hexadecimal words with commas, as in 0000,0000003f")
    if len(words) > _MOST_WORDS:
        raise MalformedText(text, f"at most {_MOST_WORDS} words")
    bits = int("".join(word.zfill(_WORD_DIGITS) for word in words), 16)
    return frozenset(number for number, bit in enumerate(reversed(f"{bits:b}")) if bit == "1")


def format_cpumap(numbers: Iterable[int]) -> str:
    """The map of these numbers, in as many words of eight digits as the largest needs."""
    bits = 0
    for number in numbers:
        bits |= 1 << number
    word_count = max(1, math.ceil(bits.bit_length() / _WORD_BITS))
    digits = f"{bits:0{word_count * _WORD_DIGITS}x}"
    return ",".join(
        digits[start : start + _WORD_DIGITS] for start in range(0, len(digits), _WORD_DIGITS)
    )
