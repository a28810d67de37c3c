"""The result as a table."""

from collections import Counter
from collections.abc import Sequence

from attrs import frozen
from rich.console import Console
from rich.table import Table
from rich.text import Text

from e2e.verdicts import Finding, Verdict

_STYLES = {Verdict.PASSED: "green", Verdict.FAILED: "bold red", Verdict.SKIPPED: "yellow"}


@frozen
class Result:
    """What a check found on a node of the cluster, or on the whole of it."""

    check: str
    where: str
    finding: Finding


def print_table(results: Sequence[Result], console: Console) -> None:
    """One row for each result, and a last line that counts them."""
    table = Table("Check", "Where", "Verdict", "Seen")
    for result in results:
        verdict = result.finding.verdict
        # Text, not str: what a cluster says may look like rich's markup.
        table.add_row(
            Text(result.check),
            Text(result.where),
            Text(verdict, _STYLES[verdict]),
            Text(result.finding.seen),
        )
    console.print(table)
    counts = Counter(result.finding.verdict for result in results)
    console.print(", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict))


def all_well(results: Sequence[Result]) -> bool:
    """Whether something was checked and nothing failed."""
    verdicts = {result.finding.verdict for result in results}
    return Verdict.PASSED in verdicts and Verdict.FAILED not in verdicts
