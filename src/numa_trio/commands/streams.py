"""Standard input, output and error, made safe to use where they are closed, full or too narrow.

Left closed, a descriptor goes to the next file that is opened, and what is printed ends up there.
"""

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class OutputFailed(OSError):
    """Standard output cannot be written to; `errno` says why."""


def make_streams_safe() -> None:
    """Prepare the process for printing; where a stream was replaced, as in a test, leave it.

    Standard output raises `OutputFailed` where it is closed or does not take what is written.
    Standard error drops what it does not take, as nobody can be told. Characters that the
    encoding lacks are escaped in both.
    """
    # Reading from standard input ends at once, writing to standard output fails as before.
    for descriptor, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        _open_if_closed(descriptor, mode)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(_Output(1, "wb", closefd=False), like=sys.__stdout__)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(_Messages(2, "wb", closefd=False), like=sys.__stderr__)


def drop_output() -> None:
    """Let standard output forget what it is given, so that what is buffered cannot fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


class _Output(io.FileIO):
    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError as problem:
            raise OutputFailed(problem.errno, problem.strerror) from problem


class _Messages(io.FileIO):
    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _open_if_closed(descriptor: int, mode: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        # The lowest that is free, as those below it have been opened.
        os.open(os.devnull, mode)
        os.set_inheritable(descriptor, True)


def _text(raw: io.FileIO, like: TextIO | None) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=like.encoding if like else "utf-8",
        errors="backslashreplace",
        line_buffering=bool(like.line_buffering) if like else True,
    )
