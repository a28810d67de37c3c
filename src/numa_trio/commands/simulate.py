"""`numa-trio simulate`: runs the agent beside a kubelet stand-in, on a machine of one's choice.

docs/simulate.md describes what it checks, the machines, and the fields of `--output json`.
"""

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console
    from rich.table import Table

    from numa_trio.settings import Settings
    from numa_trio.simulator.admission import Verdict
    from numa_trio.simulator.node import Placement, SimulatedMachine
    from numa_trio.simulator.simulation import Plan, Report

HELP = "try the agent, pods and a kubelet restart on this or another machine, without a cluster"

_HOST = "host"
_INTERRUPTED = 128  # and the number of the signal, as shells have it

# More columns than any table takes.
_BOUNDLESS = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--machine",
        default="two-node-server",
        metavar="NAME|FILE|host",
        help="two-node-server (the default), eight-node-epyc, gpu-memory, sparse, a YAML file that"
        " describes a machine, or host for this one",
    )
    parser.add_argument(
        "--pod",
        action="extend",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="manifests of the pods to run (default: the examples and some more)",
    )
    parser.add_argument(
        "--policy",
        choices=["none", "best-effort", "restricted", "single-numa-node"],
        default="single-numa-node",
        help="kubelet's topology manager policy (default: single-numa-node)",
    )
    parser.add_argument(
        "--scope",
        choices=["container", "pod"],
        default="container",
        help="kubelet's topology manager scope (default: container)",
    )
    parser.add_argument(
        "--capacity",
        metavar="N",
        help="slots of each NUMA node (default: NUMA_CAPACITY, else 100)",
    )
    parser.add_argument(
        "--reserved-cpus",
        type=int,
        default=1,
        metavar="N",
        help="CPUs that kubelet keeps for the system (default: 1)",
    )
    parser.add_argument(
        "--output",
        choices=["text", "json"],
        default="text",
        help="a timeline and a table for people or JSON for programs (default: text)",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="show the agent's log, also if all went well"
    )
    parser.epilog = (
        "Exit status: 0 if every pod got what its manifest asks for, or was refused for the reason"
        " that a real kubelet gives; 1 if not; 2 for a bad file or configuration. The agent takes"
        " its other settings from the environment, as `numa-trio run` does."
    )


def main(arguments: argparse.Namespace) -> int:
    """Simulate and print; returns the exit status."""
    import tempfile

    from numa_trio.settings import BadConfiguration
    from numa_trio.simulator.fields import BadFile
    from numa_trio.simulator.node import KubeletWillNotStart
    from numa_trio.topology.sysfs import SysfsError

    try:
        plan = _plan(arguments)
        with tempfile.TemporaryDirectory(prefix="numa-trio-") as directory:
            _check_path_length(plan, Path(directory))
            return _simulate(plan, Path(directory), arguments)
    except (BadConfiguration, BadFile, KubeletWillNotStart, SysfsError) as problem:
        print(f"numa-trio simulate: {problem}", file=sys.stderr)
        return 2


def _simulate(plan: "Plan", directory: Path, arguments: argparse.Namespace) -> int:
    import trio
    from rich.console import Console

    from numa_trio.simulator.simulation import AGENT_LOG

    as_json = arguments.output == "json"
    console = Console(stderr=as_json, highlight=False, markup=False, emoji=False, soft_wrap=True)
    with _Watcher(console) as watcher:
        report = trio.run(_run, plan, directory, watcher)
    if isinstance(report, signal.Signals):
        print(f"numa-trio simulate: {report.name}: the agent was ended", file=sys.stderr)
        return _INTERRUPTED + report
    if as_json:
        _print_json(plan, report)
    else:
        _print_text(plan, report)
    if arguments.verbose or report.problems:
        _print_log(directory / AGENT_LOG)
    return 1 if report.problems else 0


async def _run(plan: "Plan", directory: Path, watcher: "_Watcher") -> "Report | signal.Signals":
    """Simulate until done, or until a signal says to leave off."""
    import trio

    from numa_trio.simulator.simulation import simulate

    outcome: Report | signal.Signals | None = None

    async def leave_off() -> None:
        nonlocal outcome
        async for number in signals:
            outcome = signal.Signals(number)
            nursery.cancel_scope.cancel()

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave_off)
            outcome = await simulate(plan, directory, watcher)
            nursery.cancel_scope.cancel()
    assert outcome is not None
    return outcome


# --- what is simulated


def _plan(arguments: argparse.Namespace) -> "Plan":
    import os

    from numa_trio.plugin.advertising import advertise
    from numa_trio.plugin.resource import NumaResource
    from numa_trio.settings import load_settings
    from numa_trio.simulator.builtin_pods import builtin_pods
    from numa_trio.simulator.hints import Policy, Scope
    from numa_trio.simulator.manifest import load_manifests
    from numa_trio.simulator.node import KubeletConfig, Node
    from numa_trio.simulator.simulation import Plan

    variables = {**os.environ, "NUMA_HTTP_ADDR": "", "NUMA_LOG_FORMAT": "text"}
    variables.pop("NUMA_SOCKET_DIR", None)
    if arguments.capacity is not None:
        variables["NUMA_CAPACITY"] = arguments.capacity
    settings = load_settings(variables)
    machine = _machine(arguments.machine, settings)
    config = KubeletConfig(
        Policy(arguments.policy), Scope(arguments.scope), arguments.reserved_cpus
    )
    Node.create(machine, config)  # before anything is started
    resources = tuple(
        NumaResource(verdict.node.id, settings.capacity, domain=settings.resource_domain)
        for verdict in advertise(machine.machine, settings.cpuless_nodes)
        if verdict.advertised
    )
    if arguments.pod:
        manifests = load_manifests(arguments.pod)
        for line in manifests.skipped:
            print(line, file=sys.stderr)
        pods = manifests.pods
    else:
        pods = builtin_pods(machine, resources)
    sysfs_root = settings.sysfs_root if arguments.machine == _HOST else None
    return Plan(machine, config, resources, pods, variables, sysfs_root)


