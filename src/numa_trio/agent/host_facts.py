"""What the host's NUMA nodes have, for containers that are to be told."""

from collections.abc import Iterable, Mapping

from numa_trio.locality.devices import disks, interfaces
from numa_trio.locality.network import interfaces_folder
from numa_trio.locality.result import Resolution
from numa_trio.locality.survey import Survey
from numa_trio.locality.things import DeadEnd
from numa_trio.plugin.environment import NodeFacts


def facts_of(survey: Survey) -> Mapping[int, NodeFacts]:
    """The facts of each node, by number. A device near several nodes is listed with each."""
    local_disks = [each.resolution for each in disks(survey)]
    local_interfaces = [each.resolution for each in interfaces(survey)]
    sees_interfaces = not isinstance(interfaces_folder(survey), DeadEnd)
    return {
        node.id: NodeFacts(
            node.cpus,
            node.memory_bytes,
            dict(node.distances),
            _near(node.id, local_disks),
            _near(node.id, local_interfaces) if sees_interfaces else None,
        )
        for node in survey.machine.nodes
    }


def _near(node: int, devices: Iterable[Resolution]) -> tuple[str, ...]:
    return tuple(each.target for each in devices if node in each.nodes)
