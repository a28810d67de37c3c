"""The files of `numa-trio lint`: found, read, and written in one step."""

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

STANDARD_INPUT = "-"

_SUFFIXES = (".json", ".yaml", ".yml")
_MOST_BYTES = 4 << 20  # of a file that is looked into; the parser takes some seconds for each MiB
_MOST_READ = 64 << 20  # a file without our resources may have as many
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@frozen
class Problem:
    """Why a file could not be looked into, or written; the place is a line and a column."""

    file: str
    text: str
    place: tuple[int, int] | None = None

    def __str__(self) -> str:
        place = ":{}:{}".format(*self.place) if self.place else ""
        return f"{shown_name(self.file)}{place}: {self.text}"


def shown_name(file: str) -> str:
    """How messages call the file."""
    return "standard input" if file == STANDARD_INPUT else file


def files_in(names: Sequence[str]) -> Iterator[str | Problem]:
    """The files by these names, and those in the folders among them; each once."""
    seen = set()
    for name in names:
        for file in _inside(name) if os.path.isdir(name) else [name]:  # noqa: PTH112  as a name may be too long for Path
            if file not in seen:
                seen.add(file)
                yield file


def _inside(folder: str) -> Iterator[str | Problem]:
    """The manifests in a folder and in those below it, without hidden ones, by name."""
    problems: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=problems.append):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            if name.endswith(_SUFFIXES) and not name.startswith("."):
                yield str(Path(place, name))
    for problem in problems:
        yield Problem(str(problem.filename), f"cannot be read: {problem.strerror}")


def read_file(file: str, domain: str) -> bytes | Problem | None:
    """The content; None for a file too large to be looked into that names nothing of ours."""
    try:
        if file == STANDARD_INPUT:
            content = sys.stdin.buffer.read(_MOST_READ + 1)
        else:
            with Path(file).open("rb") as opened:
                content = opened.read(_MOST_READ + 1)
    except (OSError, ValueError) as problem:
        return Problem(file, f"cannot be read: {getattr(problem, 'strerror', None) or problem}")
    if len(content) <= _MOST_BYTES:
        return content
    if len(content) <= _MOST_READ and f"{domain}/".encode() not in content:
        return None
    most = f"{_MOST_BYTES >> 20} MiB, or {_MOST_READ >> 20} without a resource of {domain}"
    return Problem(file, f"is too large; expected at most {most}")


def replace_file(file: str, before: bytes, text: str) -> Problem | None:
    """Write the text in the place of what was read, all at once; mode and owner stay."""
    mark = _BYTE_ORDER_MARK if before.startswith(_BYTE_ORDER_MARK) else b""
    try:
        state = Path(file).stat()
        if not stat.S_ISREG(state.st_mode):
            return Problem(file, "cannot be rewritten: expected a file, no pipe or device")
        _write_beside(Path(file).resolve(), state, mark + text.encode())
    except OSError as problem:
        return Problem(file, f"cannot be written: {problem.strerror}")
    return None


def _write_beside(target: Path, state: os.stat_result, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, state.st_uid, state.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(state.st_mode))
            file.flush()
            os.fsync(descriptor)
        os.replace(name, target)  # noqa: PTH105  not of a Path that is there
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108
        raise
