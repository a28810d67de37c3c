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


async def follow_mounts(changed: Callable[[], None]) -> NoReturn:
    """Call `changed` after each change of the mount table, until cancelled."""
    try:
        table = os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as problem:
        log.debug("Cannot watch the mount table", exc_info=problem)
        await trio.sleep_forever()
    try:
        while True:
            # The table can always be read and never written: what wakes a writer is EPOLLERR, and
            # that comes with each change.
            await trio.lowlevel.wait_writable(table)
            changed()
    finally:
        os.close(table)
