"""What the story of two servers came to: a table with a column for each, an object for programs.

docs/simulate.md has the fields of the object.
"""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from numa_trio.layout import print_lines, print_table
from numa_trio.simulator.report import print_advice, print_problems
from numa_trio.simulator.scenario_report import (
    STYLES,
    refusals,
    scenario_as_object,
    strays_of,
)
from numa_trio.simulator.scenario_run import Phase, PodState, ScenarioReport
from numa_trio.simulator.wired import NEAR, Server, WiredStory
from numa_trio.topology.lists import format_list

_HEADINGS = ("Pod", "Asks for", "Server", "Disk", "CPUs of", "CPUs", "NUMA_NODE", "")


def print_wired(story: WiredStory, reports: Sequence[ScenarioReport], console: Console) -> None:
    """Where each pod came to be on each server, and what was not as it should be."""
    print_lines(console, f"{story.scenario.title}. NUMA_NEAR: {NEAR}.", "", style="bold")
    print_table(console, _HEADINGS, list(_rows(story, reports)), padding=2)
    console.print()
    print_lines(console, *_chains(story), *_refused(story, reports), *_morals(story))
    for report in reports:
        print_problems(report, console)
    print_advice(story.servers[0].setup, console)
    if not any(report.problems for report in reports):
        print_lines(console, "Real servers do the same.", style="green")


def wired_as_object(story: WiredStory, reports: Sequence[ScenarioReport]) -> dict[str, object]:
    """The reports in types that JSON has."""
    problems = [problem for report in reports for problem in report.problems]
    return {
        "scenario": story.scenario.name,
        "ok": not problems,
        "problems": problems,
        "servers": [
            {
                "server": server.name,
                "disk_node": server.disk_node,
                **scenario_as_object(story.scenario, server.setup, report),
            }
            for server, report in zip(story.servers, reports, strict=True)
        ],
    }


def _rows(story: WiredStory, reports: Sequence[ScenarioReport]) -> Iterator[tuple[str | Text, ...]]:
    for pod, slots in zip(story.scenario.pods, (story.near, story.number), strict=True):
        for server, report in zip(story.servers, reports, strict=True):
            state = report.outcomes[-1].pods.get(pod.name) if report.outcomes else None
            cells = () if state is None else _cells(server, state)
            disk = f"node {server.disk_node}"
            yield pod.name, slots.name, server.name, disk, *cells


def _cells(server: Server, state: PodState) -> tuple[str | Text, ...]:
    """Where the pod is, and what that means."""
    if state.phase is not Phase.RUNNING:
        words = f"{state.phase}: {state.verdict.reason}"
        return "", "", "", Text(words, style=STYLES.get(state.phase, ""))
    (app,) = state.verdict.placements
    nodes = {cpu.node for cpu in server.setup.machine.cpus if cpu.id in app.cpus}
    near = nodes == {server.disk_node}
    return (
        f"node {format_list(nodes)}",
        format_list(app.cpus),
        app.environment.get("NUMA_NODE", ""),
        Text("near the disk" if near else "far from the disk", style="green" if near else "yellow"),
    )


def _chains(story: WiredStory) -> Iterator[str]:
    """How the agents found the node of the disk."""
    for server in story.servers:
        for remark in server.setup.remarks:
            yield f"{server.name}: {remark}"


def _refused(story: WiredStory, reports: Sequence[ScenarioReport]) -> Iterator[str]:
    for server, report in zip(story.servers, reports, strict=True):
        for line in (*refusals(report), *strays_of(server.setup, report)):
            yield f"{server.name}: {line}"


def _morals(story: WiredStory) -> Iterator[str]:
    yield (
        f"{story.near.name} is the node of the disk, whatever its number; {story.number.name} is"
        f" node {story.number.numa_nodes[0]}, wherever the disk hangs."
    )
