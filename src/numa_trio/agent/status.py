"""The truth about each resource, derived from facts, for readiness, metrics and logs."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from attrs import Factory, define, field

from numa_trio.agent.counts import Ending, Outcome, ResourceCounts
from numa_trio.agent.moment import Moment
from numa_trio.repeated_event import RepeatedEvent

log = logging.getLogger(__name__)


class Phase(StrEnum):
    """How far a resource has come; each phase needs the one before it."""

    WAITING = "waiting"  # our socket is not bound, or the file at its path is not ours
    SERVING = "serving"  # our socket is bound and in place
    REGISTERED = "registered"  # this generation of kubelet accepted our registration
    STREAMING = "streaming"  # kubelet holds a ListAndWatch stream open


@define(eq=False)
class ResourceStatus:
    """The facts about one resource. Whichever task knows of an event tells it here, once.

    `endings` counts the streams that have ended, `departures` the other instances that have, to
    which kubelet may have listened instead of us. `obstacle` says what keeps the resource from its
    next phase, as last seen; `since` is when it last began to stream or ceased to.
    """

    name: str
    serving: bool = False
    registered: bool = False
    streams: int = 0
    endings: int = 0
    departures: int = 0
    obstacle: str | None = "kubelet.sock has not appeared yet"
    since: Moment = Factory(Moment.now)
    counts: ResourceCounts = Factory(ResourceCounts)
    _changed: RepeatedEvent = field(init=False, factory=RepeatedEvent)

    @property
    def phase(self) -> Phase:
        """What the facts amount to."""
        if not self.serving:
            return Phase.WAITING
        if not self.registered:
            return Phase.SERVING
        return Phase.STREAMING if self.streams else Phase.REGISTERED

    def serving_began(self) -> None:
        """Our socket is bound and in place."""
        with self._change():
            self.serving = True

    def serving_refused(self, obstacle: str) -> None:
        """Our socket cannot be bound."""
        with self._change(obstacle, logging.WARNING):
            self.serving = False

    def socket_displaced(self, obstacle: str) -> None:
        """The file at our socket's path is gone, or another: kubelet could not dial it again."""
        with self._change(obstacle):
            self.serving = False
        self.registration_ended(Ending.SOCKET_DISPLACED)

    def serving_ended(self) -> None:
        """Our socket is closed."""
        with self._change():
            self.serving = False

    def registration_accepted(self) -> None:
        """Kubelet, in this generation, has our registration."""
        self.counts.registration_tried(Outcome.ACCEPTED)
        with self._change():
            self.registered = True

    def registration_failed(self, outcome: Outcome, obstacle: str) -> None:
        """Kubelet was asked to register the resource, and did not."""
        self.counts.registration_tried(outcome)
        refused = outcome is Outcome.REFUSED
        with self._change(obstacle, logging.WARNING if refused else logging.INFO):
            self.registered = False

    def registration_ended(self, ending: Ending, obstacle: str | None = None) -> None:
        """The registration that kubelet had accepted no longer holds. The first reason counts."""
        if self.registered:
            self.counts.registration_ended(ending)
            with self._change(obstacle):
                self.registered = False

    def sibling_ended(self, obstacle: str) -> None:
        """Another instance that offered the resource has ended, and kubelet may have no other."""
        with self._change():
            self.departures += 1
        self.registration_ended(Ending.SIBLING_ENDED, obstacle)

    def registration_abandoned(self) -> None:
        """Nobody keeps the resource registered: this generation of kubelet has ended."""
        with self._change():
            self.registered = False

    def streams_changed(self, streams: int) -> None:
        """Kubelet holds so many ListAndWatch streams open."""
        with self._change():
            if streams < self.streams:
                self.endings += self.streams - streams
            self.streams = streams

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return as soon as `condition`, of the facts, holds."""
        while not condition():
            await self._changed.next().wait()

    @contextmanager
    def _change(self, obstacle: str | None = None, level: int = logging.INFO) -> Iterator[None]:
        """What a restart of kubelet brings about is information; `level` is for the rest."""
        before = self.phase
        yield
        after = self.phase
        if after is not before:
            if Phase.STREAMING in (before, after):
                self.since = Moment.now()
            if after is Phase.STREAMING:
                self.counts.streaming_began()
                obstacle, self.obstacle = None, None
                log.info("%s: kubelet holds its stream", self.name, extra={"phase": after})
            elif before is Phase.STREAMING:
                log.info("%s: its stream ended", self.name, extra={"phase": after})
        if obstacle and obstacle != self.obstacle:
            self.obstacle = obstacle
            log.log(level, "%s: %s", self.name, obstacle, extra={"phase": after})
        self._changed.happen()
