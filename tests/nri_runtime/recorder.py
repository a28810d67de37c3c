"""What the runtime and its plugins have asked and answered, and when."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio
from attrs import define, field


@define(eq=False)
class Exchange:
    """A call. It has an answer, or a failure, when it has ended; times are Trio's."""

    asker: str  # "runtime" or "plugin"
    plugin: str
    method: str
    request: Any
    began: float
    answer: Any = None
    failure: str = ""
    ended: float | None = None

    @property
    def took(self) -> float:
        """Seconds."""
        assert self.ended is not None, f"{self.method} has not ended"
        return self.ended - self.began


@define(eq=False)
class Recorder:
    """`exchanges` in the order in which they began, and `notes`, what a runtime would log."""

    exchanges: list[Exchange] = field(factory=list)
    notes: list[tuple[float, str]] = field(factory=list)
    _changed: trio.Event = field(factory=trio.Event)

    def note(self, text: str) -> None:
        self.notes.append((trio.current_time(), text))
        self.tell()

    def tell(self) -> None:
        """Wake those who wait."""
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    @contextmanager
    def exchange(self, asker: str, plugin: str, method: str, request: Any) -> Iterator[Exchange]:
        """Note a call while it lasts; an error that leaves the context is its failure."""
        made = Exchange(asker, plugin, method, request, trio.current_time())
        self.exchanges.append(made)
        self.tell()
        try:
            yield made
        except BaseException as error:
            made.failure = str(error) or type(error).__name__
            raise
        finally:
            made.ended = trio.current_time()
            self.tell()

    def of(self, method: str, plugin: str | None = None) -> list[Exchange]:
        """The calls of a method: by or to one plugin, or all."""
        return [
            one for one in self.exchanges if one.method == method and plugin in (None, one.plugin)
        ]

    def noted(self, text: str) -> list[float]:
        """When a note with that text in it was made."""
        return [when for when, note in self.notes if text in note]

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return as soon as that holds; it is looked at whenever something was noted."""
        while not condition():
            await self._changed.wait()
