"""What has happened since the agent started, for the metrics."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

import trio
from attrs import Factory, define, field

from numa_trio.agent.histogram import Histogram
from numa_trio.agent.moment import Moment
from numa_trio.kubelet.drop import Drop

E = TypeVar("E", bound=StrEnum)

# From what kubelet needs when nothing is in the way to what an operator would call an outage.
STREAMING_DELAY_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Outcome(StrEnum):
    """What became of a registration."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # kubelet answered with an error
    UNAVAILABLE = "unavailable"  # kubelet could not be reached, or gave no proper answer


class Ending(StrEnum):
    """Why a registration that kubelet had accepted ended, so that another was needed."""

    NEW_GENERATION = "new_generation"  # kubelet.sock was removed or replaced: kubelet restarted
    STREAM_LOST = "stream_lost"  # the ListAndWatch stream ended while kubelet.sock stayed
    NO_STREAM = "no_stream"  # kubelet accepted, but opened no ListAndWatch stream
    SOCKET_DISPLACED = "socket_displaced"  # our own socket was removed or replaced
    SIBLING_ENDED = "sibling_ended"  # another instance, to which kubelet may have listened, ended
    SCOPE_FAILED = "scope_failed"  # a defect of ours


def _zeros(of: type[E]) -> dict[E, int]:
    return dict.fromkeys(of, 0)


@define(eq=False)
class ResourceCounts:
    """What has happened to one resource; of its registrations, its status tells."""

    allocations: int = 0
    registrations: dict[Outcome, int] = Factory(lambda: _zeros(Outcome))
    reregistrations: dict[Ending, int] = Factory(lambda: _zeros(Ending))
    dropped: dict[Drop, int] = Factory(lambda: _zeros(Drop))
    streaming_delays: Histogram = Factory(lambda: Histogram(STREAMING_DELAY_BOUNDS))
    _stream_due_since: float | None = field(init=False, factory=trio.current_time)
    _last_ending: Ending | None = field(init=False, default=None)  # None before the first one

    def allocated(self, device_ids: Sequence[Sequence[str]]) -> None:
        """Kubelet gave devices to containers: the ids for each of them."""
        self.allocations += len(device_ids)

    def connection_dropped(self, reason: Drop) -> None:
        """A connection to the resource's socket was refused or cut off."""
        self.dropped[reason] += 1

    def generation_appeared(self, at: float) -> None:
        """A new kubelet.sock appeared `at` that time, in Trio's seconds."""
        self._stream_due_since = at
        if self.registrations[Outcome.ACCEPTED]:
            self._last_ending = Ending.NEW_GENERATION

    def registration_tried(self, outcome: Outcome) -> None:
        """Kubelet was asked to register the resource."""
        self.registrations[outcome] += 1
        if outcome is Outcome.ACCEPTED and self._last_ending:
            self.reregistrations[self._last_ending] += 1

    def registration_ended(self, ending: Ending) -> None:
        """What kubelet had accepted no longer holds."""
        if self.registrations[Outcome.ACCEPTED]:
            self._last_ending = ending

    def streaming_began(self) -> None:
        """Kubelet holds the stream; the first time after its socket appeared is observed."""
        if self._stream_due_since is not None:
            self.streaming_delays.observe(max(0.0, trio.current_time() - self._stream_due_since))
            self._stream_due_since = None


@define(eq=False)
class AgentCounts:
    """What has happened to the agent as a whole since it `started`."""

    started: Moment = Factory(Moment.now)
    kubelet_generations: int = 0
    scope_failures: int = 0
