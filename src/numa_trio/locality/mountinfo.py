"""The mount table of a host: which file system a path lies on.

The form of the table is described in proc_pid_mountinfo(5).
"""

import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

from attrs import frozen

# Of any byte but NUL, which no path has.
_ESCAPE = re.compile(rb"\\(?!000)([0-3][0-7]{2})")
_DEVICE = re.compile(r"[0-9]{1,10}:[0-9]{1,10}")
_POINT = 4
_FIXED_FIELDS = 6
_DEEPEST = 4096  # steps of a path


@frozen
class Mount:
    """A line of the table. `device` is `major:minor`, `root` what of the file system is mounted."""

    id: int
    parent: int
    device: str
    root: str
    point: str
    file_system: str
    source: str
    options: Mapping[str, str]

    @property
    def has_block_device(self) -> bool:
        """Whether the file system's number is that of a block device."""
        return not self.device.startswith("0:")


@frozen
class MountTable:
    """The mounts in the order in which the kernel lists them: the one on top last.

    Of a line no more is understood than where it belongs, until somebody comes there: a busy host
    has ten thousand, of which few matter.
    """

    _lines: Sequence[bytes]
    _upon: Mapping[tuple[int, str], Sequence[bytes]]  # by the mount below, and the point
    _top: Mount | None

    @classmethod
    def of(cls, content: bytes) -> Self:
        """The table that a `mountinfo` holds, without the lines that are not in its form."""
        lines = content.split(b"\n")
        upon = defaultdict(list)
        ids = set()
        roots = []
        for line in lines:
            place = _place(line)
            if place is None:
                continue
            number, parent, point = place
            ids.add(number)
            if parent != number:
                upon[parent, point].append(line)
            if point == "/":
                roots.append(line)
        tops = [
            mount
            for mount in map(_parse, roots)
            if mount and (mount.parent not in ids or mount.parent == mount.id)
        ]
        return cls(lines, upon, tops[-1] if tops else None)

    @property
    def empty(self) -> bool:
        """Whether no line is that of a mount."""
        return next(self.points, None) is None

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """All of them."""
        return tuple(mount for mount in map(_parse, self._lines) if mount is not None)

    @property
    def points(self) -> Iterator[str]:
        """Where something is mounted; a point may come several times."""
        return (place[2] for place in map(_place, self._lines) if place is not None)

    def holding(self, path: str) -> Mount | None:
        """The mount that a path without links leads to, from `/` downwards as the kernel goes."""
        here = self._top
        for _ in range(_DEEPEST):
            further = None if here is None else self._next(here, path)
            if further is None:
                break
            here = further
        return here

    def _next(self, here: Mount, path: str) -> Mount | None:
        """The first mount upon `here` on the way to the path; of several at one point the last."""
        for point in _on_the_way(path):
            for line in reversed(self._upon.get((here.id, point), ())):
                if mount := _parse(line):
                    return mount
        return None


def is_below(path: str, folder: str) -> bool:
    """Whether an absolute path is the folder or lies in it."""
    return path == folder or path.startswith(folder if folder == "/" else folder + "/")


def _on_the_way(path: str) -> Iterator[str]:
    """`/`, each folder above an absolute path without links, and the path itself."""
    yield "/"
    for place, character in enumerate(path):
        if character == "/" and place:
            yield path[:place]
    if path != "/":
        yield path


def _place(line: bytes) -> tuple[int, int, str] | None:
    """The number of a mount, that of the one below it, and its point; None for another form."""
    fields = line.split(b" ", _POINT + 1)
    try:
        return int(fields[0]), int(fields[1]), _path(fields[_POINT])
    except (ValueError, IndexError):
        return None


def _parse(line: bytes) -> Mount | None:
    fields = line.split(b" ")
    try:
        end = fields.index(b"-", _FIXED_FIELDS)
        file_system, source = fields[end + 1 : end + 3]
        device = fields[2].decode("ascii")
        if not _DEVICE.fullmatch(device) or b"\0" in line:
            return None
        return Mount(
            id=int(fields[0]),
            parent=int(fields[1]),
            device=device,
            root=unescape(fields[3]),
            point=_path(fields[_POINT]),
            file_system=unescape(file_system),
            source=unescape(source),
            options=_options(b" ".join(fields[end + 3 :])),
        )
    except ValueError:  # fields are missing, or are no numbers
        return None


def _path(field: bytes) -> str:
    """Raises `ValueError` for what is no absolute path."""
    if not field.startswith(b"/"):
        raise ValueError(field)
    return posixpath.normpath(unescape(field))


def _options(text: bytes) -> dict[str, str]:
    """The file system's own options, each as it is given first; a comma within one is escaped."""
    pairs = [option.partition(b"=") for option in text.split(b",")]
    return {unescape(name): unescape(value) for name, _, value in reversed(pairs)}


def unescape(field: bytes) -> str:
    r"""A field as it was before the kernel wrote `\040` for a blank, and the like."""
    if b"\\" in field:
        field = _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field)
    return os.fsdecode(field)
