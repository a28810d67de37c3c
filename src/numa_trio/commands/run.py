"""`numa-trio run`: the agent, as the DaemonSet runs it."""

import argparse
import os
import signal
import sys

HELP = "Serve the NUMA nodes of this machine to kubelet, until SIGTERM or SIGINT."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """List the environment variables in the help; there are no options."""
    from numa_trio.settings import known_variables

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    lines = [f"  {name:<24}{meaning}" for name, meaning in known_variables().items()]
    parser.epilog = "\n".join(["environment variables:", *lines])


def main(_arguments: argparse.Namespace) -> int:
    """Run the agent; 0 when it was told to stop, 2 if the configuration cannot be used."""
    # Until the agent runs, and once it has ended, there is nothing to clean up.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    import logging

    import trio

    from numa_trio.agent.service import run_agent
    from numa_trio.commands.limits import AGENT, allow_open_files
    from numa_trio.commands.terminal import complain
    from numa_trio.exception_groups import flattened
    from numa_trio.logs import configure_logging
    from numa_trio.settings import BadConfiguration, load_settings, unknown_variables
    from numa_trio.topology.sysfs import SysfsRootMissing

    unknown = [
        f"{name} is set, but not known" + (f"; did you mean {nearest}?" if nearest else "")
        for name, nearest in unknown_variables(os.environ)
    ]
    status = 0
    try:
        settings = load_settings(os.environ)
        configure_logging(settings.log_format, settings.log_level, settings.host_name)
        for remark in unknown:
            logging.getLogger(__name__).warning("%s", remark)
        allow_open_files(AGENT)
        trio.run(run_agent, settings)
    except* (BadConfiguration, SysfsRootMissing) as problems:
        complain(
            "\n".join(["numa-trio: bad configuration:", *map(str, flattened(problems)), *unknown])
        )
        status = 2
    return status
