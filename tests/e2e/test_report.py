"""The table, and the exit status that follows from it."""

from io import StringIO

from rich.console import Console

from e2e.report import Result, all_well, print_table
from e2e.verdicts import judge, skip


def test_what_a_cluster_says_is_printed_as_it_is() -> None:
    """Brackets in a message are not markup, and the last line counts the verdicts."""
    out = StringIO()
    results = [
        Result("slots", "worker-1", judge(True, "numa-0: 100")),
        Result("refusal", "worker-1", judge(False, "denied [bold]request[/bold]")),
        Result("memory", "worker-1", skip("memoryManagerPolicy is None")),
    ]
    print_table(results, Console(file=out, width=120))
    assert "denied [bold]request[/bold]" in out.getvalue()
    assert out.getvalue().splitlines()[-1] == "1 passed, 1 failed, 1 skipped"


def test_one_failure_fails_the_run() -> None:
    """However much passed."""
    well, badly = Result("a", "b", judge(True, "")), Result("a", "b", judge(False, ""))
    assert all_well([well])
    assert not all_well([well, badly])


def test_a_run_that_checked_nothing_is_no_success() -> None:
    """Nothing but skipped checks prove nothing."""
    assert not all_well([])
    assert not all_well([Result("a", "b", skip("because"))])
