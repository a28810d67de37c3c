"""Observations of agents that do not run, for tests of what shows them."""

from pathlib import Path

from attrs import evolve

from agent.kubelet_fakes import FakeServer
from numa_trio.agent.advertised import AdvertisedResource
from numa_trio.agent.counting import Look
from numa_trio.agent.counts import AgentCounts
from numa_trio.agent.moment import Moment
from numa_trio.agent.monitor.http_counts import HttpCounts
from numa_trio.agent.monitor.observation import (
    CountingSeen,
    NearnessSeen,
    NearSeen,
    Observation,
    RuntimeSeen,
)
from numa_trio.agent.status import Phase, ResourceStatus
from numa_trio.plugin.advertising import CpulessNodes, advertise
from numa_trio.plugin.resource import NumaResource
from numa_trio.runtime.outcome import Outcome
from numa_trio.topology.machine import Machine, NumaNode

GIB = 1024**3

# 2026-01-02T03:04:05Z, a minute and a half after the resources' last transitions.
START = Moment(trio=1000.0, unix=1767322955.0)
NOW = Moment(trio=1090.0, unix=1767323045.0)


def in_phase(phase: Phase, node: int = 0, obstacle: str | None = None) -> AdvertisedResource:
    """A resource of 100 slots, in that phase since `START`."""
    return resource_in_phase(NumaResource.of_node(node, 100), phase, obstacle)


def resource_in_phase(
    resource: NumaResource, phase: Phase = Phase.STREAMING, obstacle: str | None = None
) -> AdvertisedResource:
    """This resource, in that phase since `START`."""
    status = ResourceStatus(
        resource.name,
        serving=phase is not Phase.WAITING,
        registered=phase in (Phase.REGISTERED, Phase.STREAMING),
        streams=int(phase is Phase.STREAMING),
        obstacle=obstacle,
        since=START,
    )
    return AdvertisedResource(resource, status, FakeServer(status))


def node_of(number: int, nodes: int = 2, cpus: int = 4) -> NumaNode:
    """One of a machine's nodes, with `cpus` CPUs and 8 GiB, half of which is free."""
    return NumaNode(
        number,
        frozenset(range(number * cpus, (number + 1) * cpus)),
        memory_bytes=8 * GIB,
        memory_free_bytes=4 * GIB,
        distances={other: 10 if other == number else 21 for other in range(nodes)},
    )


def nearness_seen() -> NearnessSeen:
    """Three names: one is offered, one is not here, one cannot be used."""
    return NearnessSeen(
        (
            NearSeen("data", "/data → nvme0n1 → 0000:01:00.0 → node 1", None),
            NearSeen("fabric", "net:eth9: it is not there", "it is not there"),
        ),
        ("NUMA_NEAR: 'cpu=/data': expected another name",),
    )


def runtime_seen(**changes: object) -> RuntimeSeen:
    """A runtime that is connected since `START`, and what it was asked to pin."""
    seen = RuntimeSeen(
        socket=Path("/var/run/nri/nri.sock"),
        connected=START,
        name="containerd 2.2.0",
        problem=None,
        connections=2,
        counts={
            ("1", Outcome.PINNED): 4,
            ("1", Outcome.UNCHANGED): 1,
            ("", Outcome.NOT_TRUSTED): 1,
        },
    )
    return evolve(seen, **changes)


def counting_seen(**changes: object) -> CountingSeen:
    """Counting that kubelet answered at `START`, after two tries that it did not."""
    seen = CountingSeen(
        socket=Path("/pod-resources/kubelet.sock"),
        looked=True,
        answered=START,
        problem=None,
        looks={Look.ANSWERED: 5, Look.INCOMPLETE: 1, Look.FAILED: 2},
        reasons={},
    )
    return evolve(seen, **changes)


def observe(*resources: AdvertisedResource, **changes: object) -> Observation:
    """An observation at `NOW` of these resources on a machine with just their nodes."""
    numbers = sorted({number for one in resources for number in one.resource.numa_nodes})
    nodes = tuple(node_of(number, len(numbers)) for number in numbers)
    observed = Observation(
        now=NOW,
        resources=resources,
        advertisements=advertise(Machine(nodes), CpulessNodes.SKIP),
        remarks=(),
        topology_problem=None,
        topology_read_errors=0,
        kubelet_socket=Path("/dp/kubelet.sock"),
        kubelet_problem=None,
        polling=False,
        tasks=12,
        counts=AgentCounts(started=START),
        http_counts=HttpCounts(),
    )
    return evolve(observed, **changes)
