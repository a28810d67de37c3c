"""`numa-trio topology` for programs: one document, as JSON or YAML.

docs/topology.md describes it, and docs/topology.schema.json is its JSON Schema.
"""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attrs import asdict

from numa_trio.commands.topology_facts import NodeFacts, facts_of
from numa_trio.topology.lists import format_list

if TYPE_CHECKING:
    from numa_trio.commands.topology import Seen
    from numa_trio.locality.listing import Listing
    from numa_trio.locality.result import Resolution
    from numa_trio.near.verdicts import NearVerdict

# Keys may be added without a new version; whatever else changes makes one.
SCHEMA_VERSION = 1


def print_json(seen: "Seen") -> None:
    """Print it all on standard output."""
    print(json.dumps(_document(seen), indent=2))


def print_yaml(seen: "Seen") -> None:
    """Print the same as YAML."""
    import yaml

    yaml.safe_dump(_document(seen), sys.stdout, sort_keys=False, width=100)


def _document(seen: "Seen") -> dict[str, Any]:
    offline = seen.offline_cpus
    return {
        "schemaVersion": SCHEMA_VERSION,
        "nodes": [_node(each) for each in facts_of(seen)],
        "numa_aware": seen.machine.numa_aware,
        "remarks": [str(remark) for remark in seen.machine.remarks],
        "near": [_near(verdict) for verdict in seen.near.verdicts],
        "near_problems": [*seen.near.problems],
        "near_remarks": [*seen.near.remarks],
        "near_no_node": _devices(seen.listing.near_no_node()),
        "hidden": [*seen.listing.hidden],
        "offline_cpus": None if offline is None else format_list(offline),
    }


def _node(facts: NodeFacts) -> dict[str, Any]:
    node = facts.node
    return {
        "id": node.id,
        "cpus": format_list(node.cpus) if node.cpus_known else None,
        "memory_bytes": node.memory_bytes,
        "distances": {str(other): distance for other, distance in node.distances.items()},
        "advertised": facts.resource is not None,
        "reason": facts.reason,
        "memory_free_bytes": node.memory_free_bytes,
        "huge_pages": [asdict(pages) for pages in node.huge_pages],
        **_devices(facts.devices),
        "resource": facts.resource,
        "kind": str(facts.kind),
        "sockets": [*facts.sockets],
        "cores": [format_list(core.cpus) for core in facts.cores],
        "memory_used_bytes": facts.memory_used_bytes,
        "memory_kind": None if facts.memory.kind is None else str(facts.memory.kind),
        "memory_tier": facts.memory.tier,
        "memory_initiators": [*facts.memory.initiators],
        "memory_read_bandwidth_mb_per_s": facts.memory.read_bandwidth_mb_per_s,
        "memory_read_latency_ns": facts.memory.read_latency_ns,
        "nearest": [*facts.nearest],
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
