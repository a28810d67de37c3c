"""`numa-trio health`: asks the agent that runs here whether it is ready."""

import argparse
import os

from numa_trio.commands.terminal import complain
from numa_trio.plain_text import escaped_lines

HELP = "Ask the agent of this machine or container whether it is ready."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="how long to wait for the answer (default: 5)",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(
            f"expected a number of seconds above 0, at most 3600, not {text!r}"
        )
    return seconds


def main(arguments: argparse.Namespace) -> int:
    """Print what `/readyz` says; 0: ready, 1: not ready or no answer, 2: there is no HTTP."""
    from numa_trio.doctor.evidence.readyz import READY, ask_readyz
    from numa_trio.doctor.evidence.seen import Missing
    from numa_trio.settings import BadConfiguration, load_settings

    try:
        address = load_settings(os.environ).http_addr
    except BadConfiguration as problem:
        complain(problem)
        return 2
    if address is None or not address.port:
        complain("NUMA_HTTP_ADDR: expected an address with a port; without it, nobody can be asked")
        return 2
    answer = ask_readyz(address, arguments.timeout)
    if isinstance(answer, Missing):
        complain(answer.reason)
        return 1
    print(escaped_lines(answer.text), end="")
    return 0 if answer.status == READY else 1
