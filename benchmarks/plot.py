"""The ratios to the Go peer as a drawing (SVG) for the README."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from benchmarks.report import number
from benchmarks.results import PEER, Of, Summary

# Measures that are drawn; less is better in each.
DRAWN = (
    "recovery",
    "start",
    "start, CPU time",
    "Allocate, median",
    "Allocate, 99th percentile",
    "first list",
    "memory, proportional",
)

_LABELS, _WIDTH, _ROW, _TOP, _MARGIN = 330, 860, 22, 56, 80
_FONT = 'font-family="sans-serif" font-size="13" fill="#222"'
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def svg(summaries: Iterable[Summary]) -> str:
    """A row for each ratio of a measure in `DRAWN`: the ratio, its range, and its target."""
    rows = [row for row in summaries if row.measure in DRAWN and row.ratio is not None]
    axis = _Axis(rows)
    height = _TOP + _ROW * len(rows) + 12
    bottom = height - 12
    title = f"Times the {PEER} (less is better; red: the target)"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {_FONT}>',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="12" y="20" font-weight="bold">{title}</text>',
    ]
    for tick in axis.ticks:
        x = axis.x(tick)
        colour = "#888" if tick == 1 else "#ddd"
        parts.append(_line(x, _TOP - 8, x, bottom, colour, 1))
        parts.append(f'<text x="{x:.1f}" y="{_TOP - 14}" text-anchor="middle">{tick:g}x</text>')
    for index, row in enumerate(rows):
        parts += _drawn(row, axis, _TOP + _ROW * index + _ROW // 2)
    return "\n".join([*parts, "</svg>", ""])


class _Axis:
    """A logarithmic axis that holds every ratio and target, and 1."""

    def __init__(self, rows: Sequence[Summary]) -> None:
        values = [1.0]
        for row in rows:
            values += [v for v in (row.ratio, row.ratio_low, row.ratio_high) if v]
            values += [row.target.limit] if row.target and row.target.of is Of.RATIO else []
        self._low = max((tick for tick in _TICKS if tick <= min(values)), default=min(values))
        self._high = min((tick for tick in _TICKS if tick >= 2 * max(values)), default=max(values))
        self.ticks = [tick for tick in _TICKS if self._low <= tick <= self._high]

    def x(self, value: float) -> float:
        """Where a value is drawn."""
        part = math.log(value / self._low) / math.log(self._high / self._low)
        return _LABELS + part * (_WIDTH - _LABELS - _MARGIN)


def _drawn(row: Summary, axis: _Axis, y: int) -> list[str]:
    assert row.ratio is not None
    assert row.ratio_low is not None
    assert row.ratio_high is not None
    x = axis.x(row.ratio)
    parts = [
        f'<text x="12" y="{y + 4}">{escape(row.measure)}: {escape(row.case)}</text>',
        _line(axis.x(row.ratio_low), y, axis.x(row.ratio_high), y, "#8ab", 3),
        f'<circle cx="{x:.1f}" cy="{y}" r="5" fill="#246"/>',
        f'<text x="{_WIDTH - 12}" y="{y + 4}" text-anchor="end">{number(row.ratio)}x</text>',
    ]
    if row.target and row.target.of is Of.RATIO:
        limit = axis.x(row.target.limit)
        parts.append(_line(limit, y - 8, limit, y + 8, "#c33", 2))
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: int) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1}" x2="{x2:.1f}" y2="{y2}"'
        f' stroke="{colour}" stroke-width="{width}"/>'
    )
