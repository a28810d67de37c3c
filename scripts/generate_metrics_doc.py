#!/usr/bin/env python3
"""Write docs/metrics.md from the definitions in numa_trio.agent.monitor.metrics.

With `--check`, write nothing and fail if the document differs from them.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from numa_trio.agent.counts import STREAMING_DELAY_BOUNDS
from numa_trio.agent.monitor.exposition import Label, Metric, MetricType
from numa_trio.agent.monitor.metrics import INSTRUMENTS

DOCUMENT = Path(__file__).parents[1] / "docs/metrics.md"

_INTRODUCTION = """\
# Metrics

<!-- Not to be edited: scripts/generate_metrics_doc.py writes it from agent/monitor/metrics.py -->

The agent serves these at `/metrics` on `NUMA_HTTP_ADDR` (default `:9410`), in Prometheus' text
format 0.0.4. Gauges are read from the agent's state at each scrape; counters begin with 0 when the
agent starts. Sizes are in bytes, times in seconds.

`deploy/kustomize/components/monitoring` has a PodMonitor, alert rules and a Grafana dashboard for
them.
"""


def document() -> str:
    """The whole text."""
    metrics = [instrument.metric for instrument in INSTRUMENTS]
    return "\n".join([_INTRODUCTION, *(line for metric in metrics for line in _section(metric))])


def _section(metric: Metric) -> Iterator[str]:
    yield f"## {metric.name}"
    yield ""
    yield f"{metric.type.capitalize()}. {metric.help}"
    yield ""
    if metric.type is MetricType.HISTOGRAM:
        bounds = ", ".join(f"{bound:g}" for bound in STREAMING_DELAY_BOUNDS)
        yield f"Buckets, in seconds: {bounds}."
        yield ""
    if metric.labels:
        yield from (_label_line(label) for label in metric.labels)
        yield ""
    for label in metric.labels:
        if label.values:
            yield f"| `{label.name}` | meaning |"
            yield "|---|---|"
            yield from (f"| `{value}` | {meaning} |" for value, meaning in label.values.items())
            yield ""


def _label_line(label: Label) -> str:
    return f"- `{label.name}`: {label.meaning}"


def main() -> int:
    """Write the document, or compare it; 1 if it differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    text = document()
    if not parser.parse_args().check:
        DOCUMENT.write_text(text, "utf-8")
    elif DOCUMENT.read_text("utf-8") != text:
        print(f"{DOCUMENT} is not what the code defines: run scripts/generate_metrics_doc.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
