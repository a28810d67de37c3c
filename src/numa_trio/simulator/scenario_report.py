"""What a scenario came to: a table for people with a column for each step, one object for programs.

docs/simulate.md has the fields of the object.
"""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from numa_trio.layout import print_lines, print_table
from numa_trio.simulator.expectation import strays
from numa_trio.simulator.report import outcome_of, pod_of, print_advice, print_problems, settings_of
from numa_trio.simulator.scenario_run import Outcome, Phase, PodState, ScenarioReport
from numa_trio.simulator.scenarios import Scenario
from numa_trio.simulator.trial import Setup
from numa_trio.topology.lists import format_list

STYLES = {Phase.RUNNING: "green", Phase.PENDING: "yellow", Phase.FAILED: "red"}

_UNCOUNTED = (
    "The scheduler sees the CPUs of the server, not those of a NUMA node. It sends pods to a node",
    "that is full, and kubelet refuses them for good. A controller creates others, which fail too.",
    "Where CPUs are counted, such pods wait: NUMA_COUNTED=cpu in the cluster, --counted cpu here.",
)


def print_scenario(
    scenario: Scenario, setup: Setup, report: ScenarioReport, console: Console
) -> None:
    """How the pods were after each step, and what was not as it should be."""
    counted = ", ".join(setup.offer.counted) or "nothing"
    print_lines(console, f"{scenario.title}. Counted: {counted}.", "", style="bold")
    if report.outcomes:
        headings = ("", *(outcome.step.event for outcome in report.outcomes))
        print_table(console, headings, list(_rows(scenario, report)), padding=2)
        console.print()
    print_lines(console, *refusals(report))
    if _could_wait(setup, report):
        broad = console.width >= max(map(len, _UNCOUNTED))
        print_lines(console, *(_UNCOUNTED if broad else [" ".join(_UNCOUNTED)]))
    print_lines(console, *strays_of(setup, report))
    print_advice(setup, console)
    print_problems(report, console)
    if not report.problems:
        print_lines(console, "A real cluster does the same.", style="green")


def scenario_as_object(
    scenario: Scenario, setup: Setup, report: ScenarioReport
) -> dict[str, object]:
    """The report in types that JSON has."""
    return {
        **settings_of(setup, report),
        "scenario": scenario.name,
        "strays": strays_of(setup, report),
        "steps": [
            {
                "event": outcome.step.event,
                "pods": [
                    {"phase": state.phase, **_details(setup, state)}
                    for state in outcome.pods.values()
                ],
                "counted": {
                    name: {"allocatable": count.healthy, "capacity": count.capacity}
                    for name, count in outcome.counted.items()
                },
            }
            for outcome in report.outcomes
        ],
    }


def _details(setup: Setup, state: PodState) -> dict[str, object]:
    if state.phase is Phase.DELETED:
        return {**outcome_of(state.verdict), "containers": []}
    return pod_of(setup.machine, state.verdict)


def _rows(scenario: Scenario, report: ScenarioReport) -> Iterator[tuple[str | Text, ...]]:
    outcomes = report.outcomes
    for pod in scenario.pods:
        states = (outcome.pods.get(pod.name) for outcome in outcomes)
        yield pod.name, *(_cell(state) for state in states)
    for name in outcomes[-1].counted:
        local_name = name.partition("/")[2]
        if local_name.startswith(f"numa-{scenario.numa_node}-"):
            yield local_name, *(_count(outcome, name) for outcome in outcomes)


def _cell(state: PodState | None) -> Text:
    if state is None:
        return Text("")
    words: str = state.phase
    if state.phase is Phase.RUNNING:
        *others, app = state.verdict.placements
        words += f" on CPU {format_list(app.cpus)}"
        words += "".join(f", {each.container.name} {format_list(each.cpus)}" for each in others)
    elif state.phase is Phase.FAILED:
        words += f": {state.verdict.reason}"
    return Text(words, style=STYLES.get(state.phase, ""))


def _count(outcome: Outcome, name: str) -> str:
    count = outcome.counted[name]
    return f"{count.healthy} of {count.capacity} healthy"


def refusals(report: ScenarioReport) -> Iterator[str]:
    """What the scheduler and kubelet say of pods that did not run, each time it is new."""
    refused: dict[str, list[str]] = {}
    for outcome in report.outcomes:
        for name, state in outcome.pods.items():
            verdict = state.verdict
            if not verdict.admitted:
                names = refused.setdefault(f"{verdict.reason}: {verdict.message}", [])
                if name not in names:
                    names.append(name)
    for why, names in refused.items():
        yield f"{', '.join(names)}: {why}"


def strays_of(setup: Setup, report: ScenarioReport) -> list[str]:
    """Which pods run elsewhere than they ask, under a policy that does not align; each once."""
    if setup.config.aligns:
        return []  # the agent's fault, and said so
    verdicts = (state.verdict for each in report.outcomes for state in each.pods.values())
    found = (strays(setup.machine, setup.offer.all_slots, verdict) for verdict in verdicts)
    return list(dict.fromkeys(f"{line}." for lines in found for line in lines))


def _could_wait(setup: Setup, report: ScenarioReport) -> bool:
    """Whether pods that kubelet refused would have waited if something had been counted."""
    states = [state for outcome in report.outcomes for state in outcome.pods.values()]
    failed = any(state.phase is Phase.FAILED for state in states)
    return failed and not setup.offer.counted
