"""`numa-trio doctor` for people: a table of all checks, then what to change, the worst first."""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from numa_trio.commands.terminal import open_console
from numa_trio.layout import print_lines, print_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from numa_trio.doctor.finding import Finding, Severity

_HEADINGS = ("Code", "State", "Check", "Seen")
_WIDE = 120  # columns that the table needs, because of paths, which are not broken
_STYLES = {
    "error": "bold red",
    "warning": "yellow",
    "note": "cyan",
    "unknown": "dim",
    "ok": "green",
}


def print_text(findings: "Sequence[Finding]") -> None:
    """Print it all on standard output."""
    from numa_trio.doctor.finding import Severity

    console = open_console(sys.stdout)
    if console.width < _WIDE:
        _print_list(console, findings)
    else:
        print_table(console, _HEADINGS, [_row(finding) for finding in findings])
    order = [Severity.ERROR, Severity.WARNING, Severity.NOTE]
    for severity in order:
        for finding in findings:
            if finding.verdict.severity is severity and _has_more(finding):
                console.print()
                _print_finding(console, finding)
    console.print()
    print_lines(console, _summary(findings))


def _print_list(console: "Console", findings: "Sequence[Finding]") -> None:
    """The checks one below the other, with what was seen further in."""
    from rich.text import Text

    for finding in findings:
        code, state, title, seen = _row(finding)
        console.print(Text.assemble(f"{code} ", state, f"{'':{9 - len(state)}}{title}"))
        print_lines(console, f"      {seen}")


def _row(finding: "Finding") -> "tuple[str | Text, ...]":
    from rich.text import Text

    from numa_trio.plain_text import escaped

    severity = finding.verdict.severity.value
    place = finding.verdict.place
    seen = finding.verdict.seen
    where = "" if place is None or place.path in seen else f" ({place})"
    return (
        finding.check.code,
        Text(severity, _STYLES[severity]),
        finding.check.title,
        escaped(seen) + escaped(where),
    )


def _has_more(finding: "Finding") -> bool:
    return finding.verdict.severity.counts or finding.verdict.remedy is not None


def _print_finding(console: "Console", finding: "Finding") -> None:
    check, verdict = finding.check, finding.verdict
    style = _STYLES[verdict.severity.value]
    print_lines(
        console, f"{check.code} {verdict.severity.value}: {check.title}", style=style, indent=2
    )
    print_lines(console, f"  {check.why}")
    if verdict.place is not None:
        print_lines(console, f"  Seen in {verdict.place}")
    if verdict.remedy is None:
        return
    print_lines(console, f"  Change in {verdict.remedy.where}:")
    print_lines(console, *(f"      {line}" for line in verdict.remedy.lines), indent=2)
    if verdict.remedy.then:
        print_lines(console, f"  {verdict.remedy.then}")


def _summary(findings: "Sequence[Finding]") -> str:
    return ", ".join(_counts(findings)) + ". docs/doctor.md has a section for each code."


def _counts(findings: "Sequence[Finding]") -> Iterator[str]:
    from numa_trio.doctor.finding import Severity

    for severity in Severity:
        count = sum(finding.verdict.severity is severity for finding in findings)
        yield f"{count} {_plural(severity, count)}"


def _plural(severity: "Severity", count: int) -> str:
    word = severity.value
    return word if count == 1 or word in ("ok", "unknown") else f"{word}s"
