"""The metrics: what each is called, means, and is read from when Prometheus asks.

`docs/metrics.md` is generated from this list.
"""

import platform
from collections import Counter

from numa_trio import __version__
from numa_trio.agent.counting import Look
from numa_trio.agent.counts import STREAMING_DELAY_BOUNDS, Ending, Outcome
from numa_trio.agent.histogram import Histogram
from numa_trio.agent.monitor.exposition import Label, MetricType, Values, render
from numa_trio.agent.monitor.http_counts import HttpDrop
from numa_trio.agent.monitor.instrument import of_agent, of_process
from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.monitor.process import ProcessUsage
from numa_trio.agent.monitor.runtime_metrics import RUNTIME_INSTRUMENTS
from numa_trio.agent.status import Phase
from numa_trio.kubelet.drop import Drop
from numa_trio.topology.lists import format_list

RESOURCE = Label("resource", "the extended resource, as in `numa-align/numa-0`")
NUMA_NODE = Label(
    "numa_node",
    "the number of the NUMA node; where any of several will do, a list like `0-1`",
)
ADVERTISED = Label(
    "advertised",
    "whether the node is offered to kubelet",
    {"true": "it is", "false": "it has no CPUs, or a number above 63"},
)
HEALTH = Label(
    "health",
    "whether kubelet may give the slot to a container",
    {
        "healthy": "it may",
        "unhealthy": "the node is offline or has no CPUs now; or others have what the device of a"
        " counted resource stands for",
    },
)
PHASE = Label(
    "phase",
    "the state of the resource; each phase requires the one before it",
    {
        Phase.WAITING: "our socket is not bound, or the file at its path is not ours",
        Phase.SERVING: "our socket is bound and in place",
        Phase.REGISTERED: "the running kubelet accepted our registration",
        Phase.STREAMING: "kubelet holds a ListAndWatch stream: pods can ask for the resource",
    },
)
OUTCOME = Label(
    "outcome",
    "what became of the registration",
    {
        Outcome.ACCEPTED: "kubelet accepted it",
        Outcome.REFUSED: "kubelet answered with an error",
        Outcome.UNAVAILABLE: "kubelet could not be reached or gave no proper answer",
    },
)
ENDING = Label(
    "reason",
    "why the registration before it had ended",
    {
        Ending.NEW_GENERATION: "kubelet.sock was removed or replaced: kubelet restarted",
        Ending.STREAM_LOST: "the ListAndWatch stream ended while kubelet.sock stayed",
        Ending.NO_STREAM: "kubelet accepted, but opened no ListAndWatch stream",
        Ending.SOCKET_DISPLACED: "our own socket was removed or replaced",
        Ending.SIBLING_ENDED: "another instance, to which kubelet may have listened, ended",
        Ending.SCOPE_FAILED: "a defect of the agent: see the log",
    },
)
LISTENER = Label(
    "listener",
    "which of our servers it was",
    {"plugin": "a plugin socket, meant for kubelet", "http": "the HTTP server"},
)
DROP = Label(
    "reason",
    "why the connection was refused or cut off",
    {
        Drop.FOREIGN_UID: "plugin: the peer runs neither as root nor as we do",
        Drop.TOO_MANY: "plugin: too many connections, calls or requests are open",
        Drop.PROTOCOL_ERROR: "plugin: the peer sent something other than gRPC, or too much",
        Drop.STALLED: "plugin: the peer did not read what was sent to it",
        HttpDrop.BAD_REQUEST: "http: not HTTP, or the head of the request is too large",
        HttpDrop.SLOW_REQUEST: "http: the client took too long over its request",
        HttpDrop.SLOW_RESPONSE: "http: the client took too long to read its answer",
        HttpDrop.CROWDED_OUT: "http: the oldest connection made way for a new one",
    },
)
LOOK = Label(
    "outcome",
    "what came of the question",
    {
        Look.ANSWERED: "kubelet answered",
        Look.INCOMPLETE: "kubelet has just started, and may not know all: what was known holds",
        Look.FAILED: "kubelet could not be asked: what was known holds",
    },
)
NEAR_NAME = Label(
    "near", "the name in NUMA_NEAR, as in `data`, or one of those of a glob, `data-0`"
)
VERSION = Label("version", "the version of numa-trio")
PYTHON_VERSION = Label("python_version", "the version of Python that runs it")


