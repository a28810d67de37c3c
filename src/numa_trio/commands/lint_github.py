"""`numa-trio lint` as annotations of a pull request, by GitHub's workflow commands.

Source of the form: GitHub's documentation, Workflow commands for GitHub Actions, and the escapes
of actions/toolkit, packages/core/src/command.ts.
"""

from typing import TYPE_CHECKING

from numa_trio.plain_text import escaped_lines
from numa_trio.workloads.lint.codes import CODES, Severity

if TYPE_CHECKING:
    from numa_trio.commands.lint_result import Result

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def print_github(result: "Result") -> None:
    """Print a command for each place of each finding, and for each file that cannot be read."""
    for each in result.findings:
        title = f"{each.code}: {CODES[each.code].title}"
        text = "\n".join([each.text, *(["Write:"] if each.suggestion else []), *each.suggestion])
        for place in each.places:
            where = (each.file, (place.line, place.column))
            print(_command(_COMMANDS[each.severity], *where, title, text))
    for problem in result.problems:
        print(_command("error", problem.file, problem.place, "cannot be looked into", problem.text))


def _command(name: str, file: str, place: tuple[int, int] | None, title: str, text: str) -> str:
    position = ",line={},col={}".format(*place) if place else ""
    return f"::{name} file={_property(file)}{position},title={_property(title)}::{_data(text)}"


def _data(text: str) -> str:
    # What cannot be printed is escaped first: a terminal shows these lines as well.
    return escaped_lines(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
