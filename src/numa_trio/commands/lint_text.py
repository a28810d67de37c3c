"""`numa-trio lint` for people."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from numa_trio.commands.lint_files import shown_name
from numa_trio.commands.terminal import open_console
from numa_trio.layout import print_lines
from numa_trio.workloads.lint.codes import Severity

if TYPE_CHECKING:
    from numa_trio.commands.lint_result import Result
    from numa_trio.workloads.lint.finding import Finding

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
_MOST_PLACES = 20  # of one finding


def print_text(result: "Result", stream: TextIO, *, verbose: bool) -> None:
    """Print the findings in the order of the files, and a line that sums up."""
    console = open_console(stream)
    for each in result.findings:
        place = f"{shown_name(each.file)}:{each.place.line}:{each.place.column}"
        heading = f"{place}: {each.severity} {each.code} {each.object_name}".rstrip()
        print_lines(console, heading, style=_STYLES[each.severity], indent=4)
        print_lines(console, f"    {each.text}")
        print_lines(console, *_places(each), style="dim", indent=2)
        if each.suggestion:
            hint = f" ({_how(each)})" if _how(each) else ""
            print_lines(console, f"    Write{hint}:")
            print_lines(console, *(f"      {line}" for line in each.suggestion), style="green")
        console.print()
    for each in result.fixed:
        print_lines(console, f"Fixed {each.code} {shown_name(each.file)}: {each.place.path}")
    if verbose:
        for kind, count in result.passed_over.items():
            print_lines(console, f"Passed over: {count} of kind {kind}")
        for file in result.files_passed_over:
            print_lines(console, f"Passed over: {shown_name(file)}: too large, or another's tags")
    print_lines(console, _summary(result))


def _places(finding: "Finding") -> Iterator[str]:
    first, *others = finding.places
    yield f"    at {first.path or 'the top'}"
    for each in others[:_MOST_PLACES]:
        yield f"    at {each.path} (line {each.line})"
    if len(others) > _MOST_PLACES:
        yield f"    and at {len(others) - _MOST_PLACES} more places"


def _how(finding: "Finding") -> str:
    if finding.held_back:
        return finding.held_back
    return "--fix does" if finding.fixable else ""


def _summary(result: "Result") -> str:
    """One line: what was found, and in what."""
    count = Counter(each.severity for each in result.findings)
    parts = [_many(count[severity], severity) for severity in Severity if count[severity]]
    found = ", ".join(parts) or "No findings"
    seen = f"{_many(result.pods, 'pod')} and templates" if result.pods != 1 else "1 pod or template"
    passed = sum(result.passed_over.values())
    others = f"; {_many(passed, 'other object')} passed over" if passed else ""
    trouble = (
        f"; {_many(len(result.problems), 'problem')}, on standard error" if result.problems else ""
    )
    return f"{found} in {seen} of {_many(result.files, 'file')}{others}{trouble}."


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
