"""The results for people: a table for the terminal and one in Markdown."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.results import OURS, PEER, Of, Run, Spread, Summary, Target

_VERDICTS = {True: "met", False: "MISSED", None: ""}
_STYLES = {True: "green", False: "red", None: ""}


class _Row(NamedTuple):
    measure: str
    case: str
    ours: str
    peer: str
    ratio: str
    target: str
    verdict: str


_HEADINGS = _Row("measure", "case", OURS, PEER, "ratio", "target", "")


def print_table(run: Run, summaries: Iterable[Summary], console: Console) -> None:
    """Print where the run was made, the table, and the remarks."""
    for name, value in run.circumstances.items():
        console.print(f"{name}: {value}", highlight=False, soft_wrap=True)
    table = Table(caption="median (10th to 90th percentile); ratio of medians (extreme rounds)")
    for heading in _HEADINGS:
        table.add_column(heading)
    for summary in summaries:
        table.add_row(*_row(summary), style=_STYLES[summary.met])
    console.print(table)
    for remark in run.remarks:
        console.print(remark, highlight=False, soft_wrap=True)


def markdown(summaries: Iterable[Summary]) -> str:
    """The same table in Markdown."""
    rows = [_HEADINGS, _Row(*["---"] * len(_HEADINGS)), *map(_row, summaries)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(summary: Summary) -> _Row:
    ratio = ""
    if summary.ratio is not None:
        ratio = f"{number(summary.ratio)}x ({_range(summary.ratio_low, summary.ratio_high)})"
    return _Row(
        summary.measure,
        summary.case,
        _spread(summary.ours, summary.unit),
        "" if summary.peer is None else _spread(summary.peer, summary.unit),
        ratio,
        "" if summary.target is None else _target(summary.target, summary.unit),
        _VERDICTS[summary.met],
    )


def _target(target: Target, unit: str) -> str:
    if target.limit == 0:
        return "0"
    return f"≤ {number(target.limit)}{'x' if target.of is Of.RATIO else f' {unit}'}"


def _spread(spread: Spread, unit: str) -> str:
    text = f"{number(spread.median)} {unit}"
    if spread.low == spread.high:
        return text
    return f"{text} ({_range(spread.low, spread.high)})"


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{number(low)}-{number(high)}"


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0:
        return "0"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
