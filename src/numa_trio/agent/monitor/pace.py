"""A bound on how often something happens."""

import trio
from attrs import define, field


@define(eq=False)
class Pace:
    """Lets `steps` through at once, and so many in each `period`, in seconds."""

    steps: int
    period: float
    _left: int = field(default=0, init=False)
    _ends_at: float = field(default=float("-inf"), init=False)

    async def step(self) -> None:
        """Take a step; return as soon as the next one is allowed."""
        now = trio.current_time()
        if now >= self._ends_at:
            self._left = self.steps
            self._ends_at = now + self.period
        self._left -= 1
        if self._left <= 0:
            await trio.sleep_until(self._ends_at)
