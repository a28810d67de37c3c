"""A look at the host, which is taken in a thread.

A disk or a driver that does not answer keeps whoever asks it waiting, without end. That must not
be the agent, which has kubelet to answer.
"""

from collections.abc import Callable, Mapping
from time import thread_time
from typing import TypeVar

import trio
from attrs import define, field, frozen

from numa_trio.agent.host_facts import facts_of
from numa_trio.locality.host import Host
from numa_trio.locality.survey import Survey
from numa_trio.near.source import NearSource
from numa_trio.near.unknown_node import UnknownNode
from numa_trio.near.verdicts import NearLook, look
from numa_trio.plugin.environment import NodeFacts
from numa_trio.topology.machine import Machine

T = TypeVar("T")

# Seconds after which a look is taken for lost: the largest take one or two.
_PATIENCE = 60.0


class NoAnswer(Exception):
    """A look has not ended; the message says what that may be due to."""


@frozen
class Found:
    """What a look found: the verdicts, and where containers are told, what each node has.

    It took `cpu_seconds`.
    """

    look: NearLook
    facts: Mapping[int, NodeFacts] | None = None
    cpu_seconds: float = 0.0


@define(eq=False)
class Looker:
    """Looks for what the names of a source stand for on a host.

    `tells` is whether containers are told what the host's nodes have.
    """

    source: NearSource
    host: Host
    unknown: UnknownNode
    tells: bool
    _thread: "OneThread" = field(init=False, factory=lambda: OneThread())

    async def __call__(self, machine: Machine) -> Found:
        """Look now, on a machine with these nodes. Raises `NoAnswer`."""
        return await self._thread.run(lambda: self.look(machine))

    def look(self, machine: Machine) -> Found:
        """The same, however long it takes."""
        began = thread_time()
        survey = Survey(self.host, machine)
        found = look(survey, self.source.names(), self.unknown)
        facts = facts_of(survey) if self.tells else None
        return Found(found, facts, thread_time() - began)


@define(eq=False)
class OneThread:
    """Runs jobs in a thread, one at a time. Each has `patience` seconds."""

    patience: float = _PATIENCE
    _turn: trio.CapacityLimiter = field(init=False, factory=lambda: trio.CapacityLimiter(1))

    async def run(self, job: Callable[[], T]) -> T:
        """What the job returns, or raises. Raises `NoAnswer` if it, or the one before, hangs."""
        with trio.move_on_after(self.patience):
            return await trio.to_thread.run_sync(job, abandon_on_cancel=True, limiter=self._turn)
        raise NoAnswer(
            f"the host has not answered for {self.patience:g} s: a disk or a driver may hang;"
            " what was known holds"
        )
