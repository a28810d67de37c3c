"""`numa-trio simulate`: runs the agent against a kubelet stand-in, on a chosen machine.

docs/simulate.md describes what it checks, the machines, and the fields of `--output json`.
"""

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from numa_trio.commands.simulate_options import add_arguments as add_arguments
from numa_trio.commands.terminal import complain, open_console
from numa_trio.plain_text import escaped_lines

if TYPE_CHECKING:
    from numa_trio.commands.simulate_run import Job
    from numa_trio.simulator.trial import Setup

HELP = "Try the agent, pods and a kubelet restart on this or another machine, without a cluster."

_FILES_EACH = 4  # open for each resource, here and in the agent
_INTERRUPTED = 128  # and the number of the signal, as shells have it


def main(arguments: argparse.Namespace) -> int:
    """Simulate and print; returns the exit status."""
    import tempfile

    from numa_trio.commands.simulate_near import with_near
    from numa_trio.commands.simulate_plan import check_path_length, read_plan, read_setup
    from numa_trio.commands.simulate_run import Job
    from numa_trio.settings import BadConfiguration
    from numa_trio.simulator.kubelet_config import KubeletWillNotStart
    from numa_trio.topology.sysfs import SysfsError
    from numa_trio.workloads.fields import BadFile

    try:
        setup = read_setup(arguments)
        _allow_open_files(setup)
        setup = with_near(arguments, setup)
        job = Job(setup, read_plan(arguments, setup))
        with tempfile.TemporaryDirectory(prefix="numa-trio-") as directory:
            for folder, each in job.setups.items():
                _allow_open_files(each)
                check_path_length(each, Path(directory, folder))
            return _simulate(job, Path(directory), arguments)
    except (BadConfiguration, BadFile, KubeletWillNotStart, SysfsError) as problem:
        complain(f"numa-trio simulate: {problem}")
        return 2
    except KeyboardInterrupt:  # before anything was started
        return _INTERRUPTED + signal.SIGINT


def _allow_open_files(setup: "Setup") -> None:
    from numa_trio.commands.limits import AGENT, allow_open_files

    resources = len(setup.offer.all_slots) * (1 + len(setup.offer.counted))
    allow_open_files(AGENT + _FILES_EACH * resources)


def _simulate(job: "Job", directory: Path, arguments: argparse.Namespace) -> int:
    import json

    import trio

    from numa_trio.commands.simulate_run import run_job
    from numa_trio.commands.watcher import Watcher, terminal_may_be_gone

    as_json = arguments.output == "json"
    a_table = arguments.scenario or arguments.reboot
    timeline = sys.stderr if as_json or a_table else sys.stdout
    console = open_console(timeline)
    with Watcher(console) as watcher:
        result = trio.run(run_job, job, directory, watcher)
    if isinstance(result, signal.Signals):
        with terminal_may_be_gone(sys.stderr):
            print(f"numa-trio simulate: {result.name}: the agent was ended", file=sys.stderr)
        return _INTERRUPTED + result
    if as_json:
        print(json.dumps(result.as_object(), indent=2))
    else:
        result.show(open_console(sys.stdout))
    if arguments.verbose or result.problems:
        for what, log in result.logs.items():
            _print_log(what, log)
    return 1 if result.problems or result.unmet else 0


def _print_log(what: str, log: Path) -> None:
    sys.stdout.flush()
    print(f"\n{what}:", file=sys.stderr)
    text = log.read_text(errors="backslashreplace") if log.exists() else "(none)\n"
    sys.stderr.write(escaped_lines(text))
