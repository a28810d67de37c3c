"""What a simulation came to: tables for people, one object for programs.

docs/simulate.md has the fields of the object.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from numa_trio.plain_text import escaped
from numa_trio.simulator.admission import UNSCHEDULABLE, Verdict
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.expectation import differences, why_not_pinned
from numa_trio.simulator.hints import Policy
from numa_trio.simulator.node import Placement
from numa_trio.simulator.simulation import Plan, Report, Round
from numa_trio.simulator.trial import Record, Setup
from numa_trio.topology.lists import format_list
from numa_trio.workloads.pod import ContainerKind

_HEADINGS = ("Pod", "Container", "Verdict", "Node", "CPUs", "Memory", "Environment")


def print_report(plan: Plan, report: Report, console: Console) -> None:
    """The pods before and after the restart, and what was not as it should be."""
    for number, each in enumerate(report.rounds):
        if number and _alike(each, report.rounds[0]):
            console.print("\nAfter the restart every pod was placed or refused in the same way.")
            continue
        console.print("\nPods" + (" after the restart" if number else ""), style="bold")
        console.print(_table(plan.setup.machine, each.verdicts))
        for line in (*_remarks(each.verdicts), *_counts(plan.setup, each)):
            console.print(line, soft_wrap=True)
    print_problems(plan.setup, report, console)
    if not report.problems:
        pods = f"Each of the {len(plan.pods)} pods" if len(plan.pods) > 1 else "The pod"
        console.print(
            f"{pods} got what its manifest asks for, or was refused as a real cluster refuses it.",
            style="green",
            soft_wrap=True,
        )


def print_problems(setup: Setup, record: Record, console: Console) -> None:
    """What was not as it should be, if anything."""
    for problem in record.problems:
        console.print(f"Not as it should be: {problem}", style="red", soft_wrap=True)
    if record.problems and setup.config.policy in {Policy.NONE, Policy.BEST_EFFORT}:
        console.print(
            f"(With the topology manager policy {setup.config.policy}, kubelet does not promise"
            " to place pods on the node that they ask for.)",
            soft_wrap=True,
        )


def as_object(plan: Plan, report: Report) -> dict[str, object]:
    """The report in types that JSON has."""
    recovery = report.recovery_seconds
    machine = plan.setup.machine
    return {
        **settings_of(plan.setup, report),
        "recovery_seconds": None if recovery is None else round(recovery, 3),
        "admitted_again": [outcome_of(verdict) for verdict in report.again],
        "rounds": [
            {
                "kubelet": number,
                "pods": [pod_of(machine, verdict) for verdict in each.verdicts],
                "allocatable": each.allocatable,
            }
            for number, each in enumerate(report.rounds, start=1)
        ],
    }


def settings_of(setup: Setup, record: Record) -> dict[str, object]:
    """What was simulated, what happened, and whether all was well, in types that JSON has."""
    return {
        "machine": setup.machine.name,
        "policy": setup.config.policy,
        "scope": setup.config.scope,
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


def _table(machine: SimulatedMachine, verdicts: Sequence[Verdict]) -> Table:
    table = Table(*_HEADINGS, box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for column in table.columns:
        column.overflow = "fold"
    for verdict in verdicts:
        if not verdict.admitted:
            outcome = "pending" if verdict.reason == UNSCHEDULABLE else "refused"
            table.add_row(verdict.pod.name, "", Text(escaped(outcome), style="yellow"))
        for placement in verdict.placements:
            kind = placement.container.kind
            table.add_row(
                verdict.pod.name,
                placement.container.name + ("" if kind is ContainerKind.APP else f" ({kind})"),
                Text("runs", style="green"),
                format_list(_nodes_of_cpus(machine, placement)) if placement.exclusive else "any",
                format_list(placement.cpus) if placement.exclusive else "shared",
                format_list(placement.memory_nodes) if placement.memory_bound else "any",
                " ".join(f"{name}={value}" for name, value in placement.environment.items()),
            )
    return table


def _remarks(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Why pods were refused, and why containers that ask for a node share their CPUs."""
    refused = defaultdict(list)
    for verdict in verdicts:
        if not verdict.admitted:
            refused[f"{verdict.reason}: {verdict.message}"].append(verdict.pod.name)
    for why, names in refused.items():
        yield f"{', '.join(names)}: {why}"
    for verdict in verdicts:
        for placement in verdict.placements:
            container = placement.container
            if container.devices and (reason := why_not_pinned(verdict.pod, container)):
                yield f"{verdict.pod.name}/{container.name}: not pinned to CPUs: {reason}"


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
        "numa_nodes": sorted(_nodes_of_cpus(machine, placement)),
        "memory_nodes": sorted(placement.memory_nodes),
        "memory_bound": placement.memory_bound,
        "devices": placement.devices,
        "environment": placement.environment,
    }


def _nodes_of_cpus(machine: SimulatedMachine, placement: Placement) -> set[int]:
    return {cpu.node for cpu in machine.cpus if cpu.id in placement.cpus}