def _check_path_length(plan: "Plan", directory: Path) -> None:
    from numa_trio.settings import BadConfiguration, check_socket_paths
    from numa_trio.simulator.simulation import SOCKET_DIR

    try:
        check_socket_paths(directory / SOCKET_DIR, plan.variables.get("NUMA_INSTANCE", ""))
    except BadConfiguration as problem:
        raise BadConfiguration(f"{problem}; temporary directories are made in TMPDIR") from None


def _machine(choice: str, settings: "Settings") -> "SimulatedMachine":
    from numa_trio.simulator.fields import BadFile
    from numa_trio.simulator.machine_file import load_machine, shipped_machines
    from numa_trio.simulator.sysfs_tree import read_simulated_machine

    if choice == _HOST:
        return read_simulated_machine(settings.sysfs_root, _HOST)
    shipped = shipped_machines()
    path = shipped.get(choice, Path(choice))
    if path.suffix not in {".yaml", ".yml"} and not path.exists():
        raise BadFile(
            f"--machine {choice!r}: no such machine; expected {', '.join(shipped)}, {_HOST},"
            " or a YAML file that describes one"
        )
    return load_machine(path)


# --- what is shown


class _Watcher:
    """Tells what happens as it happens, and on a terminal also what is being waited for."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._status = console.status("starting")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def happened(self, seconds: float, what: str) -> None:
        self._console.print(f"{seconds:6.2f} s  {what}")

    def waiting(self, what: str) -> None:
        self._status.update(f"waiting for {what}")


def _print_text(plan: "Plan", report: "Report") -> None:
    from rich.console import Console

    # Where it is no window that sets the width, lines stay whole, for grep and the like.
    width = None if sys.stdout.isatty() else _BOUNDLESS
    console = Console(width=width, highlight=False, markup=False, emoji=False)
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
        console.print(
            f"Each of the {len(plan.pods)} pods got what its manifest asks for,"
            " or was refused as a real cluster refuses it.",
            style="green",
            soft_wrap=True,
        )
    elif plan.config.policy in {"none", "best-effort"}:
        console.print(
            f"(With the topology manager policy {plan.config.policy}, kubelet does not promise to"
            " place pods on the node that they ask for.)",
            soft_wrap=True,
        )


def _print_log(log: Path) -> None:
    sys.stdout.flush()
    print("\nThe agent's log:", file=sys.stderr)
    sys.stderr.write(log.read_text(errors="replace") if log.exists() else "(none)\n")


def _table(plan: "Plan", verdicts: "Sequence[Verdict]") -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from numa_trio.simulator.pod import ContainerKind
    from numa_trio.topology.lists import format_list

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for heading in ("Pod", "Container", "Verdict", "Node", "CPUs", "Memory", "Environment"):
        table.add_column(heading, overflow="fold")
    for verdict in verdicts:
        if not verdict.admitted:
            table.add_row(verdict.pod.name, "", Text(str(verdict.reason), style="yellow"))
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


def _remarks(verdicts: "Sequence[Verdict]") -> "Iterator[str]":
    """Why pods were refused, and why containers that ask for a node share their CPUs."""
    from collections import defaultdict

    from numa_trio.simulator.expectation import why_not_pinned

    pods_by_message = defaultdict(list)
    for verdict in verdicts:
        if verdict.message is not None:
            pods_by_message[verdict.message].append(verdict.pod.name)
    for message, names in pods_by_message.items():
        yield f"{', '.join(names)}: {message}"
    for verdict in verdicts:
        for placement in verdict.placements:
            container = placement.container
            if container.devices and (reason := why_not_pinned(verdict.pod, container)):
                yield f"{verdict.pod.name}/{container.name}: not pinned to CPUs: {reason}"


def _print_json(plan: "Plan", report: "Report") -> None:
    import json

    document = {
        "machine": plan.machine.name,
        "policy": plan.config.policy,
        "scope": plan.config.scope,
        "capacity": plan.resources[0].capacity,
        "ok": not report.problems,
        "problems": report.problems,
        "timeline": [
            {"seconds": round(seconds, 3), "event": what} for seconds, what in report.timeline
        ],
        "recovery_seconds": report.recovery_seconds and round(report.recovery_seconds, 3),
        "rounds": [
            {"kubelet": number, "pods": [_json_pod(plan, verdict) for verdict in verdicts]}
            for number, verdicts in enumerate(report.verdicts, start=1)
        ],
    }
    print(json.dumps(document, indent=2))


def _json_pod(plan: "Plan", verdict: "Verdict") -> "dict[str, object]":
    return {
        "name": verdict.pod.name,
        "namespace": verdict.pod.namespace,
        "qos": verdict.pod.qos,
        "admitted": verdict.admitted,
        "reason": verdict.reason,
        "message": verdict.message,
        "containers": [_json_container(plan, placement) for placement in verdict.placements],
    }


def _json_container(plan: "Plan", placement: "Placement") -> "dict[str, object]":
    from numa_trio.topology.lists import format_list

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


def _nodes_of_cpus(plan: "Plan", placement: "Placement") -> set[int]:
    return {cpu.node for cpu in plan.machine.cpus if cpu.id in placement.cpus}
