"""`numa-trio run`: the agent, as the DaemonSet runs it."""

import argparse
import os
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
    import logging

    import trio

    from numa_trio.agent.service import run_agent
    from numa_trio.logs import configure_logging
    from numa_trio.settings import BadConfiguration, load_settings, unknown_variables
    from numa_trio.topology.sysfs import SysfsRootMissing

    status = 0
    try:
        settings = load_settings(os.environ)
        configure_logging(settings.log_format, settings.log_level)
        for name, nearest in unknown_variables(os.environ):
            hint = f"; did you mean {nearest}?" if nearest else ""
            logging.getLogger(__name__).warning("%s is set, but not known%s", name, hint)
        trio.run(run_agent, settings)
    except* (BadConfiguration, SysfsRootMissing) as problems:
        for problem in _flatten(problems):
            print(f"numa-trio: bad configuration:\n{problem}", file=sys.stderr)
        status = 2
    return status


def _flatten(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for problem in group.exceptions:
        found += _flatten(problem) if isinstance(problem, BaseExceptionGroup) else [problem]
    return found
