"""What the container runtime pins, by NUMA node, and what became of containers that it does not."""

from collections.abc import Iterator

from numa_trio.agent.monitor.observation import Observation, RuntimeSeen
from numa_trio.agent.monitor.page.durations import format_duration
from numa_trio.agent.monitor.page.facts import fact
from numa_trio.agent.monitor.page.markup import Markup, element
from numa_trio.agent.monitor.runtime_metrics import PINNING
from numa_trio.runtime.outcome import Outcome

_COUNTS = (
    "How often a container that holds a device of the node was created, updated or found running"
    " since the agent started, by what it got."
)


def pinning_section(observed: Observation) -> Iterator[Markup]:
    """The connection to the runtime, and the counts; nothing where it is not asked to pin."""
    runtime = observed.runtime
    if runtime is None:
        return
    yield element(
        "section",
        element("h2", "Pinned by the runtime"),
        element("p", _connection(observed, runtime), class_="meaning"),
        element("dl", *_counts(runtime), *_meanings(runtime)),
        id="pinning",
        class_="panel",
    )


def _connection(observed: Observation, runtime: RuntimeSeen) -> str:
    if runtime.connected is None:
        return f"Not connected to {runtime.socket}."
    connected = format_duration(observed.now.seconds_since(runtime.connected))
    return f"Connected to {runtime.name} for {connected}, over {runtime.socket}."


def _counts(runtime: RuntimeSeen) -> Iterator[Markup]:
    by_nodes: dict[str, list[str]] = {}
    for (nodes, outcome), count in sorted(runtime.counts.items()):
        by_nodes.setdefault(nodes, []).append(f"{count} {_words(outcome)}")
    for nodes, counts in by_nodes.items():
        yield fact(f"Node {nodes}" if nodes else "No node", ", ".join(counts), meaning=_COUNTS)


def _meanings(runtime: RuntimeSeen) -> Iterator[Markup]:
    """What the outcomes mean that there are."""
    there = {outcome for _nodes, outcome in runtime.counts}
    for outcome in Outcome:
        if outcome in there:
            meaning = PINNING.values[outcome]
            yield fact(_words(outcome).capitalize(), f"{meaning[0].upper()}{meaning[1:]}.")


def _words(outcome: Outcome) -> str:
    return outcome.replace("_", " ")
