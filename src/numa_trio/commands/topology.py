"""`numa-trio topology`: shows the NUMA nodes, what is near them, and what is advertised."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from numa_trio.commands.terminal import complain

if TYPE_CHECKING:
    from numa_trio.locality.listing import Listing
    from numa_trio.near.verdicts import NearLook
    from numa_trio.plugin.advertising import Advertisement
    from numa_trio.settings import Settings
    from numa_trio.topology.machine import Machine

HELP = "Show this machine's NUMA nodes, what is near them, and what is advertised."


@frozen
class Seen:
    """What there is to show."""

    machine: "Machine"
    advertisements: "tuple[Advertisement, ...]"
    listing: "Listing"
    near: "NearLook"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--output",
        choices=["table", "json"],
        default="table",
        help="tables for people or JSON for programs (default: table)",
    )
    parser.add_argument(
        "--near",
        action="append",
        default=[],
        metavar="NAME=TARGET",
        help="show also what this would be near, as in data=/var/lib/data; may be repeated"
        " (besides NUMA_NEAR and NUMA_NEAR_FILE)",
    )
    parser.add_argument(
        "--sysfs-root",
        type=Path,
        metavar="PATH",
        help="where sysfs is mounted (default: NUMA_SYSFS_ROOT, else /sys)",
    )
    parser.add_argument(
        "--host-root",
        type=Path,
        metavar="PATH",
        help="where the host's / is mounted, or parts of it; on the host itself: / (default:"
        " NUMA_HOST_ROOT, else nowhere)",
    )


def main(arguments: argparse.Namespace) -> int:
    """Print the machine; returns 2 for bad configuration, 1 if sysfs cannot be understood."""
    from numa_trio.settings import BadConfiguration, load_settings
    from numa_trio.topology.sysfs import SysfsError, SysfsRootMissing

    try:
        seen = _look(arguments, load_settings(os.environ))
    except (BadConfiguration, SysfsRootMissing) as problem:
        complain(problem)
        return 2
    except SysfsError as problem:
        complain(problem)
        return 1
    if arguments.output == "json":
        from numa_trio.commands.topology_json import print_json

        print_json(seen)
    else:
        from numa_trio.commands.topology_text import print_text

        print_text(seen)
    return 0


def _look(arguments: argparse.Namespace, settings: "Settings") -> Seen:
    from numa_trio.locality.host import Host
    from numa_trio.locality.listing import list_machine
    from numa_trio.locality.survey import Survey
    from numa_trio.near.source import NearSource
    from numa_trio.near.verdicts import look
    from numa_trio.plugin.advertising import advertise
    from numa_trio.topology.sysfs import read_machine

    sysfs = arguments.sysfs_root or settings.sysfs_root
    machine = read_machine(sysfs)
    survey = Survey(Host(sysfs, arguments.host_root or settings.host_root), machine)
    named = "\n".join([settings.near, *arguments.near])
    names = NearSource(named, settings.near_file).names()
    return Seen(
        machine,
        advertise(machine, settings.cpuless_nodes),
        list_machine(survey),
        look(survey, names, settings.near_unknown),
    )
