"""The metrics: true, in Prometheus' own eyes well-formed, and documented."""

import re
import subprocess
import sys
from collections import Counter
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from agent.kubelet_fakes import FakeServer
from agent.monitor.observations import (
    START,
    counting_seen,
    in_phase,
    nearness_seen,
    node_of,
    observe,
    resource_in_phase,
    runtime_seen,
)
from numa_trio import __version__
from numa_trio.agent.counts import Ending, Outcome
from numa_trio.agent.histogram import Histogram
from numa_trio.agent.monitor.exposition import Label, Metric, MetricType, Values, render
from numa_trio.agent.monitor.http_counts import HttpDrop
from numa_trio.agent.monitor.metrics import (
    DROP,
    ENDING,
    INSTRUMENTS,
    OUTCOME,
    PHASE,
    render_metrics,
)
from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.monitor.process import ProcessUsage
from numa_trio.agent.status import Phase
from numa_trio.kubelet.drop import Drop
from numa_trio.plugin.advertising import CpulessNodes, advertise
from numa_trio.plugin.resource import NumaResource
from numa_trio.topology.machine import Machine, NumaNode

USAGE = ProcessUsage(
    cpu_seconds=1.25,
    start_time_unix=1767322955.5,
    resident_bytes=40 * 1024**2,
    virtual_bytes=50 * 1024**2,
    open_fds=17,
    max_fds=1024,
)
METRICS = [instrument.metric for instrument in INSTRUMENTS]

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse(text: str) -> Samples:
    """Every sample as Prometheus' own client reads it."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(observed: Observation) -> Samples:
    return parse(render_metrics(observed, USAGE))


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


async def test_every_metric_is_read_back_with_its_type_and_help() -> None:
    """What we write, Prometheus' own client parses, and it finds each defined metric once."""
    counting = counting_seen(reasons={"numa-0-cpu": "all of its CPUs are reserved"})
    observed = observe(
        in_phase(Phase.STREAMING),
        counting=counting,
        nearness=nearness_seen(),
        runtime=runtime_seen(),
    )
    text = render_metrics(observed, USAGE)
    families = list(text_string_to_metric_families(text))
    assert [(family.name, family.type, family.documentation) for family in families] == [
        (metric.name.removesuffix("_total"), metric.type, metric.help) for metric in METRICS
    ]


async def test_containers_are_counted_by_their_nodes_and_what_they_got() -> None:
    """The runtime's connection, and what containers got over it; nothing where it is not used."""
    samples = scrape(observe(in_phase(Phase.STREAMING), runtime=runtime_seen()))
    assert value(samples, "numa_trio_runtime_connected") == 1
    assert value(samples, "numa_trio_runtime_connections_total") == 2
    name = "numa_trio_runtime_containers_total"
    assert value(samples, name, numa_node="1", outcome="pinned") == 4
    assert value(samples, name, numa_node="", outcome="not_trusted") == 1
    away = scrape(observe(in_phase(Phase.STREAMING), runtime=runtime_seen(connected=None)))
    assert value(away, "numa_trio_runtime_connected") == 0
    without = scrape(observe(in_phase(Phase.STREAMING)))
    assert not [each for each, _labels in without if "runtime" in each]


async def test_counting_shows_how_old_it_is_and_what_it_lacks() -> None:
    """Questions by what came of them, the time of the last answer, and what cannot be counted."""
    counting = counting_seen(reasons={"numa-0-cpu": "all of its CPUs are reserved"})
    samples = scrape(observe(in_phase(Phase.STREAMING), counting=counting))
    for outcome, count in counting.looks.items():
        assert value(samples, "numa_trio_pod_resources_looks_total", outcome=outcome) == count
    assert value(samples, "numa_trio_pod_resources_answer_timestamp_seconds") == START.unix
    assert value(samples, "numa_trio_not_counted", resource="numa-0-cpu") == 1


async def test_nearness_shows_what_is_not_offered() -> None:
    """A sample for each name that is not offered here, and how much is wrong."""
    samples = scrape(observe(in_phase(Phase.STREAMING), nearness=nearness_seen()))
    assert value(samples, "numa_trio_not_near", near="fabric") == 1
    assert value(samples, "numa_trio_near_problems") == 1
    assert not any(("near", "data") in labels for _, labels in samples)


async def test_a_resource_is_in_exactly_one_phase() -> None:
    """The phase is that of the resource's status when Prometheus asks."""
    resource = in_phase(Phase.STREAMING)
    name = resource.resource.name
    observed = observe(resource)
    assert value(scrape(observed), "numa_trio_ready") == 1
    resource.status.streams_changed(0)
    samples = scrape(observed)
    phases = {
        phase: value(samples, "numa_trio_resource_phase", resource=name, phase=phase)
        for phase in Phase
    }
    assert phases == {phase: phase is Phase.REGISTERED for phase in Phase}
    assert value(samples, "numa_trio_ready") == 0
    changed = "numa_trio_resource_last_transition_timestamp_seconds"
    assert value(samples, changed, resource=name) == resource.status.since.unix


