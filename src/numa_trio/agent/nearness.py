"""Looks for what resources are near: at the start, after events of the kernel, and at intervals.

It is a task of its own. Whatever comes of it, the slots of the nodes are none of its business.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NoReturn, Protocol

import trio
from attrs import define, field

from numa_trio.agent.looking import Found, NoAnswer
from numa_trio.agent.turn import Turn
from numa_trio.agent.uevents import follow_uevents
from numa_trio.kubelet.mounts import follow_mounts
from numa_trio.near.verdicts import NearLook
from numa_trio.plugin.environment import NodeFacts
from numa_trio.repeated_event import RepeatedEvent
from numa_trio.topology.machine import Machine

log = logging.getLogger(__name__)

# Seconds from an event to a look: for what comes with it, and for the links that udev then makes.
_SOON = 0.2
_LATER = 2.0

# Events may come without end. At least so long, and so many times what a look took, lies between.
_PAUSE = 1.0
_SHARE = 100


class Near(Protocol):
    """What is offered: `agent.near.NearResources`."""

    @property
    def look(self) -> NearLook:
        """What was found last."""

    def see(self, look: NearLook) -> bool:
        """Offer what was found now; returns whether that is other than before."""

    @property
    def admitted(self) -> float:
        """Until then, in Trio's seconds, kubelet may still admit running pods again."""

    def kubelet_appeared(self, at: float) -> None:
        """There is a kubelet.sock, made `at` that time, in Trio's seconds."""


@define(eq=False)
class Nearness:
    """Keeps `near` as the host is. `interval` is in seconds.

    `look` looks at the host. `mount_table` is the host's, if it can be seen. `changed` is called
    when something else was found than before; `tell` with what the host's nodes have, if anybody
    is told. `problem` says why the last look failed, if it did.
    """

    near: Near
    look: Callable[[Machine], Awaitable[Found]]
    machine: Callable[[], Machine | None]
    interval: float
    mount_table: Path | None = None
    changed: Callable[[], None] = lambda: None
    tell: Callable[[Mapping[int, NodeFacts]], None] = lambda _facts: None
    problem: str | None = field(default=None, init=False)
    looked: bool = field(default=False, init=False)
    _turn: Turn = field(init=False, factory=Turn)
    _not_before: float = field(init=False, factory=trio.current_time)
    _event: bool = field(init=False, default=False)
    _appeared: RepeatedEvent = field(init=False, factory=RepeatedEvent)

    def kubelet_appeared(self, at: float) -> None:
        """There is a kubelet.sock, made `at` that time, in Trio's seconds."""
        try:
            self.near.kubelet_appeared(at)
        except Exception as defect:  # noqa: BLE001  kubelet must not wait for it
            self._fail(defect)
        self._appeared.happen()

    async def follow(self) -> NoReturn:
        """Look now, every `interval` seconds, and soon after each event, for ever."""
        while True:
            try:
                await self._follow()
            except* Exception as defects:  # noqa: BLE001  it must not take the slots with it
                self._fail(defects.exceptions[0])
            await trio.sleep(self.interval)

    async def _follow(self) -> NoReturn:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow_uevents, self.happened)
            nursery.start_soon(self._follow_kubelet)
            if self.mount_table:
                nursery.start_soon(follow_mounts, self.happened, self.mount_table)
            while True:
                await self._turn.come()
                await self._look_safely()
        raise AssertionError("the loop does not end")

    async def _follow_kubelet(self) -> NoReturn:
        """Have the slots as they were found, once kubelet has admitted the running pods again."""
        while True:
            appeared = self._appeared.next()
            if self.near.admitted > trio.current_time():
                with trio.move_on_at(self.near.admitted):
                    await appeared.wait()
                    continue
                if self.near.see(self.near.look):
                    self.changed()
            await appeared.wait()

    def happened(self) -> None:
        """Something has changed, or may have: look soon."""
        self._event = True
        self._hasten(_SOON)

    def _hasten(self, seconds: float) -> None:
        self._turn.hasten(max(self._not_before, trio.current_time() + seconds))

    async def _look_safely(self) -> None:
        after_event, self._event = self._event, False
        cpu_seconds = 0.0
        try:
            cpu_seconds = await self._look()
            self._recover()
        except NoAnswer as lost:
            if str(lost) != self.problem:
                self.problem = str(lost)
                log.warning("Looking for what is near: %s", lost)
        except Exception as defect:  # noqa: BLE001  nor may it end this task
            self._fail(defect)
        self.looked = True
        now = trio.current_time()
        self._not_before = now + max(_PAUSE, _SHARE * cpu_seconds)
        self._turn.at = max(self._not_before, now + self.interval)
        if self._event or after_event:
            self._hasten(_SOON if self._event else _LATER)

    async def _look(self) -> float:
        """Look and offer what was found; returns the seconds of CPU time that looking took."""
        machine = self.machine()
        if machine is None:
            return 0.0
        found = await self.look(machine)
        if self.near.see(found.look):
            self.changed()
        if found.facts is not None:
            self.tell(found.facts)
        return found.cpu_seconds

    def _fail(self, defect: BaseException) -> None:
        problem = f"a defect of the agent: {defect!r}"
        if problem != self.problem:
            self.problem = problem
            log.error(
                "Looking for what is near failed, which is a defect: trying again", exc_info=defect
            )

    def _recover(self) -> None:
        if self.problem:
            self.problem = None
            log.info("What is near can be looked for again")
