"""What a container that holds devices of NUMA nodes gets, at each event of its life."""

from collections.abc import Callable, Collection

from attrs import define, evolve, field, frozen

from numa_trio.plugin.annotations import Annotations
from numa_trio.runtime.attempts import Attempts
from numa_trio.runtime.holding import NotTrusted, held_nodes, holds_device
from numa_trio.runtime.messages import (
    NO_ADJUSTMENT,
    Adjustment,
    Container,
    CpuSet,
    Creation,
    MemoryPolicyMode,
    Mount,
    Pod,
    Runtime,
    Update,
)
from numa_trio.runtime.outcome import Outcome
from numa_trio.runtime.placement import Aspects, Place, place
from numa_trio.runtime.volume import chosen_mount
from numa_trio.topology.lists import MalformedText, format_list
from numa_trio.topology.machine import Machine

_TOLD = "NUMA_NODE"


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


@frozen
class Located:
    """The nodes that a volume is near; if there are none, why."""

    nodes: frozenset[int] = frozenset()
    why: str = ""


@define(eq=False)
class Pinning:
    """Decides for containers of one `runtime`, on the machine as it is at that time.

    Where `located` is given, it is for a container that is to be near a volume.
    """

    annotations: Annotations
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
        keys = self.annotations
        return keys.node.encode() in message or keys.near_volume.encode() in message

    def volume(self, pod: Pod, container: Container) -> Mount | None:
        """The volume that a container is to be near; None if it is not to be near one.

        Raises `NoSuchVolume`.
        """
        keys = self.annotations
        try:
            if holds_device(keys.node, pod, container, self.runtime) or not holds_device(
                keys.near_volume, pod, container, self.runtime
            ):
                return None
        except NotTrusted:
            return None
        return chosen_mount(container.mounts, pod.annotations.get(keys.near, ""), keys.near)

    def create(self, event: Creation, located: Located | None = None) -> Decision | None:
        """For a container that is about to be created; None for one that is not ours."""
        pod, container = event.pod, event.container
        preferred = self.prefers and self.annotations.preferred in container.annotations
        aspects = evolve(self.aspects, prefer=self.prefers, preferred=preferred)
        decision = self._decide(pod, container, container.cpu_set, aspects, located)
        if decision:
            adjustment = self._told(decision.adjustment, container, located)
            decision = evolve(decision, adjustment=adjustment)
        if decision and decision.adjustment and self._attempts.withhold(pod, container):
            return _withheld(decision, "its creation failed before with what we gave it")
        return decision

    def _told(
        self, adjustment: Adjustment, container: Container, located: Located | None
    ) -> Adjustment:
        """What the container is told besides, and the next plugin: another agent, in an update."""
        if located and located.nodes:
            nodes = format_list(located.nodes)
            if container.environment.get(_TOLD) != nodes:
                adjustment = evolve(adjustment, environment={_TOLD: nodes})
        if adjustment.memory_policy:
            _mode, nodes = adjustment.memory_policy
            adjustment = evolve(adjustment, annotations={self.annotations.preferred: nodes})
        return adjustment

    def update(self, event: Update, located: Located | None = None) -> Decision | None:
        """For one of which something else is asked now; None if that is not for us."""
        pod, container, asked = event.pod, event.container, event.asked
        if not self.concerns(asked):
            return None
        if self._attempts.withheld(pod, container):
            self._attempts.asked(pod, container, asked)
            return None
        aspects = Aspects(
            self.aspects.cpus and bool(asked.cpus), self.aspects.mems and bool(asked.mems)
        )
        return self._decide(pod, container, asked, aspects, located)

    def concerns(self, asked: CpuSet) -> bool:
        """Whether anything is asked for that is ours to set."""
        return bool((self.aspects.cpus and asked.cpus) or (self.aspects.mems and asked.mems))

    def repair(
        self, pod: Pod, container: Container, located: Located | None = None
    ) -> Decision | None:
        """For one that was there before us. Its processes' memory policy is their own by now."""
        aspects = Aspects(self.aspects.cpus, self.aspects.mems and not self.prefers)
        if not (aspects.cpus or aspects.mems):
            return None
        has = container.cpu_set
        decision = self._decide(pod, container, has, aspects, located)
        if decision and decision.adjustment and self._attempts.withheld(pod, container):
            if not self._attempts.is_free(pod, container, decision.adjustment.cpu_set):
                self._attempts.leave_to_others(pod, container)
                return _withheld(decision, f"it has CPUs {has.cpus or 'of all'} by now")
            self._attempts.forget(pod, container)
        return decision

    def _decide(
        self,
        pod: Pod,
        container: Container,
        asked: CpuSet,
        aspects: Aspects,
        located: Located | None,
    ) -> Decision | None:
        def decided(nodes: Collection[int], outcome: Outcome, why: str) -> Decision:
            return Decision(pod, container, frozenset(nodes), outcome, why=why)

        keys = self.annotations
        try:
            nodes = held_nodes(keys.node, pod, container, self.runtime)
            near = holds_device(keys.near_volume, pod, container, self.runtime)
        except (NotTrusted, MalformedText) as problem:
            return decided((), Outcome.NOT_TRUSTED, str(problem))
        if not nodes and not near:
            return None
        if not nodes and located:
            nodes = located.nodes
        if not nodes:
            return decided((), Outcome.NOT_FOUND, located.why if located else "")
        machine = self.machine()
        placement = place(Place.of(machine, nodes) if machine else Place(), asked, aspects)
        decision = decided(nodes, placement.outcome, placement.why)
        adjustment = Adjustment(placement.cpu_set, _policy(placement.preferred))
        return evolve(decision, adjustment=adjustment)


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
