"""The files of a host, below whatever directory shows its `/`.

What is read is noted, so that a capture holds just that: of each file what its reader keeps.
"""

import errno
import os
import re
from pathlib import Path

from attrs import field, frozen

from numa_trio.doctor.evidence.seen import Missing
from numa_trio.locality.files import Unreadable, follow_links, inside
from numa_trio.topology.files import GONE, read_regular

MOST_BYTES = 1 << 20
_MOST_NAMES = 100_000
_KERNEL = re.compile(r"/sys/|/proc/(?![0-9])")

ABSENT = Missing("there is no such file", absent=True)


@frozen
class HostFiles:
    """The host whose `/` is at `root`; links lead to where they would on that host.

    `kernel` is where `/sys` and `/proc` are seen instead, but for the processes: a container's own
    show the same kernel. `unreadable` are files of which a capture says why they
    could not be read. `kept`, `present` and `failed` are what was read, what was looked for and is
    there, and what could not be read.
    """

    root: Path
    unreadable: dict[str, str] = field(factory=dict)
    kernel: Path | None = None
    kept: dict[str, bytes] = field(factory=dict, init=False)
    present: set[str] = field(factory=set, init=False)
    failed: dict[str, str] = field(factory=dict, init=False)

    def where(self, path: str) -> Path:
        """The file itself, without the host's links; the path as it is where they go in circles."""
        root = self.kernel if self.kernel is not None and _KERNEL.match(path) else self.root
        try:
            return inside(root, follow_links(root, path, lambda _: True))
        except Unreadable:
            return inside(root, path)

    def read(self, path: str, at_most: int = MOST_BYTES) -> bytes | Missing:
        """What the file holds; Missing also for a longer one."""
        if path in self.unreadable:
            return self.failure(path, self.unreadable[path])
        try:
            content = read_regular(self.where(path), at_most + 1)
        except OSError as problem:
            if problem.errno in GONE:
                return ABSENT
            return self.failure(path, f"cannot be read: {problem.strerror}")
        if len(content) > at_most:
            return self.failure(path, f"has more than {at_most} bytes")
        return content

    def failure(self, path: str, reason: str) -> Missing:
        """The file cannot be used, for that reason; a capture will say so."""
        self.failed[path] = reason
        return Missing(reason)

    def keep(self, path: str, content: bytes) -> None:
        """Have a capture hold this of the file."""
        self.kept[path] = content

    def word(self, path: str) -> str | Missing:
        """The text of a small file of the kernel's, without what ends it; it is kept whole."""
        content = self.read(path, 4096)
        if isinstance(content, Missing):
            return content
        self.keep(path, content)
        return content.decode("ascii", "backslashreplace").strip(" \t\r\n\0")

    def exists(self, path: str) -> bool:
        """Whether it can be seen to be there."""
        there = os.path.lexists(self.where(path))
        if there:
            self.present.add(path)
        return there

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted; none where it cannot be listed."""
        if folder in self.unreadable:
            self.failed[folder] = self.unreadable[folder]
            return []
        try:
            with os.scandir(self.where(folder)) as entries:
                found = [entry.name for entry, _ in zip(entries, range(_MOST_NAMES), strict=False)]
        except OSError as problem:
            if problem.errno == errno.EACCES:
                self.failed[folder] = f"cannot be listed: {problem.strerror}"
            return []
        return sorted(found)
