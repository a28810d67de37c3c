"""`numa-trio simulate`: runs the agent against a kubelet stand-in, on a chosen machine.

docs/simulate.md describes what it checks, the machines, and the fields of `--output json`.
"""

import argparse
import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from numa_trio.commands.terminal import complain, open_console
from numa_trio.plain_text import escaped_lines

if TYPE_CHECKING:
    from rich.console import Console

    from numa_trio.settings import Settings
    from numa_trio.simulator.cpus import SimulatedMachine
    from numa_trio.simulator.simulation import Plan, Report

HELP = "Try the agent, pods and a kubelet restart on this or another machine, without a cluster."

_HOST = "host"
_FILES_EACH = 4  # open for each resource, here and in the agent
_INTERRUPTED = 128  # and the number of the signal, as shells have it

_LONGEST = 30  # seconds for an option; a simulation waits twice as long for anything

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
        "--reserved-system-cpus",
        metavar="LIST",
        help="which CPUs these are, such as 0-1,8 (default: kubelet chooses)",
    )
    parser.add_argument(
        "--full-pcpus-only",
        action="store_true",
        help="with the CPU manager's policy option of this name",
    )
    parser.add_argument(
        "--prefer-closest-numa-nodes",
        action="store_true",
        help="with the topology manager's policy option of this name",
    )
    parser.add_argument(
        "--max-allowable-numa-nodes",
        type=int,
        default=8,
        metavar="N",
        help="the topology manager's policy option of this name (default: 8)",
    )
    parser.add_argument(
        "--admit-again",
        type=_seconds,
        default=2.0,
        metavar="SECONDS",
        help="from the new kubelet.sock until kubelet admits the running pods again (default: 2)",
    )
    parser.add_argument(
        "--hold-agent",
        type=_seconds,
        metavar="SECONDS",
        help="freeze the agent while kubelet restarts, until so long after the new kubelet.sock:"
        " a look at what happens to running pods when a plugin is late",
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
        " that a real kubelet gives; 1 if not; 2 for a bad file or configuration; 129, 130 or 143"
        " if SIGHUP, SIGINT (Ctrl-C) or SIGTERM ended it. The agent takes its other settings from"
        " the environment, as `numa-trio run` does."
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds from 0 to {_LONGEST}")
    return seconds


def main(arguments: argparse.Namespace) -> int:
    """Simulate and print; returns the exit status."""
    import tempfile

    from numa_trio.commands.limits import AGENT, allow_open_files
    from numa_trio.settings import BadConfiguration
    from numa_trio.simulator.kubelet_config import KubeletWillNotStart
    from numa_trio.topology.sysfs import SysfsError
    from numa_trio.workloads.fields import BadFile

    try:
        plan = _plan(arguments)
        allow_open_files(AGENT + _FILES_EACH * len(plan.resources))
        with tempfile.TemporaryDirectory(prefix="numa-trio-") as directory:
            _check_path_length(plan, Path(directory))
            return _simulate(plan, Path(directory), arguments)
    except (BadConfiguration, BadFile, KubeletWillNotStart, SysfsError) as problem:
        complain(f"numa-trio simulate: {problem}")
        return 2
    except KeyboardInterrupt:  # before anything was started
        return _INTERRUPTED + signal.SIGINT


def _simulate(plan: "Plan", directory: Path, arguments: argparse.Namespace) -> int:
    import json

    import trio

    from numa_trio.simulator.report import as_object, print_report
    from numa_trio.simulator.simulation import AGENT_LOG

    as_json = arguments.output == "json"
    console = open_console(sys.stderr if as_json else sys.stdout, soft_wrap=True)
    with _Watcher(console) as watcher:
        report = trio.run(_run, plan, directory, watcher)
    if isinstance(report, signal.Signals):
        with _terminal_may_be_gone(sys.stderr):
            print(f"numa-trio simulate: {report.name}: the agent was ended", file=sys.stderr)
        return _INTERRUPTED + report
    if as_json:
        print(json.dumps(as_object(plan, report), indent=2))
    else:
        # Without a terminal, lines are not wrapped: for grep and the like.
        width = None if sys.stdout.isatty() else _BOUNDLESS
        print_report(plan, report, open_console(sys.stdout, width=width))
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

    # Under nohup the end of the terminal is to be ignored.
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    hangup = () if ignored else (signal.SIGHUP,)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, *hangup) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave_off)
            outcome = await simulate(plan, directory, watcher)
            nursery.cancel_scope.cancel()
    assert outcome is not None
    return outcome


