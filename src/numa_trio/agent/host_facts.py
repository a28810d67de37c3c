"""What the host's NUMA nodes have, for containers that are to be told."""

from collections.abc import Iterable, Mapping

from numa_trio.locality.devices import disk_devices, interface_devices
from numa_trio.locality.resolve import resolve_device
from numa_trio.locality.result import Resolution
from numa_trio.locality.survey import Survey
from numa_trio.locality.things import Device
from numa_trio.plugin.environment import NodeFacts


def facts_of(survey: Survey) -> Mapping[int, NodeFacts]:
    """The facts of each node, by number. A device near several nodes is listed with each.

    A device is left out whose name could not be told from others in a list.
    """
    disks = _resolved(survey, disk_devices(survey))
    interfaces = interface_devices(survey)
    local_interfaces = _resolved(survey, interfaces or ())
    return {
        node.id: NodeFacts(
            node.cpus,
            node.memory_bytes,
            dict(node.distances),
            _near(node.id, disks),
            None if interfaces is None else _near(node.id, local_interfaces),
        )
        for node in survey.machine.nodes
    }


def _resolved(survey: Survey, devices: Iterable[Device]) -> list[Resolution]:
    return [resolve_device(survey, each) for each in devices if _can_be_listed(each.name)]


def _can_be_listed(name: str) -> bool:
    """The kernel lets an interface have nearly any bytes for a name."""
    return name.isascii() and name.isprintable() and "," not in name


def _near(node: int, devices: Iterable[Resolution]) -> tuple[str, ...]:
    return tuple(each.target for each in devices if node in each.nodes)
