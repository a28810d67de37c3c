"""What became of pods, for people: a table, and a few lines on each that is not pinned."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from numa_trio.layout import print_table
from numa_trio.plain_text import escaped
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.judging import Judged, PodOutcome
from numa_trio.simulator.node import Placement
from numa_trio.topology.lists import format_list
from numa_trio.workloads.pod import ContainerKind

_HEADINGS = (
    "Pod",
    "Container",
    "Asks for",
    "Verdict",
    "Node",
    "CPUs",
    "Memory",
    "Environment",
)


def print_pods(machine: SimulatedMachine, judged: Sequence[Judged], console: Console) -> None:
    """A row for each container that runs, and for each pod that does not."""
    print_table(console, _HEADINGS, list(_rows(machine, judged)))


def _rows(machine: SimulatedMachine, judged: Sequence[Judged]) -> Iterator[tuple[str | Text, ...]]:
    for each in judged:
        name = each.verdict.pod.name
        if not each.verdict.admitted:
            yield name, "", _asked(each), Text(escaped(each.outcome), style="yellow")
        for placement in each.verdict.placements:
            container = placement.container
            is_app = container.kind is ContainerKind.APP
            yield (
                name,
                container.name + ("" if is_app else f" ({container.kind})"),
                _asked(each, container.name),
                _state(each, container.name),
                format_list(nodes_of_cpus(machine, placement)) if placement.exclusive else "any",
                format_list(placement.cpus) if placement.exclusive else "shared",
                format_list(placement.memory_nodes) if placement.memory_bound else "any",
                " ".join(f"{name}={value}" for name, value in placement.environment.items()),
            )


def remarks(judged: Sequence[Judged]) -> Iterator[str]:
    """Why pods were refused or are not pinned, and what to change; pods alike are named at once."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for each in judged:
        if not each.verdict.admitted or each.findings:
            lines = (_outcome(each), *(f"  {finding}" for finding in each.findings))
            alike.setdefault(lines, []).append(each.verdict.pod.name)
    for (outcome, *findings), names in alike.items():
        yield f"{', '.join(names)}: {outcome}"
        yield from findings


def nodes_of_cpus(machine: SimulatedMachine, placement: Placement) -> set[int]:
    """The NUMA nodes of the CPUs that a container may use."""
    return {cpu.node for cpu in machine.cpus if cpu.id in placement.cpus}


def _asked(judged: Judged, container: str | None = None) -> str:
    """What a container asks for, or all of the pod, without the domain."""
    names = (
        name
        for each, resources in judged.asks_for.items()
        if container in {None, each}
        for name in resources
    )
    return ", ".join(dict.fromkeys(name.partition("/")[2] for name in names))


def _state(judged: Judged, container: str) -> Text:
    if container not in judged.asks_for:
        return Text("runs", style="green")
    if container in judged.pinned:
        return Text("pinned", style="green")
    return Text("unpinned", style="yellow")


def _outcome(judged: Judged) -> str:
    verdict = judged.verdict
    if not verdict.admitted:
        return f"{judged.outcome}: {verdict.reason}: {verdict.message}"
    if judged.outcome is PodOutcome.PINNED:
        return "pinned here; the admission policies would refuse it"
    return f"{judged.outcome}"
