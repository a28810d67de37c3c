"""The agent at one moment, as readiness, metrics and the page show it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import trio
from attrs import frozen

from numa_trio.agent.advertised import AdvertisedResource
from numa_trio.agent.counting import Answer, Counting, Look
from numa_trio.agent.counts import AgentCounts
from numa_trio.agent.discovery import Discovery
from numa_trio.agent.moment import Moment
from numa_trio.agent.monitor.http_counts import HttpCounts
from numa_trio.agent.status import Phase
from numa_trio.kubelet.socket import KubeletSocket
from numa_trio.kubelet.watch import DirectoryWatch
from numa_trio.plugin.advertising import Advertisement, advertise
from numa_trio.runtime.outcome import Outcome
from numa_trio.topology.machine import Remark

if TYPE_CHECKING:
    from numa_trio.agent.container_runtime import ContainerRuntime
    from numa_trio.agent.nearness import Nearness


@frozen
class CountingSeen:
    """What there is to show of counting.

    `answered` is when kubelet last answered well, `answer` what it said; `problem` why it did not
    the last time, if so; `looks` what came of all questions; `reasons`, by local name, why
    something is not counted.
    """

    socket: Path
    looked: bool
    answered: Moment | None
    problem: str | None
    looks: Mapping[Look, int]
    reasons: Mapping[str, str]
    answer: Answer | None = None

    @classmethod
    def of(cls, counting: Counting) -> Self:
        """As it is now."""
        return cls(
            counting.socket,
            counting.looked,
            counting.answered,
            counting.problem,
            dict(counting.looks),
            dict(counting.counted.reasons),
            counting.answer,
        )


@frozen
class NearSeen:
    """What there is to show of a name, or of one of those of a glob.

    `found` has the way from its target to the nodes; `reason` says why it is not offered, if so.
    """

    name: str
    found: str
    reason: str | None


@frozen
class NearnessSeen:
    """What there is to show of what resources are near; `problems` say what is wrong with it.

    `looked` is False before the first look, be it good or bad.
    """

    names: Sequence[NearSeen]
    problems: Sequence[str]
    looked: bool = True

    @classmethod
    def of(cls, nearness: "Nearness") -> Self:
        """As it is now."""
        look = nearness.near.look
        own = [nearness.problem] if nearness.problem else []
        return cls(
            [NearSeen(each.name, str(each), each.reason) for each in look.verdicts],
            [*own, *look.problems],
            nearness.looked,
        )


@frozen
class RuntimeSeen:
    """What there is to show of the container runtime.

    `connected` is since when it tells of each container, None if it does not; `problem` why not;
    `name` what it calls itself; `counts` how many containers came to what, by nodes and outcome.
    """

    socket: Path
    connected: Moment | None
    name: str
    problem: str | None
    connections: int
    counts: Mapping[tuple[str, Outcome], int]

    @classmethod
    def of(cls, runtime: "ContainerRuntime") -> Self:
        """As it is now."""
        return cls(
            runtime.socket,
            runtime.connected,
            str(runtime.runtime or ""),
            runtime.problem,
            runtime.connections,
            dict(runtime.counts),
        )


@frozen
class Observation:
    """What holds `now`.

    `advertisements` has each online NUMA node, and is None before the nodes were read for the first
    time; `remarks` say what was odd about them; `topology_problem` says why they could not be read
    the last time, if they could not; `kubelet_problem` why there is no kubelet.sock, if there is
    none. `counting` is None where nothing is counted, `nearness` where no name is given, `runtime`
    where it is not asked to pin anything. `tasks` are Trio's: the agent's own and those of its
    connections.
    """

    now: Moment
    resources: Sequence[AdvertisedResource]
    advertisements: Sequence[Advertisement] | None
    remarks: Sequence[Remark]
    topology_problem: str | None
    topology_read_errors: int
    kubelet_socket: Path
    kubelet_problem: str | None
    polling: bool
    tasks: int
    counts: AgentCounts
    http_counts: HttpCounts
    counting: CountingSeen | None = None
    nearness: NearnessSeen | None = None
    runtime: RuntimeSeen | None = None

    @property
    def missing(self) -> list[AdvertisedResource]:
        """The resources whose stream kubelet does not hold."""
        return [one for one in self.resources if one.status.phase is not Phase.STREAMING]

    @property
    def ready(self) -> bool:
        """Whether there are resources and kubelet holds a stream of each.

        With counting, kubelet must have been asked once, well or badly, and with names, these must
        have been looked for: until then nobody knows which resources there will be.
        """
        asked = self.counting is None or self.counting.looked
        looked = self.nearness is None or self.nearness.looked
        return bool(self.resources) and not self.missing and asked and looked


@frozen
class Observer:
    """The parts of a running agent that have something to show."""

    discovery: Discovery
    kubelet_socket: KubeletSocket
    watch: DirectoryWatch
    counts: AgentCounts
    http_counts: HttpCounts
    counting: Counting | None = None
    nearness: "Nearness | None" = None
    runtime: "ContainerRuntime | None" = None

    def observe(self) -> Observation:
        """Look at them now."""
        discovery = self.discovery
        machine = discovery.machine
        return Observation(
            now=Moment.now(),
            resources=sorted(discovery.resources, key=lambda one: one.resource.sort_key),
            advertisements=None
            if machine is None
            else advertise(machine, discovery.settings.cpuless_nodes),
            remarks=() if machine is None else machine.remarks,
            topology_problem=discovery.problem,
            topology_read_errors=discovery.read_errors,
            kubelet_socket=self.kubelet_socket.path,
            kubelet_problem=self.kubelet_socket.problem,
            polling=self.watch.polling,
            tasks=trio.lowlevel.current_statistics().tasks_living,
            counts=self.counts,
            http_counts=self.http_counts,
            counting=CountingSeen.of(self.counting) if self.counting else None,
            nearness=NearnessSeen.of(self.nearness) if self.nearness else None,
            runtime=RuntimeSeen.of(self.runtime) if self.runtime else None,
        )
