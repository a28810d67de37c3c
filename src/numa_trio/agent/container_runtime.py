"""Keeps the connection to the container runtime, and counts what containers got over it.

It is a task of its own. Whatever comes of it, the slots of the nodes are none of its business.
"""

import logging
import os
import re
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn, Self

import trio
from attrs import define, field

from numa_trio.agent.backoff import Backoff
from numa_trio.agent.moment import Moment
from numa_trio.exception_groups import flattened
from numa_trio.plugin.annotations import Annotations
from numa_trio.runtime.messages import Container, CpuSet, Creation, Pod, Runtime, Update
from numa_trio.runtime.outcome import Outcome
from numa_trio.runtime.pinning import Decision, Located, Pinning
from numa_trio.runtime.placement import Aspects
from numa_trio.runtime.session import RuntimeLost, Session
from numa_trio.runtime.volume import NoSuchVolume, is_mount_point
from numa_trio.setting_values import MemoryPolicy, PinnedPart
from numa_trio.settings import Settings
from numa_trio.topology.lists import format_list, format_nodes
from numa_trio.topology.machine import Machine

log = logging.getLogger(__name__)

Locate = Callable[[str, bool], Awaitable[Located]]
"""Finds the NUMA nodes that a path of the host is near, which may have to be a mount point."""

# Seconds from a container that was left alone to a look at all of them: was it made meanwhile?
_LOOK_AGAIN = 5.0

# The runtime is there if it lets itself be connected to within so many seconds.
_CONNECTS_WITHIN = 5.0

# Seconds in which a volume must be found: the runtime creates no other container meanwhile; and
# while nothing waits.
_ANSWERS_WITHIN = 0.05
_REPAIRS_WITHIN = 10.0
_LATE = Located(why="where its volume is could not be found out in time")

# Since this version Linux has MPOL_PREFERRED_MANY (set_mempolicy(2)).
_PREFERS_SEVERAL = (5, 15)

_MOST_WARNED_OF = 1024  # containers

_UNPINNED = frozenset(Outcome) - {Outcome.PINNED, Outcome.UNCHANGED}


