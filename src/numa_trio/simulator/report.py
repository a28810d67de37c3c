"""What a simulation came to: tables for people, one object for programs.

docs/simulate.md has the fields of the object.
"""

from collections.abc import Iterator

from rich.console import Console

from numa_trio.layout import print_lines
from numa_trio.simulator.admission import Verdict
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.expectation import differences
from numa_trio.simulator.expected import Expected
from numa_trio.simulator.judging import Judged
from numa_trio.simulator.node import Node, Placement
from numa_trio.simulator.pods_text import nodes_of_cpus, print_pods, remarks
from numa_trio.simulator.record import Record
from numa_trio.simulator.room import room_of
from numa_trio.simulator.simulation import Plan, Report, Round
from numa_trio.simulator.trial import Setup
from numa_trio.topology.lists import format_list


def print_report(plan: Plan, report: Report, console: Console) -> None:
    """The pods before and after the restart, and what was not as it should be."""
    print_lines(console, "", _heading(plan.setup))
    for number, each in enumerate(report.rounds):
        if number and _alike(each, report.rounds[0]):
            unchanged = "After the restart every pod was placed or refused in the same way."
            print_lines(console, "", unchanged)
            continue
        console.print("\nPods" + (" after the restart" if number else ""), style="bold")
        print_pods(plan.setup.machine, each.judged, console)
        if lines := [*remarks(each.judged), *_counts(plan.setup, each)]:
            print_lines(console, "", *lines, indent=2)
    print_advice(plan.setup, console)
    print_problems(report, console)
    for line in report.unmet:
        print_lines(console, f"Not as expected: {line}.", style="red")
    if not report.problems and not report.unmet:
        print_lines(console, _all_is_well(plan), style="green")


def print_advice(setup: Setup, console: Console) -> None:
    """What the topology policy does, if that lets pods run elsewhere than they ask."""
    if setup.config.advice:
        print_lines(console, setup.config.advice, style="yellow")


def print_problems(record: Record, console: Console) -> None:
    """What was not as it should be, if anything."""
    for problem in record.problems:
        print_lines(console, f"Not as it should be: {problem}", style="red")


def _heading(setup: Setup) -> str:
    rooms = room_of(Node.create(setup.machine, setup.config))
    cpus = ", ".join(f"{rooms[node].cpus} of node {node}" for node in sorted(rooms))
    return (
        f"Machine {setup.machine.name}, topology manager policy {setup.config.policy}, scope"
        f" {setup.config.scope}. CPUs for pods: {cpus}."
    )


def _all_is_well(plan: Plan) -> str:
    pods = f"Each of the {len(plan.pods)} pods" if len(plan.pods) > 1 else "The pod"
    if plan.expected is None:
        return f"{pods} came out as on a real cluster."
    if plan.expected == Expected():
        return "Each pod that asks for a NUMA node is pinned there."
    return f"{pods} came out as expected."


def as_object(plan: Plan, report: Report) -> dict[str, object]:
    """The report in types that JSON has."""
    recovery = report.recovery_seconds
    return {
        **settings_of(plan.setup, report),
        "unmet": report.unmet,
        "ok": not report.problems and not report.unmet,
        "recovery_seconds": None if recovery is None else round(recovery, 3),
        "admitted_again": [outcome_of(verdict) for verdict in report.again],
        "rounds": [
            {
                "kubelet": number,
                "pods": [_judged(plan, each_pod) for each_pod in each.judged],
                "allocatable": each.allocatable,
            }
            for number, each in enumerate(report.rounds, start=1)
        ],
    }


def _judged(plan: Plan, judged: Judged) -> dict[str, object]:
    return {
        **pod_of(plan.setup.machine, judged.verdict),
        "asks_for": {name: [*resources] for name, resources in judged.asks_for.items()},
        "outcome": judged.outcome,
        "expected": plan.expected.of(judged) if plan.expected else None,
        "findings": [{"code": each.code, "text": each.text} for each in judged.findings],
    }


def settings_of(setup: Setup, record: Record) -> dict[str, object]:
    """What was simulated, what happened, and whether all was well, in types that JSON has."""
    return {
        "machine": setup.machine.name,
        "policy": setup.config.policy,
        "scope": setup.config.scope,
        "advice": setup.config.advice or None,
        "capacity": setup.offer.slots[0].capacity,
        "counted": [*setup.offer.counted],
        "near": [
            {"resource": each.name, "numa_nodes": [*each.numa_nodes]} for each in setup.offer.near
        ],
        "ok": not record.problems,
        "problems": record.problems,
        "timeline": [
            {"seconds": round(seconds, 3), "event": what} for seconds, what in record.timeline
        ],
    }


def _alike(one: Round, other: Round) -> bool:
    verdicts = zip(one.verdicts, other.verdicts, strict=False)
    return one.allocatable == other.allocatable and not any(differences(*both) for both in verdicts)


def _counts(setup: Setup, of: Round) -> Iterator[str]:
    """How much of what is counted is healthy, given to the pods or not."""
    slots = {each.name for each in setup.offer.all_slots}
    counts = [f"{name} {count}" for name, count in of.allocatable.items() if name not in slots]
    if counts:
        yield f"Allocatable, with what these pods have of it: {', '.join(counts)}"


def outcome_of(verdict: Verdict) -> dict[str, object]:
    """The verdict without the containers, in types that JSON has."""
    return {
        "name": verdict.pod.name,
        "namespace": verdict.pod.namespace,
        "qos": verdict.pod.qos,
        "admitted": verdict.admitted,
        "reason": verdict.reason,
        "message": verdict.message,
    }


def pod_of(machine: SimulatedMachine, verdict: Verdict) -> dict[str, object]:
    """The verdict with what the containers have, in types that JSON has."""
    return outcome_of(verdict) | {
        "containers": [_container(machine, placement) for placement in verdict.placements],
    }


def _container(machine: SimulatedMachine, placement: Placement) -> dict[str, object]:
    return {
        "name": placement.container.name,
        "kind": placement.container.kind,
        "cpus": format_list(placement.cpus),
        "exclusive": placement.exclusive,
        "numa_nodes": sorted(nodes_of_cpus(machine, placement)),
        "memory_nodes": sorted(placement.memory_nodes),
        "memory_bound": placement.memory_bound,
        "devices": placement.devices,
        "environment": placement.environment,
    }