def _plan(arguments: argparse.Namespace) -> "Plan":
    import os

    from numa_trio.plugin.advertising import advertise
    from numa_trio.plugin.resource import NumaResource
    from numa_trio.settings import load_settings
    from numa_trio.simulator.builtin_pods import builtin_pods
    from numa_trio.simulator.hints import Policy, Scope
    from numa_trio.simulator.kubelet_config import KubeletConfig
    from numa_trio.simulator.node import Node
    from numa_trio.simulator.simulation import Plan
    from numa_trio.workloads.manifest import load_manifests

    variables = {**os.environ, "NUMA_HTTP_ADDR": "", "NUMA_LOG_FORMAT": "text"}
    variables.pop("NUMA_SOCKET_DIR", None)
    if arguments.capacity is not None:
        variables["NUMA_CAPACITY"] = arguments.capacity
    settings = load_settings(variables)
    machine = _machine(arguments.machine, settings)
    config = KubeletConfig(
        Policy(arguments.policy),
        Scope(arguments.scope),
        _reserved_cpus(arguments),
        full_pcpus_only=arguments.full_pcpus_only,
        prefer_closest_numa_nodes=arguments.prefer_closest_numa_nodes,
        max_allowable_numa_nodes=arguments.max_allowable_numa_nodes,
    )
    Node.create(machine, config)  # before anything is started
    resources = tuple(
        NumaResource.of_node(verdict.node.id, settings.capacity, settings.resource_domain)
        for verdict in advertise(machine.machine, settings.cpuless_nodes)
        if verdict.advertised
    )
    if arguments.pod:
        manifests = load_manifests(arguments.pod)
        for line in manifests.skipped:
            complain(line)
        pods = manifests.pods
    else:
        pods = builtin_pods(machine, resources)
    sysfs_root = settings.sysfs_root if arguments.machine == _HOST else None
    return Plan(
        machine,
        config,
        resources,
        pods,
        variables,
        sysfs_root,
        admit_again=arguments.admit_again,
        hold_agent=arguments.hold_agent,
    )


def _reserved_cpus(arguments: argparse.Namespace) -> int | frozenset[int]:
    from numa_trio.settings import BadConfiguration
    from numa_trio.topology.lists import MalformedText, parse_list

    text = arguments.reserved_system_cpus
    if text is None:
        count: int = arguments.reserved_cpus
        return count
    try:
        return parse_list(text)
    except MalformedText as problem:
        raise BadConfiguration(f"--reserved-system-cpus: {problem}") from None


def _check_path_length(plan: "Plan", directory: Path) -> None:
    from numa_trio.settings import BadConfiguration, check_socket_paths
    from numa_trio.simulator.simulation import SOCKET_DIR

    try:
        check_socket_paths(directory / SOCKET_DIR, plan.variables.get("NUMA_INSTANCE", ""))
    except BadConfiguration as problem:
        raise BadConfiguration(f"{problem}; temporary directories are made in TMPDIR") from None


def _machine(choice: str, settings: "Settings") -> "SimulatedMachine":
    import os

    from numa_trio.simulator.machine_file import load_machine, shipped_machines
    from numa_trio.simulator.sysfs_tree import read_simulated_machine
    from numa_trio.workloads.fields import BadFile

    if choice == _HOST:
        return read_simulated_machine(settings.sysfs_root, _HOST)
    shipped = shipped_machines()
    path = shipped.get(choice, Path(choice))
    there = os.path.exists(path)  # noqa: PTH110  Path.exists raises where the name is too long
    if path.suffix not in {".yaml", ".yml"} and not there:
        raise BadFile(
            f"--machine {choice!r}: no such machine; expected {', '.join(shipped)}, {_HOST},"
            " or a YAML file that describes one"
        )
    return load_machine(path)


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
        with _terminal_may_be_gone(self._console.file):
            self._status.stop()

    def happened(self, seconds: float, what: str) -> None:
        with _terminal_may_be_gone(self._console.file):
            self._console.print(f"{seconds:6.2f} s  {what}")

    def waiting(self, what: str) -> None:
        with _terminal_may_be_gone(self._console.file):
            self._status.update(f"waiting for {what}")


@contextlib.contextmanager
def _terminal_may_be_gone(stream: IO[str]) -> Iterator[None]:
    """Let writing to a closed terminal fail in silence: it is SIGHUP that says what to do."""
    import errno
    import os

    try:
        yield
    except OSError as problem:
        if problem.errno != errno.EIO:
            raise
        # What is still in buffers must not fail again when the interpreter flushes them.
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())


def _print_log(log: Path) -> None:
    sys.stdout.flush()
    print("\nThe agent's log:", file=sys.stderr)
    text = log.read_text(errors="backslashreplace") if log.exists() else "(none)\n"
    sys.stderr.write(escaped_lines(text))
