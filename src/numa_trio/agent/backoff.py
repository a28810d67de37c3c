"""Bounded exponential backoff with jitter."""

import random
from collections.abc import Callable

from attrs import define


@define
class Backoff:
    """The delays between tries, in seconds: `first`, then twice the last, up to `longest`.

    Each is shortened by up to half at random, so that many nodes do not try in step.
    """

    first: float
    longest: float
    jitter: Callable[[], float] = random.random  # a number from 0 to 1
    _tries: int = 0

    def next_delay(self) -> float:
        """The delay before the next try."""
        # The exponent is bounded: a try every few seconds for years must not overflow.
        delay = min(self.longest, self.first * 2.0 ** min(self._tries, 32))
        self._tries += 1
        return delay * (1 - self.jitter() / 2)

    def reset(self) -> None:
        """Begin again with `first`."""
        self._tries = 0
