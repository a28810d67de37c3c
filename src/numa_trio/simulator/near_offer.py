"""The slots near things of a machine, by the names that the agent is given."""

from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from numa_trio.locality.host import Host
from numa_trio.locality.survey import Survey
from numa_trio.near.names import NearNames
from numa_trio.near.unknown_node import UnknownNode
from numa_trio.near.verdicts import NearLook, NearVerdict, look
from numa_trio.plugin.resource import NumaResource
from numa_trio.settings import BadConfiguration, Settings
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.wiring_tree import write_devices, write_host


@frozen
class NearOffer:
    """What the agent offers near things, and `remarks` on how that came about, or why not."""

    slots: tuple[NumaResource, ...] = ()
    remarks: tuple[str, ...] = ()


def near_offer(found: NearLook, settings: Settings) -> NearOffer:
    """What becomes of what was found; raises `BadConfiguration` if names cannot be used."""
    if found.problems:
        raise BadConfiguration(*found.problems)
    slots = tuple(
        NumaResource(each.local_name, each.numa_nodes, settings.capacity, settings.resource_domain)
        for each in found.verdicts
        if each.advertised
    )
    return NearOffer(slots, (*found.remarks, *map(_remark, found.verdicts)))


def usual_names(machine: SimulatedMachine) -> str:
    """What the examples call `data` on a described machine: a disk that is not mounted at `/`."""
    mounts = (each.mount for each in machine.wiring if each.mount)
    usable = (mount for mount in mounts if mount != "/" and "," not in mount)
    return next((f"data=mount:{mount}" for mount in usable), "")


def look_at(machine: SimulatedMachine, names: NearNames, unknown: UnknownNode) -> NearLook:
    """What the names stand for on a described machine."""
    if not names.names:
        return NearLook(problems=names.problems)  # without a need for files
    with TemporaryDirectory(prefix="numa-trio-") as directory:
        sysfs, root = Path(directory, "sys"), Path(directory, "host")
        write_devices(sysfs, machine.wiring)
        write_host(root, sysfs, machine.wiring)
        return look(Survey(Host(sysfs, root), machine.machine), names, unknown)


def _remark(verdict: NearVerdict) -> str:
    if verdict.advertised:
        return f"{verdict.local_name}: {verdict.resolution}"
    return f"{verdict.local_name} is not offered: {verdict.reason}"
