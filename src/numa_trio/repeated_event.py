"""An event that happens again and again."""

import trio
from attrs import define, field


@define(eq=False)
class RepeatedEvent:
    """Wakes all who wait for its next time, each time anew.

    It carries nothing: who is woken looks for what has changed.
    """

    _next: trio.Event = field(init=False, factory=trio.Event)

    def next(self) -> trio.Event:
        """Its next time, to be waited for. Ask before you look, so as to miss none."""
        return self._next

    def happen(self) -> None:
        """Wake those who wait."""
        happening, self._next = self._next, trio.Event()
        happening.set()
