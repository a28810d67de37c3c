"""Tells a person what happens in a simulation, as it happens."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from numa_trio.layout import print_lines

if TYPE_CHECKING:
    from rich.console import Console


class Watcher:
    """Tells what happens as it happens, and on a terminal also what is being waited for."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._status = console.status("starting")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        with terminal_may_be_gone(self._console.file):
            self._status.stop()

    def happened(self, seconds: float, what: str) -> None:
        """Tell that something happened, so many seconds after the beginning."""
        with terminal_may_be_gone(self._console.file):
            at = f"{seconds:6.2f} s  "
            print_lines(self._console, f"{at}{what}", indent=len(at.lstrip()))

    def waiting(self, what: str) -> None:
        """Tell what is being waited for from now on."""
        with terminal_may_be_gone(self._console.file):
            self._status.update(f"waiting for {what}")


@contextlib.contextmanager
def terminal_may_be_gone(stream: IO[str]) -> Iterator[None]:
    """Let writing to a closed terminal fail in silence: it is SIGHUP that says what to do."""
    try:
        yield
    except OSError as problem:
        if problem.errno != errno.EIO:
            raise
        # What is still in buffers must not fail again when the interpreter flushes them.
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