def _nodes(observed: Observation) -> Values:
    if observed.advertisements is None:
        return {}
    count = Counter(one.advertised for one in observed.advertisements)
    return {("true",): count[True], ("false",): count[False]}


def _slots(observed: Observation) -> Values:
    slots: dict[tuple[str, ...], float | Histogram] = {}
    for resource in (one.resource for one in observed.resources):
        labels = resource.name, format_list(resource.numa_nodes)
        slots[*labels, "healthy"] = resource.healthy_count
        slots[*labels, "unhealthy"] = resource.capacity - resource.healthy_count
    return slots


def _phases(observed: Observation) -> Values:
    return {
        (one.resource.name, phase): int(one.status.phase is phase)
        for one in observed.resources
        for phase in Phase
    }


def _registrations(observed: Observation) -> Values:
    return {
        (one.resource.name, outcome): count
        for one in observed.resources
        for outcome, count in one.counts.registrations.items()
    }


def _reregistrations(observed: Observation) -> Values:
    return {
        (one.resource.name, ending): count
        for one in observed.resources
        for ending, count in one.counts.reregistrations.items()
    }


def _streaming_delays(observed: Observation) -> Values:
    total = Histogram(STREAMING_DELAY_BOUNDS)
    for one in observed.resources:
        total.add(one.counts.streaming_delays)
    return {(): total}


def _dropped(observed: Observation) -> Values:
    plugin: dict[tuple[str, ...], float | Histogram] = {
        ("plugin", reason): sum(one.counts.dropped[reason] for one in observed.resources)
        for reason in Drop
    }
    http = {("http", reason): count for reason, count in observed.http_counts.dropped.items()}
    return plugin | http


def _looks(observed: Observation) -> Values:
    if observed.counting is None:
        return {}
    return {(outcome,): count for outcome, count in observed.counting.looks.items()}


def _answered(observed: Observation) -> Values:
    if observed.counting is None or observed.counting.answered is None:
        return {}
    return {(): observed.counting.answered.unix}


def _not_near(observed: Observation) -> Values:
    if observed.nearness is None:
        return {}
    return {(one.name,): 1 for one in observed.nearness.names if one.reason}


def _near_problems(observed: Observation) -> Values:
    return {(): len(observed.nearness.problems)} if observed.nearness else {}


def _not_counted(observed: Observation) -> Values:
    return {(name,): 1 for name in observed.counting.reasons} if observed.counting else {}


