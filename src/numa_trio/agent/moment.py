"""An instant on two clocks: one to measure with, one to show."""

import time
from datetime import UTC, datetime
from typing import Self

import trio
from attrs import frozen


@frozen
class Moment:
    """`trio` never jumps and has no date; `unix` is the wall clock's date, which may jump.

    Both in seconds.
    """

    trio: float
    unix: float

    @classmethod
    def now(cls) -> Self:
        """The present instant. Needs a running Trio."""
        return cls(trio.current_time(), time.time())

    def seconds_since(self, earlier: "Moment") -> float:
        """How long after `earlier` this is, whatever happened to the wall clock."""
        return max(0.0, self.trio - earlier.trio)

    @property
    def rfc3339(self) -> str:
        """The date and time to the second, in UTC."""
        return datetime.fromtimestamp(int(self.unix), UTC).isoformat().replace("+00:00", "Z")
