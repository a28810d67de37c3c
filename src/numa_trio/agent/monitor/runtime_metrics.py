"""The metrics of what the container runtime pins."""

from numa_trio.agent.monitor.exposition import Label, MetricType, Values
from numa_trio.agent.monitor.instrument import of_agent
from numa_trio.agent.monitor.observation import Observation
from numa_trio.runtime.outcome import Outcome

NODES = Label(
    "numa_node",
    "the number of the NUMA node whose device the container holds; of several, a list like `0-1`;"
    " empty where it is not certain",
)
PINNING = Label(
    "outcome",
    "what the container got",
    {
        Outcome.PINNED: "CPUs or memory of its nodes",
        Outcome.UNCHANGED: "nothing: it had them already, as from kubelet's static managers",
        Outcome.ELSEWHERE: "kubelet gave it CPUs, or memory, of other nodes only; the rest is set",
        Outcome.NOT_FOUND: "nothing: which NUMA node its volume is near is not known",
        Outcome.IMPOSSIBLE: "nothing: its nodes are offline, or have nothing of what is to be set",
        Outcome.NOT_TRUSTED: "nothing: the pod has the annotation itself that only kubelet may set",
        Outcome.WITHHELD: "nothing: its creation failed before with what it was to get",
        Outcome.FAILED: "nothing: the runtime could not do it",
    },
)


def _connected(observed: Observation) -> Values:
    return {(): int(observed.runtime.connected is not None)} if observed.runtime else {}


def _connections(observed: Observation) -> Values:
    return {(): observed.runtime.connections} if observed.runtime else {}


def _containers(observed: Observation) -> Values:
    if observed.runtime is None:
        return {}
    return {(nodes, outcome): count for (nodes, outcome), count in observed.runtime.counts.items()}


RUNTIME_INSTRUMENTS = (
    of_agent(
        MetricType.GAUGE,
        "runtime_connected",
        (),
        "1 while the container runtime tells of each container (NUMA_NRI), else 0.",
        _connected,
    ),
    of_agent(
        MetricType.COUNTER,
        "runtime_connections_total",
        (),
        "Connections to the container runtime that came so far; each restart of it takes one.",
        _connections,
    ),
    of_agent(
        MetricType.COUNTER,
        "runtime_containers_total",
        (NODES, PINNING),
        "Times that a container which holds devices was created, updated or found running, by what"
        " it got.",
        _containers,
    ),
)