@define(eq=False)
class ContainerRuntime:
    """The runtime behind `socket`: it is asked to run containers where `pinning` says.

    `connected` is since when it tells of each container, None if it does not; `runtime` is what it
    said of itself last; `problem` says why the last connection ended or failed, if it did. `counts`
    has how many containers came to what, by the list of their nodes and the outcome.
    """

    socket: Path
    pinning: Pinning
    locate: Locate | None = None
    connected: Moment | None = field(default=None, init=False)
    runtime: Runtime | None = field(default=None, init=False)
    problem: str | None = field(default=None, init=False)
    connections: int = field(default=0, init=False)
    counts: Counter[tuple[str, Outcome]] = field(init=False, factory=Counter)
    _backoff: Backoff = field(init=False, factory=lambda: Backoff(first=0.2, longest=5.0))
    _look_again: trio.Event = field(init=False, factory=trio.Event)
    _warned: OrderedDict[tuple[str, Outcome, str], None] = field(init=False, factory=OrderedDict)

    @classmethod
    def of(
        cls, settings: Settings, machine: Callable[[], Machine | None], locate: Locate | None
    ) -> Self:
        """As the settings say; with `locate`, containers can be near volumes."""
        aspects = Aspects(
            cpus=PinnedPart.CPUS in settings.nri,
            mems=PinnedPart.MEMS in settings.nri,
            prefer=settings.memory_policy is MemoryPolicy.PREFER,
            prefer_several=_kernel() >= _PREFERS_SEVERAL,
        )
        pinning = Pinning(Annotations(settings.resource_domain), aspects, machine)
        return cls(settings.nri_socket, pinning, locate)

    async def follow(self) -> NoReturn:
        """Connect, and connect anew whenever that ends, for ever."""
        while True:
            self._look_again = trio.Event()
            try:
                await self._connect()
            except* (OSError, RuntimeLost, trio.TooSlowError) as losses:
                self._lose(str(flattened(losses)[0]) or "it does not answer")
            except* Exception as defects:  # it must not take the slots with it
                log.exception("The connection to the runtime failed, which is a defect")
                self._lose(f"a defect of the agent: {flattened(defects)[0]!r}")
            else:
                self._lose(None)
                continue
            await trio.sleep(self._backoff.next_delay())

    async def _connect(self) -> None:
        """Run a session; return when there is a reason to begin another."""
        with trio.fail_after(_CONNECTS_WITHIN):
            stream = await trio.open_unix_socket(self.socket)
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(Session(stream, self).run)
            await self._look_again.wait()
            await trio.sleep(_LOOK_AGAIN)
            nursery.cancel_scope.cancel()

    def _lose(self, problem: str | None) -> None:
        connected, self.connected = self.connected, None
        lasted = Moment.now().seconds_since(connected) if connected else 0.0
        if lasted > self._backoff.longest:
            self._backoff.reset()
        if problem is None:
            log.debug("Connecting to the runtime again, to hear of all of its containers")
        elif connected or problem != self.problem:
            log.warning(
                "Containers are not pinned for now: container runtime at %s: %s",
                self.socket,
                problem,
            )
        self.problem = problem

    def configured(self, runtime: Runtime) -> None:
        """It is this runtime."""
        self.pinning.runtime = runtime
        aspects = self.pinning.aspects
        if aspects.prefer and not self.pinning.prefers and runtime != self.runtime:
            log.warning(
                "%s knows no memory policies, which came with NRI 0.12: containers' memory is bound"
                " to their NUMA nodes instead of being preferred there (NUMA_MEMORY_POLICY)",
                runtime,
            )
        self.runtime = runtime

    def synchronized(self) -> None:
        """From now on the runtime tells of each container."""
        self.connected = Moment.now()
        self.connections += 1
        self.problem = None
        log.info("Containers are pinned by %s, over %s", self.runtime, self.socket)

    def may_concern(self, message: bytes) -> bool:
        """Whether an encoded message can be about a container that holds devices."""
        return self.pinning.may_concern(message)

    async def create(self, event: Creation) -> Decision | None:
        """A container is about to be created."""
        located = await self._located(event.pod, event.container, _ANSWERS_WITHIN)
        decision = self.pinning.create(event, located)
        if decision and (located is _LATE or decision.outcome is Outcome.WITHHELD):
            self._look_again.set()
        return decision

    async def update(self, event: Update) -> Decision | None:
        """A container is about to get what was asked for."""
        if not self.pinning.concerns(event.asked):
            return None
        located = await self._located(event.pod, event.container, _ANSWERS_WITHIN)
        return self.pinning.update(event, located)

    def may_wait(self, container: Container) -> bool:
        """Whether a volume has to be found first, whose disk may hang."""
        return self.pinning.annotations.near_volume in container.annotations

    async def repair(self, pod: Pod, container: Container) -> Decision | None:
        """A container is there already."""
        located = await self._located(pod, container, _REPAIRS_WITHIN)
        return self.pinning.repair(pod, container, located)

    async def _located(self, pod: Pod, container: Container, seconds: float) -> Located | None:
        """Where its volume is, for a container that is to be near one; found within that time."""
        try:
            mount = self.pinning.volume(pod, container)
        except NoSuchVolume as problem:
            return Located(why=str(problem))
        if mount is None:
            return None
        if self.locate is None:
            return Located(why="the host cannot be seen from here: set NUMA_HOST_ROOT")
        with trio.move_on_after(seconds):
            return await self.locate(mount.source, is_mount_point(mount))
        return _LATE

    def done(self, decision: Decision) -> None:
        """That is what the container gets, or does not get."""
        self.counts[format_list(decision.nodes), decision.outcome] += 1
        if decision.outcome is Outcome.PINNED:
            log.info("Pinned%s: %s: %s", _nodes(decision), decision.who, _described(decision))
        elif decision.outcome in _UNPINNED and self._is_news(decision):
            log.warning("Not pinned%s: %s: %s", _nodes(decision), decision.who, decision.why)

    def _is_news(self, decision: Decision) -> bool:
        key = decision.who, decision.outcome, decision.why
        known = key in self._warned
        self._warned[key] = None
        self._warned.move_to_end(key)
        if len(self._warned) > _MOST_WARNED_OF:
            self._warned.popitem(last=False)
        return not known


def _kernel() -> tuple[int, ...]:
    """The kernel's version, as in (5, 15)."""
    return tuple(int(part) for part in re.findall(r"[0-9]+", os.uname().release)[:2])


def _nodes(decision: Decision) -> str:
    nodes = format_nodes(sorted(decision.nodes))
    return f" to NUMA {nodes}" if nodes else ""


def _described(decision: Decision) -> str:
    cpu_set: CpuSet = decision.adjustment.cpu_set
    parts = [f"CPUs {cpu_set.cpus}"] if cpu_set.cpus else []
    parts += [f"memory of node {cpu_set.mems}"] if cpu_set.mems else []
    if policy := decision.adjustment.memory_policy:
        parts.append(f"memory of node {policy[1]} first")
    return ", ".join(parts)
