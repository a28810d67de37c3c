"""`numa-trio run`: the agent, as the DaemonSet runs it."""

import argparse
import os
import signal
import sys

HELP = "Serve the NUMA nodes of this machine to kubelet, until SIGTERM or SIGINT."


_VARIABLES = "environment variables:"


class _Help(argparse.HelpFormatter):
    """Lists the environment variables, which takes modules that the agent does without."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text == _VARIABLES:
            return _describe_variables(width)
        return super()._fill_text(text, width, indent)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """List the environment variables in the help; there are no options."""
    parser.formatter_class = _Help
    parser.epilog = _VARIABLES


def _describe_variables(width: int) -> str:
    """Each variable with its default, and below it what it means; words are not broken."""
    import textwrap

    from numa_trio.settings import defaults, known_variables

    unset = defaults()
    lines = [_VARIABLES]
    for name, meaning in known_variables().items():
        lines.append(f"  {name}" + (f" (default: {unset[name]})" if unset[name] else ""))
        words = textwrap.wrap(
            meaning, max(width - 6, 20), break_long_words=False, break_on_hyphens=False
        )
        lines += (f"      {line}" for line in words)
    return "\n".join(lines)


def main(_arguments: argparse.Namespace) -> int:
    """Run the agent; 0 when it was told to stop, 2 if the configuration cannot be used."""
    # Until the agent runs, and once it has ended, there is nothing to clean up.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    import logging

    import trio

    from numa_trio.agent.service import run_agent
    from numa_trio.agent.service_manager import ServiceManager
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
        trio.run(run_agent, settings, ServiceManager.of(os.environ))
    except* (BadConfiguration, SysfsRootMissing) as problems:
        complain(
            "\n".join(["numa-trio: bad configuration:", *map(str, flattened(problems)), *unknown])
        )
        status = 2
    return status
