"""The mount table of a host: which file system a path lies on.

The form of the table is described in proc_pid_mountinfo(5).
"""

import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Self

from attrs import frozen

# Of any byte but NUL, which no path has.
_ESCAPE = re.compile(rb"\\(?!000)([0-3][0-7]{2})")
_DEVICE = re.compile(r"[0-9]{1,10}:[0-9]{1,10}")
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
    """The mounts in the order in which the kernel lists them: the one on top last."""

    mounts: tuple[Mount, ...]
    _children: Mapping[int, Sequence[Mount]]
    _top: Mount | None

    @classmethod
    def of(cls, mounts: tuple[Mount, ...]) -> Self:
        """The table of these mounts."""
        children = defaultdict(list)
        for mount in mounts:
            if mount.parent != mount.id:
                children[mount.parent].append(mount)
        ids = {mount.id for mount in mounts}
        tops = [
            mount
            for mount in mounts
            if mount.point == "/" and (mount.parent not in ids or mount.parent == mount.id)
        ]
        return cls(mounts, children, tops[-1] if tops else None)

    def holding(self, path: str) -> Mount | None:
        """The mount that a path without links leads to, from `/` downwards as the kernel goes."""
        if self._top is None:
            return None
        here = self._top
        for _ in range(_DEEPEST):
            further = self._next(here, path)
            if further is None:
                break
            here = further
        return here

    def _next(self, here: Mount, path: str) -> Mount | None:
        """The first mount upon `here` on the way to the path; of several at one point the last."""
        found = None
        for mount in self._children.get(here.id, ()):
            if is_below(path, mount.point) and (
                found is None or len(mount.point) <= len(found.point)
            ):
                found = mount
        return found


def is_below(path: str, folder: str) -> bool:
    """Whether an absolute path is the folder or lies in it."""
    return path == folder or path.startswith(folder if folder == "/" else folder + "/")


def parse_mountinfo(content: bytes) -> tuple[Mount, ...]:
    """The mounts of a table, without the lines that are not in its form."""
    lines = (_parse(line) for line in content.split(b"\n"))
    return tuple(mount for mount in lines if mount is not None)


def _parse(line: bytes) -> Mount | None:
    fields = line.split(b" ")
    try:
        end = fields.index(b"-", _FIXED_FIELDS)
        file_system, source = fields[end + 1 : end + 3]
        device = fields[2].decode("ascii")
        if not _DEVICE.fullmatch(device) or not fields[4].startswith(b"/") or b"\0" in line:
            return None
        return Mount(
            id=int(fields[0]),
            parent=int(fields[1]),
            device=device,
            root=unescape(fields[3]),
            point=posixpath.normpath(unescape(fields[4])),
            file_system=unescape(file_system),
            source=unescape(source),
            options=_options(b" ".join(fields[end + 3 :])),
        )
    except ValueError:  # fields are missing, or are no numbers
        return None


def _options(text: bytes) -> dict[str, str]:
    """The file system's own options, each as it is given first; a comma within one is escaped."""
    pairs = [option.partition(b"=") for option in text.split(b",")]
    return {unescape(name): unescape(value) for name, _, value in reversed(pairs)}


def unescape(field: bytes) -> str:
    r"""A field as it was before the kernel wrote `\040` for a blank, and the like."""
    return os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field))
