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
from numa_trio.simulator.expectation import why_not_pinned
from numa_trio.simulator.hints import Policy
from numa_trio.simulator.node import Placement
from numa_trio.simulator.simulation import Plan, Report
from numa_trio.topology.lists import format_list
from numa_trio.workloads.pod import ContainerKind

_HEADINGS = ("Pod", "Container", "Verdict", "Node", "CPUs", "Memory", "Environment")


def print_report(plan: Plan, report: Report, console: Console) -> None:
    """The pods before and after the restart, and what was not as it should be."""
    for number, verdicts in enumerate(report.verdicts):
        if number and verdicts == report.verdicts[0]:
            console.print("\nAfter the restart every pod was placed or refused in the same way.")
            continue
        console.print("\nPods" + (" after the restart" if number else ""), style="bold")
        console.print(_table(plan, verdicts))
        for line in _remarks(verdicts):
            console.print(line, soft_wrap=True)
    for problem in report.problems:
        console.print(f"Not as it should be: {problem}", style="red", soft_wrap=True)
    if not report.problems:
        pods = f"Each of the {len(plan.pods)} pods" if len(plan.pods) > 1 else "The pod"
        console.print(
            f"{pods} got what its manifest asks for, or was refused as a real cluster refuses it.",
            style="green",
            soft_wrap=True,
        )
    elif plan.config.policy in {Policy.NONE, Policy.BEST_EFFORT}:
        console.print(
            f"(With the topology manager policy {plan.config.policy}, kubelet does not promise to"
            " place pods on the node that they ask for.)",
            soft_wrap=True,
        )


def as_object(plan: Plan, report: Report) -> dict[str, object]:
    """The report in types that JSON has."""
    recovery = report.recovery_seconds
    return {
        "machine": plan.machine.name,
        "policy": plan.config.policy,
        "scope": plan.config.scope,
        "capacity": plan.resources[0].capacity,
        "ok": not report.problems,
        "problems": report.problems,
        "timeline": [
            {"seconds": round(seconds, 3), "event": what} for seconds, what in report.timeline
        ],
        "recovery_seconds": None if recovery is None else round(recovery, 3),
        "admitted_again": [_outcome(verdict) for verdict in report.again],
        "rounds": [
            {"kubelet": number, "pods": [_pod(plan, verdict) for verdict in verdicts]}
            for number, verdicts in enumerate(report.verdicts, start=1)
        ],
    }


def _table(plan: Plan, verdicts: Sequence[Verdict]) -> Table:
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
                format_list(_nodes_of_cpus(plan, placement)) if placement.exclusive else "any",
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


def _outcome(verdict: Verdict) -> dict[str, object]:
    return {
        "name": verdict.pod.name,
        "namespace": verdict.pod.namespace,
        "qos": verdict.pod.qos,
        "admitted": verdict.admitted,
        "reason": verdict.reason,
        "message": verdict.message,
    }


def _pod(plan: Plan, verdict: Verdict) -> dict[str, object]:
    return _outcome(verdict) | {
        "containers": [_container(plan, placement) for placement in verdict.placements],
    }


def _container(plan: Plan, placement: Placement) -> dict[str, object]:
    return {
        "name": placement.container.name,
        "kind": placement.container.kind,
        "cpus": format_list(placement.cpus),
        "exclusive": placement.exclusive,
        "numa_nodes": sorted(_nodes_of_cpus(plan, placement)),
        "memory_nodes": sorted(placement.memory_nodes),
        "memory_bound": placement.memory_bound,
        "devices": placement.devices,
        "environment": placement.environment,
    }


def _nodes_of_cpus(plan: Plan, placement: Placement) -> set[int]:
    return {cpu.node for cpu in plan.machine.cpus if cpu.id in placement.cpus}
