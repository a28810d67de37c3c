"""Tells when something is mounted or unmounted, which gives no inotify event."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import trio

log = logging.getLogger(__name__)

# Of our own mount namespace; proc(5) says how to wait for it.
_TABLE = Path("/proc/thread-self/mountinfo")

# Seconds between two changes that are told: one may stand for thousands.
_PAUSE = 0.1


async def follow_mounts(changed: Callable[[], None], path: Path = _TABLE) -> NoReturn:
    """Call `changed` after each change of a mount table, or several, until cancelled.

    The `path` is that of a `mountinfo`. Of a file that is none, or that cannot be opened, nothing
    is ever told.
    """
    try:
        await _follow(changed, path)
    except OSError as problem:
        log.debug("Cannot watch the mount table %s", path, exc_info=problem)
    await trio.sleep_forever()


async def _follow(changed: Callable[[], None], path: Path) -> NoReturn:
    table = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        while True:
            # The table can always be read and never written: what wakes a writer is EPOLLERR, and
            # that comes with each change.
            await trio.lowlevel.wait_writable(table)
            changed()
            await trio.sleep(_PAUSE)
    finally:
        os.close(table)
