"""What was there before us is pinned, once the runtime has told of it all."""

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio
from attrs import define, evolve, field

from numa_trio.runtime.messages import (
    NO_CPU_SET,
    Container,
    CpuSet,
    Pod,
    Snapshot,
    decode_container,
    decode_failed,
    decode_pod,
    encode_update,
)
from numa_trio.runtime.outcome import Outcome
from numa_trio.runtime.pinning import Decision
from numa_trio.runtime.ttrpc import Answer

log = logging.getLogger(__name__)

# So many pods or containers are looked through at once.
_LOOKED_THROUGH_AT_ONCE = 50


class Handler(Protocol):
    """Who decides what containers get that are there already.

    None is for a container that is to be left alone.
    """

    def may_concern(self, message: bytes) -> bool:
        """Whether an encoded message can be about a container for which something is decided."""

    def may_wait(self, container: Container) -> bool:
        """Whether `repair` of this one may take seconds."""

    async def repair(self, pod: Pod, container: Container) -> Decision | None:
        """A container is there already."""

    def done(self, decision: Decision) -> None:
        """That is what the container gets, or does not get."""


@define(eq=False)
class Repairs:
    """Of the containers that the runtime had at the beginning; `call` calls the runtime."""

    handler: Handler
    call: Callable[[str, bytes], Awaitable[Answer]]
    _pods: list[bytes] = field(init=False, factory=list)
    _containers: list[bytes] = field(init=False, factory=list)
    _given_since: dict[str, CpuSet] = field(init=False, factory=dict)  # by container
    _over: bool = field(init=False, default=False)

    @property
    def may_be_due(self) -> bool:
        """Whether any of the containers may be ours."""
        return bool(self._containers)

    def add(self, part: Snapshot) -> None:
        """These are there, too."""
        self._pods += part.pods
        self._containers += filter(self.handler.may_concern, part.containers)

    def given(self, container_id: str, cpu_set: CpuSet) -> None:
        """That is what a container gets now, whatever was to be repaired."""
        if not self._over:
            before = self._given_since.get(container_id, NO_CPU_SET)
            self._given_since[container_id] = CpuSet(
                cpu_set.cpus or before.cpus, cpu_set.mems or before.mems
            )

    async def make(self) -> None:
        """Have the containers pinned that should be and are not, one at a time.

        Memory moves with them, and as long as it does the runtime creates no container. Those for
        which something has to be looked up come last: a disk may hang.
        """
        pods = {}
        for number, pod in enumerate(map(decode_pod, self._pods), 1):
            pods[pod.id] = pod
            await _breathe(number)
        later: list[bytes] = []
        await self._look_through(self._containers, pods, later)
        await self._look_through(later, pods)

    def forget(self) -> None:
        """What the runtime told is megabytes, and no longer true."""
        self._pods.clear()
        self._containers.clear()
        self._given_since.clear()
        self._over = True

    async def _look_through(
        self, encoded: list[bytes], pods: dict[str, Pod], later: list[bytes] | None = None
    ) -> None:
        """Repair them; put off what may wait until `later`, if there is one."""
        due = []
        for number, each in enumerate(encoded, 1):
            container = decode_container(each)
            pod = pods.get(container.pod_id)  # without it nobody can tell what its own word is
            if later is not None and self.handler.may_wait(container):
                later.append(each)
            elif pod and (decision := await self._decide(pod, container)):
                due.append(decision)
            await _breathe(number)
        for number, decision in enumerate(due, 1):
            log.info("Moving %s to its NUMA node (%d of %d)", decision.who, number, len(due))
            await self._repair(decision)

    async def _decide(self, pod: Pod, container: Container) -> Decision | None:
        """What is to be done; None for nothing."""
        try:
            decision = await self.handler.repair(pod, container)
        except Exception:  # the others must not stay as they are
            who = f"{pod.namespace}/{pod.name}, container {container.name}"
            log.exception("A look at %s failed, which is a defect: it stays as it is", who)
            return None
        if decision and not decision.adjustment:
            self.handler.done(decision)
            return None
        return decision

    async def _repair(self, decision: Decision) -> None:
        """What has been given since then goes before what was to be repaired."""
        container_id, cpu_set = decision.container.id, decision.adjustment.cpu_set
        given = self._given_since.get(container_id, NO_CPU_SET)
        cpu_set = CpuSet("" if given.cpus else cpu_set.cpus, "" if given.mems else cpu_set.mems)
        if not cpu_set:
            return
        problem = await self._change(container_id, cpu_set)
        while (now := self._given_since.get(container_id, NO_CPU_SET)) != given:
            # That was before us in the runtime's queue: it holds, and may be less.
            given = now
            again = CpuSet(now.cpus if cpu_set.cpus else "", now.mems if cpu_set.mems else "")
            if again:
                problem = await self._change(container_id, again)
        if problem:
            decision = evolve(decision, outcome=Outcome.FAILED, why=problem)
        self.handler.done(decision)

    async def _change(self, container_id: str, cpu_set: CpuSet) -> str | None:
        """Have a container changed; return why it could not be, if so."""
        answer = await self.call("UpdateContainers", encode_update(container_id, cpu_set))
        if answer.problem or decode_failed(answer.payload):
            return answer.problem or "the runtime does not say why; the container may have ended"
        return None


async def _breathe(number: int) -> None:
    """Let others run now and then, in a long loop."""
    if number % _LOOKED_THROUGH_AT_ONCE == 0:
        await trio.lowlevel.checkpoint()
