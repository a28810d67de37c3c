"""Log lines that peers can cause: one a minute for each kind, with a count of those left out."""

import logging
from collections import Counter

import trio

_INTERVAL = 60.0  # seconds
_MOST_KINDS = 100


class PeerLog:
    """Warnings through `log`, bounded however many peers give reason for them, and how often."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._last: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()

    def warn(self, kind: str, message: str, *arguments: object) -> bool:
        """Log the message unless one of its kind was logged within a minute; whether it was."""
        now = trio.current_time()
        last = self._last.get(kind)
        if last is not None and now - last < _INTERVAL:
            self._left_out[kind] += 1
            return False
        if last is None and len(self._last) >= _MOST_KINDS:
            self._last.clear()
            self._left_out.clear()
        self._last[kind] = now
        if left_out := self._left_out.pop(kind, 0):
            self._log.warning("%s (%d more like the last one)", message % arguments, left_out)
        else:
            self._log.warning(message, *arguments)
        return True
