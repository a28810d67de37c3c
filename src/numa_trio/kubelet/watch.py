"""Wakes those who look at a directory whenever it may have changed.

inotify(7) where the kernel grants it, polling where it does not. What changed is for the woken to
find out: an event is a reason to look, never a fact.
"""

import errno
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import inotify_simple
import trio

from numa_trio.repeated_event import RepeatedEvent

log = logging.getLogger(__name__)

_FLAGS = inotify_simple.flags
_ENTRIES = _FLAGS.CREATE | _FLAGS.DELETE | _FLAGS.MOVED_FROM | _FLAGS.MOVED_TO | _FLAGS.ATTRIB
_SELF = _FLAGS.DELETE_SELF | _FLAGS.MOVE_SELF
_DIRECTORY_GONE = _SELF | _FLAGS.IGNORED | _FLAGS.UNMOUNT

# The kernel's ways to say that there are no instances, watches or rights left for us.
_INOTIFY_UNAVAILABLE = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOSPC,
        errno.ENOMEM,
        errno.EACCES,
        errno.EPERM,
        errno.ENOSYS,
    }
)

_REMEDIES = {
    errno.EMFILE: " Raise fs.inotify.max_user_instances if this lasts.",
    errno.ENOSPC: " Raise fs.inotify.max_user_watches if this lasts.",
}


class _Inotify:
    """An inotify instance that watches the directory, or its nearest ancestor if it is missing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._instance = inotify_simple.INotify(nonblocking=True)
        self._watch: int | None = None
        try:
            self.arm()
        except BaseException:
            self.close()
            raise

    def arm(self) -> None:
        """Watch what is at the path now. Raises `OSError` if the kernel does not let us."""
        for candidate in (self._directory, *self._directory.parents):
            try:
                watch = self._instance.add_watch(candidate, _ENTRIES | _SELF | _FLAGS.ONLYDIR)
            except (FileNotFoundError, NotADirectoryError):
                continue
            self._drop_all_but(watch)
            self.on_directory = candidate == self._directory
            # Made while we were looking elsewhere: its events would be missed.
            if not self.on_directory and self._directory.is_dir():
                self.arm()
            return

    def _drop_all_but(self, watch: int) -> None:
        """The kernel gives a directory that we watch already the same number again."""
        if self._watch not in (None, watch):
            with suppress(OSError):  # it went together with the directory
                self._instance.rm_watch(self._watch)
        self._watch = watch

    async def wait(self, relevant: Callable[[str], bool]) -> None:
        """Return at the next event that matters. Raises `OSError` if the watch cannot be kept."""
        while True:
            await trio.lowlevel.wait_readable(self._instance.fileno())
            events = self._instance.read(timeout=0)
            overflow = any(event.mask & _FLAGS.Q_OVERFLOW for event in events)
            current = [event for event in events if event.wd == self._watch]
            if any(event.mask & _DIRECTORY_GONE for event in current) or not self.on_directory:
                self.arm()
                return
            if overflow or any(relevant(event.name) for event in current):
                return

    def close(self) -> None:
        """Give the instance back to the kernel."""
        self._instance.close()


class DirectoryWatch:
    """Tells everybody who waits that the directory may have changed. It need not exist.

    `poll_interval` and `sweep_interval` are in seconds: how often it wakes them without inotify,
    and how often with it, for what gives no event.
    """

    def __init__(
        self,
        directory: Path,
        *,
        relevant: Callable[[str], bool] = lambda _name: True,
        poll_interval: float = 1.0,
        sweep_interval: float = 30.0,
    ) -> None:
        self.directory = directory
        self._relevant = relevant
        self._poll_interval = poll_interval
        self._sweep_interval = sweep_interval
        self._change = RepeatedEvent()
        self.polling = False

    def next_change(self) -> trio.Event:
        """The event of the next possible change. Take it before you look, so as to miss none."""
        return self._change.next()

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Watch until cancelled. Whatever the kernel refuses, polling takes over."""
        started = False
        while True:
            try:
                inotify = _Inotify(self.directory)
            except OSError as problem:
                self._poll_because(problem)
            else:
                self._note_inotify()
            if not started:
                task_status.started()
                started = True
            self._announce()
            if self.polling:
                await self._poll()
                continue
            try:
                await self._follow(inotify)
            except OSError as problem:
                self._poll_because(problem)
            finally:
                inotify.close()

    async def _follow(self, inotify: _Inotify) -> NoReturn:
        while True:
            with trio.move_on_after(self._sweep_interval) as sweep:
                await inotify.wait(self._relevant)
            if sweep.cancelled_caught:
                inotify.arm()  # an ancestor that was renamed gives no event
            self._announce()

    async def _poll(self) -> None:
        deadline = trio.current_time() + self._sweep_interval
        while trio.current_time() < deadline:
            await trio.sleep(self._poll_interval)
            self._announce()

    def _announce(self) -> None:
        self._change.happen()

    def _poll_because(self, problem: OSError) -> None:
        if problem.errno not in _INOTIFY_UNAVAILABLE:
            log.debug("inotify failed on %s", self.directory, exc_info=problem)
        if not self.polling:
            self.polling = True
            log.warning(
                "Cannot watch %s with inotify (%s): looking every %g s instead, and trying inotify"
                " again every %g s.%s",
                self.directory,
                os.strerror(problem.errno) if problem.errno else problem,
                self._poll_interval,
                self._sweep_interval,
                _REMEDIES.get(problem.errno or 0, ""),
            )

    def _note_inotify(self) -> None:
        if self.polling:
            self.polling = False
            log.info("Watching %s with inotify again", self.directory)
