"""inotify(7) on a directory and on each step of the path that leads to it."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import inotify_simple
import trio

_FLAGS = inotify_simple.flags
_ENTRIES = _FLAGS.CREATE | _FLAGS.DELETE | _FLAGS.MOVED_FROM | _FLAGS.MOVED_TO | _FLAGS.ATTRIB
_SELF = _FLAGS.DELETE_SELF | _FLAGS.MOVE_SELF
_GONE = _SELF | _FLAGS.IGNORED | _FLAGS.UNMOUNT

# The kernel follows as many symbolic links in one path, and no more.
_LINKS = 40


class Inotify:
    """An inotify instance for the directory at a path, which need not exist.

    The path is walked as the kernel does, through symbolic links. Whatever directory is passed on
    the way is watched for the next step's name, before that step is taken: so no change between two
    steps can be missed. Raises `OSError` if the kernel does not let us watch.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory
        self._instance = inotify_simple.INotify(nonblocking=True)
        self._steps: dict[int, set[str]] = {}  # by watch: the names in it that lead on
        self._directory: int | None = None  # its watch, if it exists
        self._identity: tuple[int, int] | None = None
        try:
            self.arm()
        except BaseException:
            self.close()
            raise

    def arm(self) -> None:
        """Watch what is at the path now, and no longer what was."""
        before = self._steps.keys() | {self._directory}
        self._steps = {}
        self._directory = None
        self._walk()
        self._identity = self._identity_now()
        for watch in before - self._steps.keys() - {self._directory, None}:
            with suppress(OSError):  # it went together with what it watched
                self._instance.rm_watch(watch)

    def _walk(self) -> None:
        at = Path("/")
        ahead = list(reversed(self._path.absolute().parts[1:]))
        links = 0
        unwatched: OSError | None = None
        try:
            while ahead:
                name = ahead.pop()
                try:
                    self._steps.setdefault(self._add(at), set()).add(name)
                    unwatched = None
                except PermissionError as problem:  # we may pass through what we may not read
                    unwatched = problem
                if link := _link_at(at / name):
                    links += 1
                    if links > _LINKS:
                        return
                    at = Path("/") if link.is_absolute() else at
                    ahead += reversed([part for part in link.parts if part != "/"])
                else:
                    at = at.parent if name == ".." else at / name
            self._directory = self._add(at)
        except (FileNotFoundError, NotADirectoryError):
            if unwatched:  # where the next step would appear
                raise unwatched from None

    def _add(self, directory: Path) -> int:
        watch: int = self._instance.add_watch(directory, _ENTRIES | _SELF | _FLAGS.ONLYDIR)
        return watch

    def elsewhere(self) -> bool:
        """Whether another directory is at the path than the one that is watched, or now none."""
        return self._identity_now() != self._identity

    def _identity_now(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except PermissionError:  # not to be examined is not gone
            return self._identity
        except OSError:
            return None
        return status.st_dev, status.st_ino

    async def wait(self, relevant: Callable[[str], bool]) -> None:
        """Return at the next event that matters: to the path, or to a relevant name."""
        while True:
            await trio.lowlevel.wait_readable(self._instance.fileno())
            if self._matters(self._instance.read(timeout=0), relevant):
                return

    def _matters(self, events: list[inotify_simple.Event], relevant: Callable[[str], bool]) -> bool:
        matters = moved = False
        for event in events:
            if event.mask & _FLAGS.Q_OVERFLOW:
                matters = moved = True
            elif event.wd not in self._steps and event.wd != self._directory:
                continue
            elif event.mask & _GONE or event.name in self._steps.get(event.wd, ()):
                matters = moved = True
            elif not event.name or (event.wd == self._directory and relevant(event.name)):
                matters = True
        if moved:
            self.arm()
        return matters

    def close(self) -> None:
        """Give the instance back to the kernel."""
        self._instance.close()


def _link_at(path: Path) -> Path | None:
    """Where the symbolic link at `path` leads; None if it is something else.

    Raises `FileNotFoundError` or `NotADirectoryError` if there is nothing.
    """
    try:
        return path.readlink()
    except PermissionError:
        return None
    except OSError as problem:
        if isinstance(problem, FileNotFoundError | NotADirectoryError):
            raise
        return None  # EINVAL: no link