async def test_slots_move_from_healthy_to_unhealthy() -> None:
    """A resource's slots are counted on one side or the other."""
    resource = in_phase(Phase.STREAMING, 1)
    slots = {"resource": "numa-align/numa-1", "numa_node": "1"}
    for healthy in (True, False):
        resource.update(resource.resource.with_health(healthy))
        samples = scrape(observe(resource))
        assert value(samples, "numa_trio_slots", health="healthy", **slots) == 100 * healthy
        assert value(samples, "numa_trio_slots", health="unhealthy", **slots) == 100 * (not healthy)
    assert isinstance(resource.server, FakeServer)
    assert [plugin.devices()[0].healthy for plugin in resource.server.updates] == [False]


async def test_slots_of_any_resource_are_counted_by_their_health() -> None:
    """Single unhealthy devices count as such; of several nodes the label has the list."""
    cpus = NumaResource("numa-1-cpu", (1,), 32).with_unhealthy(range(4))
    near = NumaResource("near-data", (0, 1, 3), 100)
    nowhere = NumaResource("near-net", (), 5).with_health(False)
    samples = scrape(observe(*map(resource_in_phase, (cpus, near, nowhere))))
    counted = {
        (labels["resource"], labels["numa_node"], labels["health"]): number
        for (name, pairs), number in samples.items()
        if name == "numa_trio_slots" and (labels := dict(pairs))
    }
    assert counted == {
        ("numa-align/numa-1-cpu", "1", "healthy"): 28,
        ("numa-align/numa-1-cpu", "1", "unhealthy"): 4,
        ("numa-align/near-data", "0-1,3", "healthy"): 100,
        ("numa-align/near-data", "0-1,3", "unhealthy"): 0,
        ("numa-align/near-net", "", "healthy"): 0,
        ("numa-align/near-net", "", "unhealthy"): 5,
    }


async def test_counts_are_shown_where_they_belong() -> None:
    """Each count has its own sample, and what has not happened is 0, not absent."""
    first, second = in_phase(Phase.STREAMING, 0), in_phase(Phase.STREAMING, 1)
    first.counts.allocated([["numa-0-0"]] * 3)
    first.counts.registration_tried(Outcome.REFUSED)
    second.counts.registration_tried(Outcome.ACCEPTED)
    second.counts.registration_ended(Ending.STREAM_LOST)
    second.counts.registration_tried(Outcome.ACCEPTED)
    first.counts.connection_dropped(Drop.FOREIGN_UID)
    second.counts.connection_dropped(Drop.FOREIGN_UID)
    observed = observe(first, second)
    observed.http_counts.connection_dropped(HttpDrop.SLOW_REQUEST)
    observed.counts.kubelet_generations = 5
    observed.counts.scope_failures = 6
    counted = {
        (name, *sorted(dict(labels).values())): number
        for (name, labels), number in scrape(observed).items()
        if name.startswith("numa_trio") and name.endswith("_total") and number
    }
    assert counted == {
        ("numa_trio_allocations_total", "numa-align/numa-0"): 3,
        ("numa_trio_registrations_total", "numa-align/numa-0", "refused"): 1,
        ("numa_trio_registrations_total", "accepted", "numa-align/numa-1"): 2,
        ("numa_trio_reregistrations_total", "numa-align/numa-1", "stream_lost"): 1,
        ("numa_trio_connections_dropped_total", "foreign_uid", "plugin"): 2,
        ("numa_trio_connections_dropped_total", "http", "slow_request"): 1,
        ("numa_trio_kubelet_generations_total",): 5,
        ("numa_trio_scope_failures_total",): 6,
    }
    zeros = value(
        scrape(observed),
        "numa_trio_reregistrations_total",
        resource="numa-align/numa-0",
        reason="no_stream",
    )
    assert zeros == 0


async def test_delays_of_all_resources_are_one_histogram() -> None:
    """The histogram adds up what each resource observed."""
    first, second = in_phase(Phase.STREAMING, 0), in_phase(Phase.STREAMING, 1)
    first.counts.streaming_delays.observe(0.25)
    second.counts.streaming_delays.observe(0.3)
    second.counts.streaming_delays.observe(1000)
    samples = scrape(observe(first, second))
    name = "numa_trio_streaming_delay_seconds"
    assert value(samples, f"{name}_bucket", le="0.1") == 0
    assert value(samples, f"{name}_bucket", le="0.25") == 1
    assert value(samples, f"{name}_bucket", le="0.5") == 2
    assert value(samples, f"{name}_bucket", le="60") == 2
    assert value(samples, f"{name}_bucket", le="+Inf") == 3
    assert value(samples, f"{name}_count") == 3
    assert value(samples, f"{name}_sum") == pytest.approx(1000.55)


