"""Counted resources: what kubelet could still give away of each node, as kubelet itself says.

A task of its own asks kubelet's pod-resources API, again and again. Whatever comes of that, what
was known last holds, and the slots of the nodes are none of its business.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from pathlib import Path
from typing import NoReturn, Protocol

import trio
from attrs import define, field, frozen

from numa_trio.agent.backoff import Backoff
from numa_trio.agent.moment import Moment
from numa_trio.agent.turn import Turn
from numa_trio.kubelet.errors import PodResourcesUnavailable
from numa_trio.kubelet.socket_file import SocketIdentity
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings

log = logging.getLogger(__name__)

# Kubelet lists a container, and all that it has, once its pod is admitted: soon after Allocate.
_LISTED_AFTER = 1.0

# So long after its start, and after its kubelet.sock, in seconds, kubelet may not know yet which
# pods there are, nor what its CPU Manager can give away. Seen: running pods were admitted again
# 2.4 s after kubelet.sock.
_STARTING = 10.0


class PodResources(Protocol):
    """Kubelet's pod-resources API: `kubelet.rpc.pod_resources_client.PodResourcesClient`.

    Both calls raise `PodResourcesUnavailable`, and take a bounded time.
    """

    async def allocatable(self) -> Allocatable:
        """What kubelet can give to containers for themselves."""

    async def list_holdings(self) -> Sequence[ContainerHoldings]:
        """What containers have."""


class ConnectPodResources(Protocol):
    """How to reach it: `kubelet.rpc.pod_resources_client.connect_pod_resources`."""

    def __call__(self, socket: Path, /) -> AbstractAsyncContextManager[PodResources]:
        """A connection for as long as the context lasts."""


class Counted(Protocol):
    """What is counted: `agent.counted.CountedResources`."""

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why a resource is not advertised, by its local name."""

    def refresh(self) -> None:
        """Offer, by kubelet's last answer, what it could give away on the nodes as they are now."""

    def given(self, device_ids: Sequence[Sequence[str]]) -> None:
        """Containers may have these devices from now on."""

    def apply(
        self,
        allocatable: Allocatable,
        holdings: Sequence[ContainerHoldings],
        *,
        complete: bool = True,
    ) -> None:
        """Offer what kubelet could still give away. A `complete` answer has all containers."""


class Look(StrEnum):
    """What came of a question to kubelet."""

    ANSWERED = "answered"
    INCOMPLETE = "incomplete"  # kubelet has just started: what was known before holds
    FAILED = "failed"


@frozen
class Answer:
    """What kubelet said last, and whether it had all containers already."""

    allocatable: Allocatable
    holdings: Sequence[ContainerHoldings]
    complete: bool = True


