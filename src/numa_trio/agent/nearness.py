"""Looks for what resources are near: at the start, after events of the kernel, and at intervals.

It is a task of its own. Whatever comes of it, the slots of the nodes are none of its business.
"""

import logging
from collections.abc import Callable
from time import thread_time
from typing import NoReturn, Protocol

import trio
from attrs import define, field

from numa_trio.agent.uevents import follow_uevents
from numa_trio.kubelet.mounts import follow_mounts
from numa_trio.locality.host import MOUNT_TABLE, Host
from numa_trio.locality.survey import Survey
from numa_trio.near.source import NearSource
from numa_trio.near.unknown_node import UnknownNode
from numa_trio.near.verdicts import NearLook, judge, settle
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

    def kubelet_appeared(self) -> None:
        """A new kubelet will soon admit the running pods again."""


@define(eq=False)
class Nearness:
    """Keeps `near` as the host is. `interval` is in seconds.

    `changed` is called when something else was found than before; `surveyed` after each look, with
    the survey, in which nothing is read twice. `problem` says why the last look failed, if it did,
    which is a defect.
    """

    near: Near
    source: NearSource
    host: Host
    unknown: UnknownNode
    machine: Callable[[], Machine | None]
    interval: float
    changed: Callable[[], None] = lambda: None
    surveyed: Callable[[Survey], None] = lambda _survey: None
    problem: str | None = field(default=None, init=False)
    _due: float = field(init=False, factory=trio.current_time)
    _not_before: float = field(init=False, factory=trio.current_time)
    _event: bool = field(init=False, default=False)
    _hastened: RepeatedEvent = field(init=False, factory=RepeatedEvent)

    async def first(self) -> None:
        """Look for the first time."""
        await self._look_safely()

    async def follow(self) -> NoReturn:
        """Look every `interval` seconds, and soon after each event, for ever."""
        while True:
            try:
                await self._follow()
            except* Exception as defects:  # noqa: BLE001  it must not take the slots with it
                self._fail(defects.exceptions[0])
            await trio.sleep(self.interval)

    async def _follow(self) -> NoReturn:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow_uevents, self.happened)
            if table := self.host.inside(MOUNT_TABLE):
                nursery.start_soon(follow_mounts, self.happened, table)
            while True:
                await self._until_due()
                await self._look_safely()
        raise AssertionError("the loop does not end")

    def happened(self) -> None:
        """Something has changed, or may have: look soon."""
        self._event = True
        self._hasten(_SOON)

    def _hasten(self, seconds: float) -> None:
        due = max(self._not_before, trio.current_time() + seconds)
        if due < self._due:
            self._due = due
            self._hastened.happen()

    async def _until_due(self) -> None:
        over = False
        while not over:
            hastened = self._hastened.next()
            with trio.move_on_at(self._due) as waiting:
                await hastened.wait()
            over = waiting.cancelled_caught

    async def _look_safely(self) -> None:
        after_event, self._event = self._event, False
        began = thread_time()
        try:
            await self._look()
            self.problem = None
        except Exception as defect:  # noqa: BLE001  nor may it end this task
            self._fail(defect)
        now = trio.current_time()
        self._not_before = now + max(_PAUSE, _SHARE * (thread_time() - began))
        self._due = now + self.interval
        if self._event or after_event:
            self._hasten(_SOON if self._event else _LATER)

    def _fail(self, defect: BaseException) -> None:
        problem = f"a defect of the agent: {defect!r}"
        if problem != self.problem:
            self.problem = problem
            log.error(
                "Looking for what is near failed, which is a defect: trying again", exc_info=defect
            )

    async def _look(self) -> None:
        machine = self.machine()
        if machine is None:
            return
        survey = Survey(self.host, machine)
        names = self.source.names()
        judged = []
        for name in names.names:
            judged.append((name, judge(survey, name, self.unknown)))
            await trio.lowlevel.checkpoint()  # others wait for no more than one name
        if self.near.see(settle(names, judged)):
            self.changed()
        self.surveyed(survey)
