"""`numa-trio topology`: shows the NUMA nodes, what is near them, and what is advertised."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from numa_trio.commands.terminal import complain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numa_trio.locality.listing import Listing
    from numa_trio.near.verdicts import NearLook
    from numa_trio.plugin.advertising import Advertisement
    from numa_trio.settings import Settings
    from numa_trio.topology.cores import Cores
    from numa_trio.topology.machine import Machine
    from numa_trio.topology.memory_kinds import NodeMemory

HELP = "Show this machine's NUMA nodes, what is near them, and what is advertised."

_EXAMPLES = """\
examples:
  numa-trio topology                                 this machine
  numa-trio topology --host-root /                   with what is mounted on its disks
  numa-trio topology --near data=/var/lib/data       which node that directory is near
  numa-trio topology --output svg > server.svg       a picture for a document
  numa-trio topology --output json | jq '.nodes[] | {id, cpus, nearest}'

exit status: 0 if the machine is shown, 1 if the output cannot be written, 2 if the usage or a
setting is bad or the machine cannot be read
"""

# More than Linux numbers on any architecture.
_MOST_CPUS = 8192


@frozen
class Seen:
    """What there is to show."""

    machine: "Machine"
    advertisements: "tuple[Advertisement, ...]"
    listing: "Listing"
    near: "NearLook"
    cores: "Cores"
    offline_cpus: frozenset[int] | None  # None where the kernel does not tell
    memories: "Mapping[int, NodeMemory]"
    resource_domain: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--output",
        choices=["text", "json", "yaml", "svg"],
        default="text",
        help="text: drawn for people; json or yaml: for programs; svg: a picture (default: text)",
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
    """Show the machine; returns 2 for bad configuration, or if sysfs cannot be understood."""
    from numa_trio.settings import BadConfiguration, load_settings
    from numa_trio.topology.sysfs import SysfsError

    try:
        if arguments.host_root and not arguments.host_root.is_dir():
            raise BadConfiguration(
                f"--host-root {arguments.host_root}: expected a directory in which the host's /,"
                " or parts of it, are mounted; on the host itself: /"
            )
        seen = _look(arguments, load_settings(os.environ))
    except (BadConfiguration, SysfsError) as problem:
        complain(problem)
        return 2
    _show(seen, arguments.output)
    return 0


def _show(seen: Seen, output: str) -> None:
    if output == "text":
        from numa_trio.commands.topology_text import print_text

        print_text(seen)
    elif output == "svg":
        from numa_trio.commands.topology_svg import print_svg

        print_svg(seen)
    else:
        from numa_trio.commands.topology_document import print_json, print_yaml

        print_json(seen) if output == "json" else print_yaml(seen)


def _look(arguments: argparse.Namespace, settings: "Settings") -> Seen:
    return look_at(
        arguments.sysfs_root or settings.sysfs_root,
        arguments.host_root or settings.host_root,
        arguments.near,
        settings,
    )


def look_at(
    sysfs_root: Path, host_root: Path | None, near: "Sequence[str]", settings: "Settings"
) -> Seen:
    """All that is seen of the machine below these roots; `near` has names besides the settings'.

    Raises `SysfsError`.
    """
    from numa_trio.locality.host import Host
    from numa_trio.locality.listing import list_machine
    from numa_trio.locality.survey import Survey
    from numa_trio.near.source import NearSource
    from numa_trio.near.verdicts import look
    from numa_trio.plugin.advertising import advertise
    from numa_trio.topology.cores import read_cores
    from numa_trio.topology.memory_kinds import read_memories
    from numa_trio.topology.offline import read_offline_cpus
    from numa_trio.topology.sysfs import read_machine

    machine = read_machine(sysfs_root)
    survey = Survey(Host(sysfs_root, host_root), machine)
    names = NearSource("\n".join([settings.near, *near]), settings.near_file).names()
    return Seen(
        machine,
        advertise(machine, settings.cpuless_nodes),
        list_machine(survey),
        look(survey, names, settings.near_unknown),
        read_cores(sysfs_root, machine.cpus, at_most=_MOST_CPUS),
        read_offline_cpus(sysfs_root),
        read_memories(sysfs_root, [node.id for node in machine.nodes]),
        settings.resource_domain,
    )