@define(eq=False)
class Counting:
    """Keeps the `counted` resources as kubelet says they are.

    `interval` is in seconds. `problem` says why the last question failed, if it did; `answered` is
    when the last good `answer` came; `looks` counts what came of all questions.
    """

    counted: Counted
    socket: Path
    connect: ConnectPodResources
    interval: float
    problem: str | None = field(default=None, init=False)
    answered: Moment | None = field(default=None, init=False)
    answer: Answer | None = field(default=None, init=False)
    looks: dict[Look, int] = field(init=False, factory=lambda: dict.fromkeys(Look, 0))
    _allocatable: Allocatable | None = field(default=None, init=False)
    _life: SocketIdentity | None = field(default=None, init=False)
    _met: tuple[SocketIdentity, float] | None = field(default=None, init=False)
    _appeared: float | None = field(default=None, init=False)
    _turn: Turn = field(init=False, factory=Turn)
    _backoff: Backoff = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._backoff = Backoff(first=0.1, longest=self.interval)

    @property
    def looked(self) -> bool:
        """Whether a first question has been answered, or could not be."""
        return any(self.looks.values())

    def look_within(self, seconds: float) -> None:
        """Ask kubelet before that time is over, rather than at the next turn."""
        self._turn.hasten(trio.current_time() + seconds)

    def allocated(self, device_ids: Sequence[Sequence[str]]) -> None:
        """Kubelet was told that containers may have these devices, of whichever resource."""
        self.counted.given(device_ids)
        self.look_within(_LISTED_AFTER)

    def slots_changed(self) -> None:
        """Other slots are offered than before, or on other nodes."""
        self.counted.refresh()

    def kubelet_appeared(self, at: float) -> None:
        """There is a kubelet.sock, made `at` that time, in Trio's seconds; it may be an old one."""
        self._appeared = at
        self._backoff.reset()
        self.look_within(0.0)

    async def follow(self) -> NoReturn:
        """Ask every `interval` seconds, or sooner where there is a reason, for ever."""
        while True:
            try:
                await self._follow()
            except* Exception as defects:  # it must not take the slots with it
                log.exception("Counting failed, which is a defect: trying again")
                self.problem = f"a defect of the agent: {defects.exceptions[0]!r}"
                self.looks[Look.FAILED] += 1
            await trio.sleep(self._backoff.next_delay())

    async def _follow(self) -> NoReturn:
        while True:
            connected = self._identity()
            async with self.connect(self.socket) as kubelet:
                outcome = Look.ANSWERED
                while outcome is not Look.FAILED and connected == self._identity():
                    outcome = await self._look(kubelet)
                    self._note(outcome)
                    await self._turn.come()

    def _identity(self) -> SocketIdentity | None:
        """The socket that is there; None if there is none, or nobody can tell."""
        try:
            return SocketIdentity.at(self.socket)
        except OSError:
            return None

    def _note(self, outcome: Look) -> None:
        self.looks[outcome] += 1
        if outcome is Look.ANSWERED:
            self._backoff.reset()
            self._turn.at = trio.current_time() + self.interval
        else:
            self.counted.refresh()
            self._turn.at = trio.current_time() + self._backoff.next_delay()

    async def _look(self, kubelet: PodResources) -> Look:
        life = self._identity()
        try:
            starting = life is not None and life != self._life and self._is_starting(life)
            if starting and self._allocatable is not None:
                return Look.INCOMPLETE
            allocatable = self._allocatable
            if allocatable is None or life != self._life:
                allocatable = await kubelet.allocatable()
            holdings = await kubelet.list_holdings()
        except PodResourcesUnavailable as failure:
            self._tell(str(failure))
            return Look.FAILED
        self._tell(None)
        if not allocatable.cpus and (starting or self._is_before_managers(life)):
            return Look.INCOMPLETE
        self._allocatable = allocatable
        if not starting:
            self._life = life
        self.counted.apply(allocatable, holdings, complete=not starting)
        self.answer = Answer(allocatable, holdings, complete=not starting)
        self.answered = Moment.now()
        return Look.ANSWERED

    def _is_starting(self, life: SocketIdentity) -> bool:
        """Whether kubelet has just begun that life, or has just begun to listen to plugins."""
        appeared = -math.inf if self._appeared is None else self._appeared
        return min(self._age(life), trio.current_time() - appeared) < _STARTING

    def _is_before_managers(self, life: SocketIdentity | None) -> bool:
        """Whether kubelet has not made its kubelet.sock in that life.

        It does so after its managers have started, for which it waits until its container runtime
        is ready, however long that takes. Until then it has no CPUs to give away. The socket of
        pod-resources is there all the time.
        """
        if life is None or self._appeared is None:
            return False
        return trio.current_time() - self._appeared > self._age(life) + _STARTING

    def _age(self, life: SocketIdentity) -> float:
        """How old kubelet's socket is, in seconds, also if the wall clock was set back since."""
        now = trio.current_time()
        if self._met is None or self._met[0] != life:
            self._met = life, now
        return max(life.age(), now - self._met[1])

    def _tell(self, problem: str | None) -> None:
        if problem != self.problem:
            self.problem = problem
            if problem:
                log.warning("Cannot ask kubelet what it has given away: %s", problem)
            else:
                log.info("Kubelet's pod-resources API answers on %s", self.socket)
