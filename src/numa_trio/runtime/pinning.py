"""What a container that holds devices of NUMA nodes gets, at each event of its life."""

from collections.abc import Callable

from attrs import define, evolve, field, frozen

from numa_trio.runtime.attempts import Attempts
from numa_trio.runtime.holding import NotTrusted, held_nodes
from numa_trio.runtime.messages import (
    NO_ADJUSTMENT,
    Adjustment,
    Container,
    CpuSet,
    Creation,
    MemoryPolicyMode,
    Pod,
    Runtime,
    Update,
)
from numa_trio.runtime.outcome import Outcome
from numa_trio.runtime.placement import Aspects, Place, place
from numa_trio.topology.lists import MalformedText, format_list
from numa_trio.topology.machine import Machine


@frozen
class Decision:
    """What a container gets, why, and what comes of it; it holds devices of these `nodes`."""

    pod: Pod
    container: Container
    nodes: frozenset[int]
    outcome: Outcome
    adjustment: Adjustment = NO_ADJUSTMENT
    why: str = ""

    @property
    def who(self) -> str:
        """The container, as people know it."""
        return f"{self.pod.namespace}/{self.pod.name}, container {self.container.name}"


@define(eq=False)
class Pinning:
    """Decides for containers of one `runtime`, on the machine as it is at that time.

    The `annotation` has the nodes whose devices a container holds.
    """

    annotation: str
    aspects: Aspects
    machine: Callable[[], Machine | None]
    runtime: Runtime = field(init=False, factory=Runtime)
    _attempts: Attempts = field(init=False, factory=Attempts)

    @property
    def prefers(self) -> bool:
        """Whether memory is preferred, which takes a runtime that knows memory policies."""
        return self.aspects.mems and self.aspects.prefer and bool(self.runtime.nri_version)

    def may_concern(self, message: bytes) -> bool:
        """Whether an encoded message can be about a container of ours: nearly none are."""
        return self.annotation.encode() in message

    def create(self, event: Creation) -> Decision | None:
        """For a container that is about to be created; None for one that is not ours."""
        aspects = evolve(self.aspects, prefer=self.prefers)
        decision = self._decide(event.pod, event.container, event.container.cpu_set, aspects)
        if decision and decision.adjustment and self._attempts.withhold(event.pod, event.container):
            return _withheld(decision, "its creation failed before with what we gave it")
        return decision

    def update(self, event: Update) -> Decision | None:
        """For one of which something else is asked now; None if that is not for us."""
        asked = event.asked
        aspects = Aspects(
            self.aspects.cpus and bool(asked.cpus), self.aspects.mems and bool(asked.mems)
        )
        if not (aspects.cpus or aspects.mems) or self._attempts.withheld(
            event.pod, event.container
        ):
            return None
        return self._decide(event.pod, event.container, asked, aspects)

    def repair(self, pod: Pod, container: Container) -> Decision | None:
        """For one that was there before us. Its processes' memory policy is their own by now."""
        aspects = Aspects(self.aspects.cpus, self.aspects.mems and not self.prefers)
        if not (aspects.cpus or aspects.mems):
            return None
        has = container.cpu_set
        decision = self._decide(pod, container, has, aspects)
        if decision and decision.adjustment and self._attempts.withheld(pod, container):
            if has:
                return _withheld(decision, f"it has CPUs {has.cpus or 'of all'} by now")
            self._attempts.forget(pod, container)
        return decision

    def _decide(
        self, pod: Pod, container: Container, asked: CpuSet, aspects: Aspects
    ) -> Decision | None:
        try:
            nodes = held_nodes(self.annotation, pod, container, self.runtime)
        except (NotTrusted, MalformedText) as problem:
            return Decision(pod, container, frozenset(), Outcome.NOT_TRUSTED, why=str(problem))
        if not nodes:
            return None
        machine = self.machine()
        placement = place(Place.of(machine, nodes) if machine else Place(), asked, aspects)
        return Decision(
            pod,
            container,
            nodes,
            placement.outcome,
            Adjustment(placement.cpu_set, _policy(placement.preferred)),
            placement.why,
        )


def _policy(nodes: tuple[int, ...]) -> tuple[MemoryPolicyMode, str] | None:
    if not nodes:
        return None
    mode = MemoryPolicyMode.PREFERRED if len(nodes) == 1 else MemoryPolicyMode.PREFERRED_MANY
    return mode, format_list(nodes)


def _withheld(decision: Decision, why: str) -> Decision:
    return evolve(
        decision,
        outcome=Outcome.WITHHELD,
        adjustment=NO_ADJUSTMENT,
        why=f"{why}: another plugin of the runtime may set the same",
    )
