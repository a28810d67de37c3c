"""Keeps of a text that was written anew only the lines that were meant to change.

A writer of YAML that keeps comments and order still has a style of its own: blanks, quotes, how
long a line may be. Given the text, the same as the writer writes it, and that with the changes,
what differs between the latter two is put into the first.
"""

from collections.abc import Iterator, Sequence

from attrs import frozen

_FAR = 200  # lines looked ahead for the next that are alike


@frozen
class _Change:
    """Lines of the unchanged writing, from `start` to `end`, that became others."""

    start: int
    end: int
    lines: tuple[str, ...]


def with_changes(
    original: Sequence[str], unchanged: Sequence[str], changed: Sequence[str]
) -> list[str]:
    """The original with the changes; lines that the writer writes otherwise stay as they are.

    Where a change lies among such lines, all of those that hang together are the writer's.
    """
    at = _boundaries(original, unchanged)
    changes = list(_changes(unchanged, changed))
    if len(original) == len(unchanged):
        changes = [_indented_alike(each, original, unchanged) for each in changes]
    result: list[str] = []
    done = 0  # lines of the original
    for start, end, lines in _in_clean_ranges(changes, unchanged, at):
        result += [*original[done : at[start]], *lines]
        done = at[end]
    return [*result, *original[done:]]


def _boundaries(original: Sequence[str], unchanged: Sequence[str]) -> dict[int, int]:
    """Where the writing can be cut, and where the original then is: between lines alike."""
    alike = {theirs: ours for ours, theirs in _pairs(original, unchanged)}
    cuts = {0: 0, len(unchanged): len(original)}
    for theirs, ours in alike.items():
        if alike.get(theirs + 1, -1) == ours + 1:
            cuts[theirs + 1] = ours + 1
    # Lines that stand side by side one for one can be cut apart, though they differ.
    if len(original) == len(unchanged):
        cuts |= {place: place for place in range(len(original) + 1)}
    return cuts


def _changes(unchanged: Sequence[str], changed: Sequence[str]) -> Iterator[_Change]:
    """What differs, in order."""
    theirs = ours = 0
    ends = (len(unchanged), len(changed))
    for old, new in [*_pairs(unchanged, changed), ends]:
        if old > theirs or new > ours:
            yield _Change(theirs, old, tuple(changed[ours:new]))
        theirs, ours = old + 1, new + 1


def _indented_alike(change: _Change, original: Sequence[str], unchanged: Sequence[str]) -> _Change:
    """The change as deep as the nearest line before it that the writer puts equally deep."""
    depths: list[tuple[int, int]] = []  # of its lines so far, by the writer and here
    lines = []
    for number, line in enumerate(change.lines):
        written = _depth(line)
        above = next((each for each in reversed(depths) if each[0] <= written[0]), None)
        if above is None:
            depth = _depth_before(written, change.start + number, original, unchanged)
        else:
            depth = above[1] + written[0] - above[0]
        depths.append((written[0], depth))
        lines.append(" " * depth + line.lstrip(" ") if line.strip() else line)
    return _Change(change.start, change.end, tuple(lines))


def _depth_before(
    written: tuple[int, bool], number: int, original: Sequence[str], unchanged: Sequence[str]
) -> int:
    for place in range(min(number, len(unchanged) - 1), -1, -1):
        if unchanged[place].strip() and _depth(unchanged[place]) == written:
            return _depth(original[place])[0]
    return written[0]


def _depth(line: str) -> tuple[int, bool]:
    """How many blanks are before it, and whether a list's dash is next."""
    text = line.lstrip(" ")
    return len(line) - len(text), text.startswith("- ")


def _in_clean_ranges(
    changes: Sequence[_Change], unchanged: Sequence[str], at: dict[int, int]
) -> Iterator[tuple[int, int, list[str]]]:
    """The changes, each between two cuts; those that share lines together."""
    place = 0
    while place < len(changes):
        start, end = changes[place].start, changes[place].end
        while start not in at:
            start -= 1
        while end not in at:
            end += 1
        lines, done = [], start
        while place < len(changes) and changes[place].start <= end:
            each = changes[place]
            end = max(end, each.end)
            while end not in at:
                end += 1
            lines += [*unchanged[done : each.start], *each.lines]
            done = each.end
            place += 1
        yield start, end, [*lines, *unchanged[done:end]]


def _pairs(one: Sequence[str], other: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Places of lines that are alike, in order: after a difference, the nearest two in a row."""
    left = right = 0
    while left < len(one) and right < len(other):
        if one[left] == other[right]:
            yield left, right
            left, right = left + 1, right + 1
            continue
        step = _next_alike(one, other, left, right)
        if step is None:
            return
        left, right = left + step[0], right + step[1]


def _next_alike(
    one: Sequence[str], other: Sequence[str], left: int, right: int
) -> tuple[int, int] | None:
    for distance in range(1, 2 * _FAR):
        for down in range(distance + 1):
            i, j = left + down, right + distance - down
            if i < len(one) and j < len(other) and one[i : i + 2] == other[j : j + 2]:
                return down, distance - down
    return None
