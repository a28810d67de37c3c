"""The command line: `numa-trio [COMMAND]`; without a command it runs the agent."""

import argparse
import os
import sys
from collections.abc import Sequence

from numa_trio import __version__
from numa_trio.commands import run, simulate, topology

# Each module is light until its main() is called.
_COMMANDS = {"run": run, "simulate": simulate, "topology": topology}


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
    """Run a command; returns its exit status: 0 well, 1 it failed, 2 bad usage or configuration."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    chosen = build_parser().parse_args(words or ["run"])
    if not hasattr(chosen, "module"):
        build_parser().error("expected a command")
    if chosen.module is not run:  # the agent prints nothing, and must hide no error
        return _printing(chosen)
    return run.main(chosen)


def _printing(chosen: argparse.Namespace) -> int:
    status = 1
    try:
        status = chosen.module.main(chosen)
        sys.stdout.flush()
    except* (BrokenPipeError, SystemExit):  # SystemExit is how rich says it
        # Whoever read the output has seen enough, as in `… | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status
