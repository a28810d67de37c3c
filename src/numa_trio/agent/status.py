"""The truth about each resource, derived from facts, for readiness, metrics and logs."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

import trio
from attrs import Factory, define, field

from numa_trio.agent.moment import Moment

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

    `endings` counts the streams that have ended. `obstacle` says what keeps the resource from its
    next phase, as last seen; `since` is when it last began to stream or ceased to.
    """

    name: str
    serving: bool = False
    registered: bool = False
    streams: int = 0
    endings: int = 0
    obstacle: str | None = "kubelet.sock has not appeared yet"
    since: Moment = Factory(Moment.now)
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
        with self._change(obstacle):
            self.serving = serving

    def is_registered(self, registered: bool, obstacle: str | None = None) -> None:
        """Kubelet, in this generation, has our registration, or has not, because of `obstacle`."""
        with self._change(obstacle):
            self.registered = registered

    def has_streams(self, streams: int) -> None:
        """Kubelet holds so many ListAndWatch streams open."""
        with self._change():
            if streams < self.streams:
                self.endings += self.streams - streams
            self.streams = streams

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return as soon as `condition`, of the facts, holds."""
        while not condition():
            await self._changed.wait()

    @contextmanager
    def _change(self, obstacle: str | None = None) -> Iterator[None]:
        before = self.phase
        yield
        after = self.phase
        if after is not before:
            if Phase.STREAMING in (before, after):
                self.since = Moment.now()
            if after is Phase.STREAMING:
                obstacle, self.obstacle = None, None
                log.info("%s: kubelet holds its stream", self.name, extra={"phase": after})
            elif before is Phase.STREAMING:
                log.info("%s: its stream ended", self.name, extra={"phase": after})
        if obstacle and obstacle != self.obstacle:
            self.obstacle = obstacle
            log.warning("%s: %s", self.name, obstacle, extra={"phase": after})
        self._changed.set()
        self._changed = trio.Event()
