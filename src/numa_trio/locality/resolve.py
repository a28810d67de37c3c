"""The NUMA nodes that a target is near."""

from collections.abc import Iterable

from numa_trio.locality.find import Found, find
from numa_trio.locality.result import Outcome, Resolution, Told, joined
from numa_trio.locality.survey import Survey
from numa_trio.locality.target import Target
from numa_trio.locality.things import DeadEnd, Thing
from numa_trio.locality.usable import only_node, usable_nodes
from numa_trio.locality.walk import Trail, walk


def resolve(survey: Survey, target: Target) -> Resolution:
    """The nodes of a target without a glob, or why there are none. Never raises."""
    found = find(survey, target)
    if isinstance(found, DeadEnd):
        return Resolution(target.text, found.outcome, reason=found.reason)
    return resolve_found(survey, target.text, found)


def resolve_device(survey: Survey, device: Thing) -> Resolution:
    """The nodes of a device that is already found."""
    return resolve_found(survey, device.name, Found((device,)))


def resolve_found(survey: Survey, text: str, found: Found) -> Resolution:
    """The nodes of what a target was found to be."""
    trail = walk(survey, found.things)
    usable = [usable_nodes(survey.machine, told.node) for told in trail.told]
    nodes = tuple(sorted({node for each in usable for node in each.nodes}))
    notes = [*found.notes, *(each.note for each in usable if each.note)]
    if len({told.node for told in trail.told}) > 1:
        tellers = sorted(trail.told, key=lambda told: told.node)
        notes.append(f"on several nodes: {joined(map(_said, tellers), '; ')}")
    reasons = [
        *(each.reason for each in usable if each.reason),
        *(end.reason for end in trail.dead_ends),
    ]
    if nodes:
        if reasons:
            notes.append(f"of its members some tell no node: {joined(reasons, '; ')}")
        return Resolution(text, Outcome.NEAR, nodes, trail.chain, trail.told, notes=_once(notes))
    outcome = _outcome(trail)
    only = only_node(survey.machine)
    if only is not None and trail.met_device and outcome is not Outcome.ABSENT:
        notes.append("the machine has one NUMA node only")
        return Resolution(text, Outcome.NEAR, (only,), trail.chain, trail.told, notes=_once(notes))
    return Resolution(
        text,
        outcome,
        chain=trail.chain,
        told=trail.told,
        reason=joined(reasons, "; ") or "it consists of nothing",
        notes=_once(notes),
    )


def _outcome(trail: Trail) -> Outcome:
    """How a walk ended that found no node."""
    outcomes = {end.outcome for end in trail.dead_ends}
    if Outcome.UNSEEN in outcomes:
        return Outcome.UNSEEN
    gone = outcomes == {Outcome.ABSENT} and not trail.told
    return Outcome.ABSENT if gone else Outcome.UNKNOWN


def _said(told: Told) -> str:
    return f"{told.device} on node {told.node}"


def _once(notes: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(notes))
