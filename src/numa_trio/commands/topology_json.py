"""`numa-trio topology` for programs: one JSON document."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attrs import asdict

from numa_trio.topology.lists import format_list

if TYPE_CHECKING:
    from numa_trio.commands.topology import Seen
    from numa_trio.locality.listing import Listing
    from numa_trio.locality.result import Resolution
    from numa_trio.near.verdicts import NearVerdict
    from numa_trio.plugin.advertising import Advertisement


def print_json(seen: "Seen") -> None:
    """Print it all on standard output. Keys are only ever added, at the end."""
    document = {
        "nodes": [_node(verdict, seen.listing) for verdict in seen.advertisements],
        "numa_aware": seen.machine.numa_aware,
        "remarks": [str(remark) for remark in seen.machine.remarks],
        "near": [_near(verdict) for verdict in seen.near.verdicts],
        "near_problems": [*seen.near.problems],
        "near_remarks": [*seen.near.remarks],
        "near_no_node": _devices(seen.listing.near_no_node()),
        "hidden": [*seen.listing.hidden],
    }
    print(json.dumps(document, indent=2))


def _node(verdict: "Advertisement", listing: "Listing") -> dict[str, Any]:
    node = verdict.node
    return {
        "id": node.id,
        "cpus": format_list(node.cpus) if node.cpus_known else None,
        "memory_bytes": node.memory_bytes,
        "distances": {str(other): distance for other, distance in node.distances.items()},
        "advertised": verdict.advertised,
        "reason": verdict.reason,
        "memory_free_bytes": node.memory_free_bytes,
        "huge_pages": [asdict(pages) for pages in node.huge_pages],
        **_devices(listing.near(node.id)),
    }


def _near(verdict: "NearVerdict") -> dict[str, Any]:
    """`nodes` are those of the target, also where nothing is offered."""
    found = verdict.resolution
    return {
        "name": verdict.name,
        "target": found.target,
        "nodes": [*found.nodes],
        "chain": [*found.chain],
        "advertised": verdict.advertised,
        "reason": verdict.reason,
        "notes": [*found.notes],
    }


def _devices(listing: "Listing") -> dict[str, Sequence[dict[str, Any]]]:
    return {
        "disks": [
            _device(each.resolution, model=each.model, size_bytes=each.size_bytes)
            for each in listing.disks
        ],
        "interfaces": [
            _device(each.resolution, driver=each.driver, speed_mbps=each.speed_mbps)
            for each in listing.interfaces
        ],
        "infiniband": [_device(each.resolution) for each in listing.infiniband],
        "gpus": [
            _device(each.resolution, driver=each.driver, model=each.model) for each in listing.gpus
        ],
        "mounts": [
            _device(each.resolution, file_system=each.file_system, source=each.source)
            for each in listing.mounts
        ],
    }


def _device(resolution: "Resolution", **facts: str | int | None) -> dict[str, Any]:
    return {
        "name": resolution.target,
        "nodes": [*resolution.nodes],
        "chain": [*resolution.chain],
        "reason": resolution.reason,
        **facts,
    }
