"""What happens in a simulation, as it is told to whoever watches, and kept for the report."""

from typing import Protocol

import trio
from attrs import define, field

from numa_trio.simulator.events import Event, EventKind

_TOLD = {
    EventKind.LISTENING: "kubelet listens on {subject}",
    EventKind.LISTED: "{subject}: {detail}",
    EventKind.REFUSED: "kubelet refuses to register {subject}: {detail}",
    EventKind.DISCONNECTED: "{subject} lost its plugin",
    EventKind.STOPPED: "kubelet was killed; kubelet.sock stays behind, dead",
    EventKind.KILLED: "{subject} was running and is killed: {detail}",
    EventKind.NOT_STARTED: "{subject} could not be started: {detail}",
}


class Observer(Protocol):
    """Whoever watches a simulation."""

    def happened(self, seconds: float, what: str) -> None:
        """Something happened, so many seconds after the beginning."""

    def waiting(self, what: str) -> None:
        """From now on this is being waited for."""


@define
class Record:
    """What happened, by seconds since the beginning, and what was not as it should be."""

    timeline: list[tuple[float, str]] = field(factory=list)
    problems: list[str] = field(factory=list)


@define(eq=False)
class Notes:
    """Notes in a record what happens now, and tells it."""

    record: Record
    observer: Observer
    _start: float = field(factory=trio.current_time)

    def tell(self, what: str) -> None:
        """Something happened."""
        seconds = trio.current_time() - self._start
        self.record.timeline.append((seconds, what))
        self.observer.happened(seconds, what)

    def on_event(self, event: Event) -> None:
        """Tell those events of the stand-in that say something to people."""
        if text := _TOLD.get(event.kind):
            self.tell(text.format(subject=event.subject, detail=event.detail))


@define
class Named:
    """Tells an observer what happens in one of several parts, `after` others that took so long."""

    name: str
    observer: Observer
    after: float = field(kw_only=True)

    def happened(self, seconds: float, what: str) -> None:
        """It happened so many seconds after the beginning of this part."""
        self.observer.happened(self.after + seconds, f"{self.name}: {what}")

    def waiting(self, what: str) -> None:
        """It is waited for in this part."""
        self.observer.waiting(f"{what} ({self.name})")
