"""The truth about each resource, derived from facts, for readiness, metrics and logs."""

import logging
from collections.abc import Callable
from enum import StrEnum

import trio
from attrs import Factory, define, field

log = logging.getLogger(__name__)


class Phase(StrEnum):
    """How far a resource has come; each phase needs the one before it."""

    WAITING = "waiting"  # our socket is not bound, or the file at its path is not ours
    SERVING = "serving"  # our socket is bound and in place
    REGISTERED = "registered"  # this generation of kubelet accepted our registration
    STREAMING = "streaming"  # kubelet holds a ListAndWatch stream open


@define(eq=False)
class ResourceStatus:
    """The facts about one resource, each written by the task that knows it.

    `obstacle` says what keeps the resource from its next phase, as last seen; `since` is when the
    present phase began, in Trio's time (seconds).
    """

    name: str
    serving: bool = False
    registered: bool = False
    streams: int = 0
    obstacle: str | None = "kubelet.sock has not appeared yet"
    since: float = Factory(trio.current_time)
    _changed: trio.Event = field(init=False, factory=trio.Event)

    @property
    def phase(self) -> Phase:
        """What the facts amount to."""
        if not self.serving:
            return Phase.WAITING
        if not self.registered:
            return Phase.SERVING
        return Phase.STREAMING if self.streams else Phase.REGISTERED

    def serves(self, serving: bool, obstacle: str | None = None) -> None:
        """Our socket is bound and in place, or is not, because of `obstacle`."""
        before = self.phase
        self.serving = serving
        self._note(before, obstacle)

    def is_registered(self, registered: bool, obstacle: str | None = None) -> None:
        """Kubelet, in this generation, has our registration, or has not, because of `obstacle`."""
        before = self.phase
        self.registered = registered
        self._note(before, obstacle)

    def has_streams(self, streams: int) -> None:
        """Kubelet holds so many ListAndWatch streams open."""
        before = self.phase
        self.streams = streams
        self._note(before, None if streams else "the ListAndWatch stream ended")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return as soon as `condition`, of the facts, holds."""
        while not condition():
            await self._changed.wait()

    def _note(self, before: Phase, obstacle: str | None) -> None:
        after = self.phase
        if after is not before:
            self.since = trio.current_time()
        fresh = obstacle is not None and obstacle != self.obstacle
        self.obstacle = obstacle
        if after is Phase.STREAMING:
            if before is not after:
                log.info("%s: kubelet holds its stream", self.name, extra={"phase": after})
        elif before is Phase.STREAMING or fresh:
            log.warning("%s: %s", self.name, obstacle or f"back to {after}", extra={"phase": after})
        self._changed.set()
        self._changed = trio.Event()