async def test_what_is_not_about_one_resource() -> None:
    """The agent's surroundings as last seen."""
    machine = Machine((node_of(0), node_of(1), NumaNode(2)))
    samples = scrape(
        observe(
            in_phase(Phase.WAITING),
            advertisements=advertise(machine, CpulessNodes.SKIP),
            kubelet_problem="/dp/kubelet.sock does not exist yet",
            polling=True,
            topology_read_errors=7,
        )
    )
    assert value(samples, "numa_trio_numa_nodes", advertised="true") == 2
    assert value(samples, "numa_trio_numa_nodes", advertised="false") == 1
    assert value(samples, "numa_trio_kubelet_socket_present") == 0
    assert value(samples, "numa_trio_watch_polling") == 1
    assert value(samples, "numa_trio_topology_read_errors_total") == 7
    build = Counter(name for name, labels in samples if ("version", __version__) in labels)
    assert build == {"numa_trio_build_info": 1}


def test_an_agent_that_knows_nothing_yet_is_scraped_too() -> None:
    """Before the nodes are read, and without /proc, the rest is shown."""
    samples = parse(render_metrics(observe(advertisements=None), None))
    assert value(samples, "numa_trio_ready") == 0
    assert not any(name.startswith("process_") for name, _labels in samples)
    assert not any(name == "numa_trio_numa_nodes" for name, _labels in samples)


def test_process_metrics_have_their_usual_names() -> None:
    """Dashboards for any process work with ours."""
    samples = scrape(observe())
    process = {name: number for (name, _), number in samples.items() if name.startswith("process_")}
    assert process == {
        "process_cpu_seconds_total": 1.25,
        "process_resident_memory_bytes": 40 * 1024**2,
        "process_virtual_memory_bytes": 50 * 1024**2,
        "process_open_fds": 17,
        "process_max_fds": 1024,
        "process_start_time_seconds": 1767322955.5,
    }


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric: Metric) -> None:
    """A prefix, base units as suffix, `_total` for counters and for nothing else."""
    assert re.fullmatch(r"(numa_trio|process)_[a-z_]+", metric.name)
    assert (metric.type is MetricType.COUNTER) is metric.name.endswith("_total")
    assert metric.help.endswith(".")
    for label in metric.labels:
        assert re.fullmatch(r"[a-z_]+", label.name)
        assert label.name != "le"


@pytest.mark.parametrize(
    ("label", "values"),
    [
        (PHASE, [*Phase]),
        (OUTCOME, [*Outcome]),
        (ENDING, [*Ending]),
        (DROP, [*Drop, *HttpDrop]),
    ],
    ids=["phase", "outcome", "ending", "drop"],
)
def test_every_value_of_a_label_is_explained(label: Label, values: list[StrEnum]) -> None:
    """Where the values are few, the document has each of them."""
    assert [*label.values] == values


def test_the_document_is_what_the_code_defines() -> None:
    """docs/metrics.md was generated since the definitions last changed."""
    script = Path(__file__).parents[3] / "scripts/generate_metrics_doc.py"
    check = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr


@given(
    st.dictionaries(st.tuples(st.text(), st.text()), st.floats(), max_size=4),
    st.text(alphabet=st.characters(exclude_characters="\r")),
)
def test_any_text_and_number_survives(values: dict[tuple[str, str], float], meaning: str) -> None:
    """Quotes, backslashes, line ends, infinities: what is written is what is read back."""
    metric = Metric("some_metric", MetricType.GAUGE, meaning, (Label("a", ""), Label("b", "")))
    expected: Values = values
    found = {
        (dict(labels)["a"], dict(labels)["b"]): number
        for (_name, labels), number in parse(render([(metric, expected)])).items()
    }
    assert found == pytest.approx(values, rel=0, abs=0, nan_ok=True)


@given(st.lists(st.floats(min_value=0, max_value=100)))
def test_a_histogram_counts_each_observation_once(observations: list[float]) -> None:
    """A bucket holds what is at or below its bound; the last one holds all."""
    histogram = Histogram((0.5, 1.0, 60.0))
    for observation in observations:
        histogram.observe(observation)
    samples = parse(render([(Metric("h", MetricType.HISTOGRAM, ""), {(): histogram})]))
    for bound in (0.5, 1.0, 60.0):
        below = sum(observation <= bound for observation in observations)
        assert value(samples, "h_bucket", le=f"{bound:g}") == below
    assert value(samples, "h_bucket", le="+Inf") == len(observations)
    assert value(samples, "h_count") == len(observations)
    assert value(samples, "h_sum") == pytest.approx(sum(observations))
