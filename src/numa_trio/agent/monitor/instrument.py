"""A metric together with what its values are read from."""

from collections.abc import Callable

from attrs import frozen

from numa_trio.agent.monitor.exposition import Label, Metric, MetricType, Values
from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.monitor.process import ProcessUsage


@frozen
class Instrument:
    """A metric and what its values are read from."""

    metric: Metric
    read: Callable[[Observation, ProcessUsage | None], Values]


def of_agent(
    metric_type: MetricType,
    name: str,
    labels: tuple[Label, ...],
    meaning: str,
    read: Callable[[Observation], Values],
) -> Instrument:
    """A metric of the agent, read from what is observed of it."""
    metric = Metric(f"numa_trio_{name}", metric_type, meaning, labels)
    return Instrument(metric, lambda observed, _usage: read(observed))


def of_process(
    metric_type: MetricType, name: str, meaning: str, read: Callable[[ProcessUsage], float]
) -> Instrument:
    """A metric of the process, as those of every program are called."""
    metric = Metric(f"process_{name}", metric_type, meaning)
    return Instrument(metric, lambda _observed, usage: {(): read(usage)} if usage else {})
