"""A command run in a terminal of our own: its lines as they were left, and when each was."""

import fcntl
import os
import pty
import re
import struct
import termios
import time
from collections.abc import Iterator, Sequence

from attrs import define, field, frozen

_ROWS = 50
_TOKEN = re.compile(rb"\x1b\[([?0-9;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


@frozen
class Run:
    """Characters in one style: the numbers of the SGR sequence that began it."""

    text: str
    style: tuple[int, ...]


@frozen
class Line:
    """A line and when it was written, in seconds after the command's start."""

    runs: tuple[Run, ...]
    at: float

    @property
    def text(self) -> str:
        """The characters alone."""
        return "".join(run.text for run in self.runs)


@define
class _Screen:
    """As much of a terminal as the output of rich needs: erased lines, cursor up, styles."""

    rows: list[list[tuple[str, tuple[int, ...]]]] = field(factory=lambda: [[]])
    times: list[float] = field(factory=lambda: [0.0])
    row: int = 0
    column: int = 0
    style: tuple[int, ...] = ()

    def feed(self, data: bytes, at: float) -> None:
        for token in _TOKEN.finditer(data):
            numbers, command, control, text = token.groups()
            if text:
                self._write(text.decode(), at)
            elif control == b"\r":
                self.column = 0
            elif control == b"\n":
                self._next_row(at)
            elif command == b"m":
                self.style = tuple(int(each) for each in numbers.split(b";") if each not in b"0")
            elif command == b"K":
                self.rows[self.row] = []
            elif command == b"A":
                self.row -= int(numbers or b"1")
            elif command not in (b"h", b"l"):  # the cursor is shown or hidden
                raise SystemExit(f"the terminal does not know {token[0]!r}")

    def _write(self, text: str, at: float) -> None:
        row = self.rows[self.row]
        row += [(" ", ())] * (self.column - len(row))
        row[self.column : self.column + len(text)] = [(each, self.style) for each in text]
        self.column += len(text)
        self.times[self.row] = at

    def _next_row(self, at: float) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append([])
            self.times.append(at)

    def lines(self) -> Iterator[Line]:
        for row, at in zip(self.rows, self.times, strict=True):
            runs: list[Run] = []
            while row and row[-1][0] == " ":
                row.pop()
            for character, style in row:
                if runs and runs[-1].style == style:
                    runs[-1] = Run(runs[-1].text + character, style)
                else:
                    runs.append(Run(character, style))
            yield Line(tuple(runs), at)


def record(command: Sequence[str], columns: int) -> list[Line]:
    """What a command leaves in a window of that width. Fails if the command does."""
    child, terminal = pty.fork()
    if not child:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
        variables = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        os.execvpe(command[0], command, {**variables, "TERM": "xterm-256color"})
    start, screen = time.monotonic(), _Screen()
    for data in _chunks(terminal):
        screen.feed(data, time.monotonic() - start)
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(
            f"{' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}"
        )
    lines = list(screen.lines())
    while lines and not lines[-1].text:
        lines.pop()
    return lines


def _chunks(terminal: int) -> Iterator[bytes]:
    """What is written, each time up to the end of a sequence."""
    rest = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # Linux: nobody has the other side open any more
            data = b""
        if not data:
            return
        whole, escape, last = (rest + data).rpartition(b"\x1b")
        if escape and not re.match(rb"\[[?0-9;]*[A-Za-z]", last):
            rest = escape + last
            yield whole
        else:
            rest = b""
            yield whole + escape + last
