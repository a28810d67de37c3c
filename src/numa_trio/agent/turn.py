"""When a task acts next."""

import trio
from attrs import define, field

from numa_trio.repeated_event import RepeatedEvent


@define(eq=False)
class Turn:
    """The time `at` which a task acts next, in Trio's seconds: at once, as long as nobody sets it.

    The task itself sets it; others can only bring it forward.
    """

    at: float = field(init=False, factory=trio.current_time)
    _hastened: RepeatedEvent = field(init=False, factory=RepeatedEvent)

    def hasten(self, at: float) -> None:
        """Let it come by that time."""
        if at < self.at:
            self.at = at
            self._hastened.happen()

    async def come(self) -> None:
        """Return when it has come."""
        over = False
        while not over:
            hastened = self._hastened.next()
            with trio.move_on_at(self.at) as waiting:
                await hastened.wait()
            over = waiting.cancelled_caught
