"""Looks at this machine with the package `locality`: what each target is near."""

from pathlib import Path
from typing import Any

from numa_trio.locality.host import Host
from numa_trio.locality.places import find_places
from numa_trio.locality.survey import Survey
from numa_trio.locality.target import parse_target
from numa_trio.topology.sysfs import read_machine

SYS = Path("/sys")


def look(root: Path, targets: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The places of each target, with the host's root below `root`."""
    survey = Survey(Host(SYS, root), read_machine(SYS))
    return {
        target: [
            {
                "suffix": place.suffix,
                "outcome": place.resolution.outcome,
                "nodes": list(place.resolution.nodes),
                "chain": list(place.resolution.chain),
                "reason": place.resolution.reason,
                "notes": list(place.resolution.notes),
            }
            for place in find_places(survey, parse_target(target))
        ]
        for target in targets
    }
