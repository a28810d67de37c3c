"""`numa-trio doctor`: checks a server against what alignment needs.

docs/doctor.md has a section for each check, the files of a capture, and the fields of
`--output json`.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from numa_trio.commands.streams import OutputFailed
from numa_trio.commands.terminal import complain

if TYPE_CHECKING:
    from numa_trio.doctor.evidence.gather import Evidence
    from numa_trio.doctor.evidence.host_files import HostFiles
    from numa_trio.doctor.evidence.kubelet_config import KubeletConfig
    from numa_trio.doctor.evidence.observations import Observations
    from numa_trio.setting_values import HttpAddress

HELP = "Check this or a captured server: would kubelet start, and would it align pods?"

EPILOG = """\
examples:
  numa-trio doctor                           check this server (as root, to see all of it)
  numa-trio doctor --agent 10.42.0.7:9410    and ask the agent's pod whether it is ready
  numa-trio doctor --capture node-a.tar.gz   write what doctor reads, to be looked at elsewhere
  numa-trio doctor --root node-a.tar.gz      look at it

exit status: 0: nothing to change; 1: errors or warnings; 2: bad usage, or nothing can be seen"""

_HOST = Path("/")
_TIMEOUT = 5.0  # seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        "--root",
        type=Path,
        default=_HOST,
        metavar="PATH",
        help="where the server's / is seen: a directory, or a capture (default: /)",
    )
    parser.add_argument(
        "--output",
        choices=["text", "json"],
        default="text",
        help="a report for people or JSON for programs (default: text)",
    )
    parser.add_argument(
        "--capture",
        type=Path,
        metavar="FILE",
        help="write what doctor reads to this .tar.gz instead: no secrets, only what the checks"
        " know (docs/doctor.md lists it)",
    )
    parser.add_argument(
        "--agent",
        metavar="HOST:PORT",
        help="where the agent answers (default: NUMA_HTTP_ADDR, else port 9410 of this machine)",
    )
    parser.add_argument(
        "--pinned-by",
        choices=["kubelet", "runtime"],
        help="who is to pin: kubelet's static managers, or the container runtime (docs/runtime.md);"
        " default: what the agent says, else kubelet",
    )
    parser.add_argument(
        "--this-kernel",
        action="store_true",
        help="take /sys, and /proc without the processes, from here instead of --root: for a pod",
    )


def main(arguments: argparse.Namespace) -> int:
    """Look and print; returns 0 if all is well, 1 for errors and warnings, 2 if it cannot look."""
    from numa_trio.doctor.archive import open_root
    from numa_trio.doctor.evidence.observations import NotACapture

    try:
        address = _address(arguments.agent)
        with open_root(arguments.root) as root:
            return _look(arguments, root, address)
    except (NotACapture, ValueError) as problem:
        complain(f"numa-trio doctor: {problem}")
    except OutputFailed:
        raise
    except OSError as problem:
        complain(f"numa-trio doctor: {problem.filename or arguments.root}: {problem.strerror}")
    return 2


def _address(given: str | None) -> "HttpAddress | None":
    """Where to ask the agent. Raises `ValueError`."""
    from numa_trio.setting_values import parse_http_address
    from numa_trio.settings import BadConfiguration, load_settings

    try:
        address = (
            load_settings(os.environ).http_addr if given is None else parse_http_address(given)
        )
    except BadConfiguration as problem:
        raise ValueError(str(problem)) from None
    except ValueError as problem:
        raise ValueError(f"--agent {given}: {problem}") from None
    return address if address is not None and address.port else None


def _look(arguments: argparse.Namespace, root: Path, address: "HttpAddress | None") -> int:
    from numa_trio.doctor.evidence.gather import gather
    from numa_trio.doctor.evidence.host_files import HostFiles
    from numa_trio.doctor.evidence.observations import FILE, NotACapture, decode
    from numa_trio.doctor.evidence.seen import Missing
    from numa_trio.doctor.examine import examine

    kernel = _HOST if arguments.this_kernel else None
    recorded = HostFiles(root).read(FILE)
    if isinstance(recorded, Missing):
        files = HostFiles(root, kernel=kernel)
        live = root == _HOST or arguments.agent is not None
        observe = _live(files, address if live else None)
    else:
        seen, unreadable = decode(recorded)
        files = HostFiles(root, unreadable)

        def observe(_: "KubeletConfig") -> "Observations":
            return seen

    sysfs = files.where("/sys")
    pinned_by: str | None = arguments.pinned_by
    by_runtime = None if pinned_by is None else pinned_by == "runtime"
    evidence = gather(files, (kernel or root) / "sys", observe, by_runtime=by_runtime)
    if isinstance(evidence.machine, Missing) and not evidence.config.sources:
        raise NotACapture(
            f"{arguments.root}: shows neither NUMA nodes nor settings of kubelet; expected the / of"
            " a server, or a capture"
        )
    if arguments.capture is not None:
        return _capture(arguments.capture, files, sysfs, evidence)
    findings = examine(evidence)
    if arguments.output == "json":
        from numa_trio.commands.doctor_json import print_json

        print_json(evidence, findings)
    else:
        from numa_trio.commands.doctor_text import print_text

        print_text(findings)
    return int(any(finding.verdict.severity.counts for finding in findings))


def _live(
    files: "HostFiles", address: "HttpAddress | None"
) -> "Callable[[KubeletConfig], Observations]":
    """How to observe a host that runs."""
    from numa_trio.doctor.ask import ask_allocatable
    from numa_trio.doctor.evidence.observations import observe
    from numa_trio.doctor.evidence.readyz import ask_readyz
    from numa_trio.doctor.evidence.seen import Missing

    def look(config: "KubeletConfig") -> "Observations":
        agent = Missing("no agent was asked (--agent)")
        answer = agent if address is None else ask_readyz(address, _TIMEOUT)
        socket = files.where(f"{config.root}/pod-resources/kubelet.sock")
        return observe(files, answer, ask_allocatable(socket))

    return look


def _capture(out: Path, files: "HostFiles", sysfs: Path, evidence: "Evidence") -> int:
    from numa_trio.doctor.capture import write_capture

    names = write_capture(out, files, sysfs, evidence)
    print(f"{out}: {len(names)} files. To look at it: numa-trio doctor --root {out}")
    return 0
