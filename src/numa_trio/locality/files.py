"""Files and folders of sysfs and of the host, where what cannot be read is an error of its own."""

import errno
import os
import posixpath
from collections import deque
from collections.abc import Callable
from pathlib import Path

from numa_trio.topology.files import GONE, read_regular

# A file of sysfs has at most a page.
_PAGE = 64 << 10
_MOST_LINKS = 40  # as the kernel


class Unreadable(Exception):
    """A file or folder is there but cannot be read."""

    def __init__(self, path: Path, problem: str | None) -> None:
        super().__init__(f"{path}: cannot be read: {problem}")


def read_bytes(path: Path, at_most: int) -> bytes | None:
    """What the file holds; None if there is none. Raises `Unreadable`, also for a longer one."""
    try:
        content = read_regular(path, at_most + 1)
    except OSError as problem:
        if problem.errno in GONE:
            return None
        raise Unreadable(path, problem.strerror) from problem
    if len(content) > at_most:
        raise Unreadable(path, f"it has more than {at_most} bytes")
    return content


def read_text(path: Path) -> str | None:
    """The text without what ends it; None if there is no such file. Raises `Unreadable`."""
    content = read_bytes(path, _PAGE)
    if content is None:
        return None
    # Whatever the file holds, the text can be part of a path.
    return os.fsdecode(content).strip(" \t\r\n\0").partition("\0")[0]


def names_in(folder: Path) -> list[str]:
    """The names in a folder, sorted; none if there is no such folder. Raises `Unreadable`."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208  names are all that is wanted
    except OSError as problem:
        if problem.errno in GONE:
            return []
        raise Unreadable(folder, problem.strerror) from problem


def real_folder(path: Path) -> Path | None:
    """The folder itself, without links; None if there is no such folder. Raises `Unreadable`."""
    try:
        real = os.path.realpath(path, strict=True)
    except OSError as problem:
        if problem.errno in GONE:
            return None
        raise Unreadable(path, problem.strerror) from problem
    return Path(real) if os.path.isdir(real) else None  # noqa: PTH112  errors are no folders


def is_folder(path: Path) -> bool:
    """Whether it can be seen to be a folder."""
    return os.path.isdir(path)  # noqa: PTH112  pathlib raises for some errors


def exists(path: Path) -> bool:
    """Whether it can be seen to be there, or to be a link to what is there."""
    return os.path.exists(path)  # noqa: PTH110  as above


def is_link(path: Path) -> bool:
    """Whether it can be seen to be a symbolic link."""
    return os.path.islink(path)  # noqa: PTH114  as above


def follow_links(root: Path, path: str, may_look: Callable[[str], bool]) -> str:
    """The path without symbolic links, as on a host whose `/` is at `root`.

    What does not exist there stays as it is, and so does everything from the first step where
    `may_look` does not allow a look. Raises `Unreadable` for links that go in circles.
    """
    steps = deque(path.split("/"))
    real = "/"
    links = 0
    while steps:
        step = steps.popleft()
        if step in ("", "."):
            continue
        if step == "..":
            real = posixpath.dirname(real)
            continue
        here = posixpath.join(real, step)
        if not may_look(here):
            return posixpath.join(here, *steps)
        target = link_target(inside(root, here))
        if target is None:
            real = here
            continue
        links += 1
        if links > _MOST_LINKS:
            raise Unreadable(inside(root, path), os.strerror(errno.ELOOP))
        real = "/" if target.startswith("/") else real
        steps.extendleft(reversed(target.split("/")))
    return real


def inside(root: Path, path: str) -> Path:
    """Where the host's `path` is seen, if its `/` is at `root`."""
    return root / path.lstrip("/")


def link_target(path: Path) -> str | None:
    """What a symbolic link says; None if it is none, or cannot be seen."""
    try:
        return str(path.readlink())
    except OSError:  # no link, or nothing at all
        return None
