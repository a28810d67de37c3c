"""`numa-trio health`: asks the agent that runs here whether it is ready."""

import argparse
import os
from typing import TYPE_CHECKING

from numa_trio.commands.terminal import complain
from numa_trio.plain_text import escaped_lines

if TYPE_CHECKING:
    from numa_trio.setting_values import HttpAddress

HELP = "Ask the agent of this machine or container whether it is ready."

_READY = 200
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104  nothing is bound here
_LARGEST = 1 << 20  # bytes of an answer; that of 1,024 resources has 200,000


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
    from numa_trio.settings import BadConfiguration, load_settings

    try:
        address = load_settings(os.environ).http_addr
    except BadConfiguration as problem:
        complain(problem)
        return 2
    if address is None or not address.port:
        complain("NUMA_HTTP_ADDR: expected an address with a port; without it, nobody can be asked")
        return 2
    status, text = _ask(address, arguments.timeout)
    if status is None:
        complain(text)
        return 1
    print(escaped_lines(text), end="")
    return 0 if status == _READY else 1


def _ask(address: "HttpAddress", timeout: float) -> tuple[int | None, str]:
    """The status and the text of the answer; no status, but the reason, if there is none."""
    import http.client
    import socket

    # An agent that listens on every address listens on these.
    hosts = ["127.0.0.1", "::1"] if address.host in _EVERYWHERE else [address.host]
    reason = ""
    for host in hosts:
        connection = http.client.HTTPConnection(host, address.port, timeout=timeout)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            return answer.status, answer.read(_LARGEST).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as problem:
            said = "no answer in time" if isinstance(problem, socket.timeout) else problem
            reason = reason or f"{host}, port {address.port}: {said}"
        finally:
            connection.close()
    return None, f"the agent does not answer on {reason}"