INSTRUMENTS = (
    of_agent(
        MetricType.GAUGE,
        "build_info",
        (VERSION, PYTHON_VERSION),
        "Always 1; the labels have the versions.",
        lambda _observed: {(__version__, platform.python_version()): 1},
    ),
    of_agent(
        MetricType.GAUGE,
        "ready",
        (),
        "1 if kubelet holds the stream of every advertised resource and there is at least one, else"
        " 0; the same as /readyz.",
        lambda observed: {(): int(observed.ready)},
    ),
    of_agent(
        MetricType.GAUGE,
        "resource_phase",
        (RESOURCE, PHASE),
        "1 for the phase that the resource is in, 0 for the others.",
        _phases,
    ),
    of_agent(
        MetricType.GAUGE,
        "resource_last_transition_timestamp_seconds",
        (RESOURCE,),
        "Unix time at which the resource last began or stopped streaming.",
        lambda observed: {
            (one.resource.name,): one.status.since.unix for one in observed.resources
        },
    ),
    of_agent(
        MetricType.GAUGE,
        "slots",
        (RESOURCE, NUMA_NODE, HEALTH),
        "Slots of the resource that are advertised to kubelet.",
        _slots,
    ),
    of_agent(
        MetricType.COUNTER,
        "allocations_total",
        (RESOURCE,),
        "Containers for which an Allocate call of kubelet was answered.",
        lambda observed: {
            (one.resource.name,): one.counts.allocations for one in observed.resources
        },
    ),
    of_agent(
        MetricType.COUNTER,
        "registrations_total",
        (RESOURCE, OUTCOME),
        "Registrations tried.",
        _registrations,
    ),
    of_agent(
        MetricType.COUNTER,
        "reregistrations_total",
        (RESOURCE, ENDING),
        "Registrations that kubelet accepted after an earlier one of the resource had ended.",
        _reregistrations,
    ),
    of_agent(
        MetricType.HISTOGRAM,
        "streaming_delay_seconds",
        (),
        "Time from the appearance of a kubelet.sock, or from the agent's start if that came later,"
        " to kubelet's first stream on it; one observation for each resource.",
        _streaming_delays,
    ),
    of_agent(
        MetricType.GAUGE,
        "kubelet_socket_present",
        (),
        "1 if there is a socket at the path of kubelet.sock, else 0; a stopped kubelet leaves it.",
        lambda observed: {(): int(observed.kubelet_problem is None)},
    ),
    of_agent(
        MetricType.COUNTER,
        "kubelet_generations_total",
        (),
        "Kubelet sockets seen; each start of kubelet makes one.",
        lambda observed: {(): observed.counts.kubelet_generations},
    ),
    of_agent(
        MetricType.GAUGE,
        "watch_polling",
        (),
        "1 if the kernel grants no inotify watch and the directory is polled instead, else 0.",
        lambda observed: {(): int(observed.polling)},
    ),
    of_agent(
        MetricType.GAUGE,
        "tasks",
        (),
        "Trio tasks: the agent's own, and those of its open connections.",
        lambda observed: {(): observed.tasks},
    ),
    of_agent(
        MetricType.COUNTER,
        "scope_failures_total",
        (),
        "Times that a defect of the agent ended serving and registering, which then started again.",
        lambda observed: {(): observed.counts.scope_failures},
    ),
    of_agent(
        MetricType.COUNTER,
        "connections_dropped_total",
        (LISTENER, DROP),
        "Connections that were refused or cut off.",
        _dropped,
    ),
    of_agent(
        MetricType.GAUGE,
        "numa_nodes",
        (ADVERTISED,),
        "NUMA nodes that are online.",
        _nodes,
    ),
    of_agent(
        MetricType.COUNTER,
        "topology_read_errors_total",
        (),
        "Times that the NUMA nodes could not be read from sysfs.",
        lambda observed: {(): observed.topology_read_errors},
    ),
    of_agent(
        MetricType.COUNTER,
        "pod_resources_looks_total",
        (LOOK,),
        "Questions to kubelet's pod-resources API, where something is counted (NUMA_COUNTED).",
        _looks,
    ),
    of_agent(
        MetricType.GAUGE,
        "pod_resources_answer_timestamp_seconds",
        (),
        "Unix time of the last good answer of that API: how old the counts are.",
        _answered,
    ),
    of_agent(
        MetricType.GAUGE,
        "not_counted",
        (RESOURCE,),
        "1 for each resource that would be counted but cannot be; /readyz says why.",
        _not_counted,
    ),
    of_agent(
        MetricType.GAUGE,
        "not_near",
        (NEAR_NAME,),
        "1 for each name of NUMA_NEAR that is not offered on this machine; /readyz says why.",
        _not_near,
    ),
    of_agent(
        MetricType.GAUGE,
        "near_problems",
        (),
        "What is wrong with NUMA_NEAR or its file; /readyz says what.",
        _near_problems,
    ),
    *RUNTIME_INSTRUMENTS,
    of_process(
        MetricType.COUNTER,
        "cpu_seconds_total",
        "User and system CPU time.",
        lambda usage: usage.cpu_seconds,
    ),
    of_process(
        MetricType.GAUGE,
        "resident_memory_bytes",
        "Resident memory.",
        lambda usage: usage.resident_bytes,
    ),
    of_process(
        MetricType.GAUGE,
        "virtual_memory_bytes",
        "Virtual memory.",
        lambda usage: usage.virtual_bytes,
    ),
    of_process(
        MetricType.GAUGE,
        "open_fds",
        "Open file descriptors.",
        lambda usage: usage.open_fds,
    ),
    of_process(
        MetricType.GAUGE,
        "max_fds",
        "File descriptors that may be open.",
        lambda usage: usage.max_fds,
    ),
    of_process(
        MetricType.GAUGE,
        "start_time_seconds",
        "Unix time at which the process started.",
        lambda usage: usage.start_time_unix,
    ),
)


def render_metrics(observed: Observation, usage: ProcessUsage | None) -> str:
    """All metrics in the text format 0.0.4; without `usage`, those of the process are left out."""
    return render((one.metric, one.read(observed, usage)) for one in INSTRUMENTS)
