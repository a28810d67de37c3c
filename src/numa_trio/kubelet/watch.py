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

import trio

from numa_trio.kubelet.inotify import Inotify
from numa_trio.kubelet.mounts import follow_mounts
from numa_trio.repeated_event import RepeatedEvent

log = logging.getLogger(__name__)

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
        self._mounted = RepeatedEvent()
        self._inotify: Inotify | None = None
        self.polling = False

    def next_change(self) -> trio.Event:
        """The event of the next possible change. Take it before you look, so as to miss none."""
        return self._change.next()

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Watch until cancelled. Whatever the kernel refuses, polling takes over."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow_mounts, self._mounted.happen)
            nursery.start_soon(self._look_after_mounts)
            started = False
            while True:
                await self._watch_or_poll(None if started else task_status)
                started = True

    async def _watch_or_poll(self, task_status: trio.TaskStatus[None] | None) -> None:
        """Watch until that fails, or poll for a while."""
        try:
            self._inotify = Inotify(self.directory)
        except OSError as problem:
            self._poll_because(problem)
        else:
            self._note_inotify()
        if task_status:
            task_status.started()
        self._announce()
        if self._inotify is None:
            await self._poll()
            return
        try:
            await self._follow(self._inotify)
        except OSError as problem:
            self._poll_because(problem)
        finally:
            self._inotify.close()
            self._inotify = None

    async def _follow(self, inotify: Inotify) -> NoReturn:
        while True:
            with trio.move_on_after(self._sweep_interval) as sweep:
                await inotify.wait(self._relevant)
            if sweep.cancelled_caught:
                inotify.arm()
            self._announce()

    async def _look_after_mounts(self) -> NoReturn:
        """Look whether a mount has put another directory at the path."""
        while True:
            await self._mounted.next().wait()
            if self._inotify and self._inotify.elsewhere():
                with suppress(OSError):  # the sweep will say so
                    self._inotify.arm()
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
