"""The text format 0.0.4 in which Prometheus reads metrics, and what can be said in it."""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from math import inf, isinf, isnan

from attrs import field, frozen

from numa_trio.agent.histogram import Histogram

# Prometheus keeps every value as a 64-bit float: whole numbers from here on have gaps.
_EXACT = 2**53

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricType(StrEnum):
    """The types that we use."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@frozen
class Label:
    """A label's name and meaning, and the meaning of each of its values if they are few."""

    name: str
    meaning: str
    values: Mapping[str, str] = field(factory=dict)


@frozen
class Metric:
    """What a metric is called and means, and its labels."""

    name: str
    type: MetricType
    help: str
    labels: tuple[Label, ...] = ()


Values = Mapping[tuple[str, ...], float | Histogram]
"""The value for each combination of label values, these in the order of the metric's labels."""


def render(families: Iterable[tuple[Metric, Values]]) -> str:
    """The exposition of the metrics with their values; a metric without values is left out."""
    return "".join(f"{line}\n" for metric, values in families for line in _lines(metric, values))


def _lines(metric: Metric, values: Values) -> Iterator[str]:
    if values:
        yield f"# HELP {metric.name} {_escape_help(metric.help)}"
        yield f"# TYPE {metric.name} {metric.type}"
    for label_values, value in values.items():
        labels = list(zip((label.name for label in metric.labels), label_values, strict=True))
        if isinstance(value, Histogram):
            yield from _histogram_lines(metric.name, labels, value)
        else:
            yield f"{metric.name}{_labels(labels)} {_number(value)}"


def _histogram_lines(
    name: str, labels: list[tuple[str, str]], histogram: Histogram
) -> Iterator[str]:
    total = 0
    for bound, count in zip((*histogram.bounds, inf), histogram.counts, strict=True):
        total += count
        yield f"{name}_bucket{_labels([*labels, ('le', _number(bound))])} {total}"
    yield f"{name}_sum{_labels(labels)} {_number(histogram.sum)}"
    yield f"{name}_count{_labels(labels)} {total}"


def _labels(labels: list[tuple[str, str]]) -> str:
    inside = ",".join(f'{name}="{_escape_label(value)}"' for name, value in labels)
    return f"{{{inside}}}" if inside else ""


def _number(value: float) -> str:
    if isnan(value):
        return "NaN"
    if isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    whole = value == int(value) and abs(value) < _EXACT
    return str(int(value)) if whole else repr(value)


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _escape_label(text: str) -> str:
    return _escape_help(text).replace('"', '\\"')
