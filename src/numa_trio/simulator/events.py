"""What happened to the stand-in, in order: for tests, and for whoever watches it."""

from collections.abc import Callable
from enum import StrEnum

import trio
from attrs import define, field, frozen

from numa_trio.repeated_event import RepeatedEvent


class EventKind(StrEnum):
    """What happened, and to what."""

    WIPED = "socket deleted"  # a file name
    LISTENING = "kubelet listens"
    STOPPED = "kubelet stopped"
    BAD_CHECKPOINT = "checkpoint ignored"
    REGISTER = "Register called"  # a resource, here and below
    OPTIONS = "GetDevicePluginOptions answered"
    REGISTERED = "Register answered"
    REFUSED = "Register refused"
    WATCHING = "ListAndWatch called"
    LISTED = "devices listed"
    STREAM_ENDED = "ListAndWatch ended"
    DISCONNECTED = "plugin disconnected"
    FORGOTTEN = "resource forgotten"
    PREFERRED = "GetPreferredAllocation answered"
    ALLOCATED = "Allocate answered"
    PRE_STARTED = "PreStartContainer answered"
    CHECKPOINT = "checkpoint written"
    NO_CHECKPOINT = "checkpoint not written"
    NO_STATE = "state of the CPU and Memory Managers not written"
    ADMITTED = "pod admitted"  # a pod
    REJECTED = "pod rejected"
    ADMITTED_AGAIN = "running pod admitted again"
    KILLED = "running pod rejected and killed"
    NOT_STARTED = "container not started"  # a pod and its container


@frozen
class Event:
    """Something that happened, `seconds` on Trio's clock."""

    seconds: float
    kind: EventKind
    subject: str = ""
    detail: str = ""


@define(eq=False)
class EventLog:
    """All events so far; `on_event` is told each of them."""

    on_event: Callable[[Event], None] | None = None
    events: list[Event] = field(factory=list)
    _news: RepeatedEvent = field(factory=RepeatedEvent)

    def record(self, kind: EventKind, subject: str = "", detail: str = "") -> None:
        """Note that something happened now, and wake all who wait."""
        event = Event(trio.current_time(), kind, subject, detail)
        self.events.append(event)
        if self.on_event is not None:
            self.on_event(event)
        self._news.happen()

    async def wait_until(self, holds: Callable[[], bool]) -> None:
        """Return as soon as it holds; looked at now, and after every event."""
        while not holds():
            await self._news.next().wait()
