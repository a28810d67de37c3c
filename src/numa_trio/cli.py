"""The command line: `numa-trio [COMMAND]`; without a command it runs the agent."""

import argparse
import errno
import signal
import sys
from collections.abc import Sequence

from numa_trio import __version__
from numa_trio.commands import doctor, health, lint, run, simulate, topology
from numa_trio.commands.streams import OutputFailed, drop_output, make_streams_safe
from numa_trio.commands.terminal import complain
from numa_trio.exception_groups import flattened

# Each module is light until its main() is called.
_COMMANDS = {
    "run": run,
    "health": health,
    "lint": lint,
    "simulate": simulate,
    "topology": topology,
    "doctor": doctor,
}


def build_parser() -> argparse.ArgumentParser:
    """The parser with every subcommand; the chosen module is in `module`."""
    parser = argparse.ArgumentParser(
        prog="numa-trio",
        description="Offer each NUMA node of this machine to Kubernetes as an extended resource.",
        epilog="Without a command, `numa-trio run` is meant.",
    )
    parser.add_argument("--version", action="version", version=f"numa-trio {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, module in _COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        command.set_defaults(module=module)
        module.add_arguments(command)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status.

    0: all went well. 1: the command failed, or its output could not be written. 2: the usage, the
    configuration or a file that was given is bad. 128 and the number of a signal, where one ended
    it (the agent ends with 0).
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    make_streams_safe()
    try:
        return _printing(words)
    except* OutputFailed as failures:
        drop_output()
        # Whoever read the output may have seen enough, as in `… | head`.
        for problem in flattened(failures):
            if isinstance(problem, OutputFailed) and problem.errno != errno.EPIPE:
                complain(f"numa-trio: cannot write to standard output: {problem.strerror}")
    return 1


def _printing(words: Sequence[str]) -> int:
    """The status of a command whose output has been written out."""
    try:
        chosen = build_parser().parse_args(words or ["run"])
        if not hasattr(chosen, "module"):
            build_parser().error("expected a command")
        # The agent must hide no error: a traceback is for whoever looks into a crash.
        return chosen.module.main(chosen) if chosen.module is run else _for_a_person(chosen)
    finally:
        sys.stdout.flush()


def _for_a_person(chosen: argparse.Namespace) -> int:
    status = 1
    try:
        status = chosen.module.main(chosen)
    except* OutputFailed:
        raise
    except* OSError as problems:
        for problem in flattened(problems):
            complain(f"numa-trio: {problem}")
    except* KeyboardInterrupt:
        status = 128 + signal.SIGINT
    return status
