"""The places that a target names: one, or for a glob as many as its matches are near nodes."""

from collections.abc import Sequence

from attrs import evolve

from numa_trio.locality.matching import matching
from numa_trio.locality.resolve import resolve
from numa_trio.locality.result import Outcome, Place, Resolution, joined, merged
from numa_trio.locality.survey import Survey
from numa_trio.locality.target import Target
from numa_trio.locality.things import DeadEnd


def find_places(survey: Survey, target: Target) -> tuple[Place, ...]:
    """At least one place, in order of NUMA node; without nodes only if no match has any.

    The matches of a glob that are near the same nodes share a place. Never raises.
    """
    if not target.is_glob:
        return (Place("", resolve(survey, target)),)
    matches = matching(survey, target)
    if isinstance(matches, DeadEnd):
        return (Place("", Resolution(target.text, matches.outcome, reason=matches.reason)),)
    results = [resolve(survey, match) for match in matches]
    by_nodes: dict[tuple[int, ...], list[Resolution]] = {}
    for result in results:
        if result.outcome is Outcome.NEAR:
            by_nodes.setdefault(result.nodes, []).append(result)
    if not by_nodes:
        return (Place("", _nowhere(target, results)),)
    groups = [_together(target, group) for _, group in sorted(by_nodes.items())]
    if len(groups) == 1:
        return (Place("", groups[0]),)
    return tuple(Place(f"-{number}", group) for number, group in enumerate(groups))


def _together(target: Target, group: Sequence[Resolution]) -> Resolution:
    """The matches near the same nodes as one."""
    return evolve(
        group[0],
        target=target.text,
        chain=merged([_with_name(result) for result in group]),
        told=tuple(dict.fromkeys(told for result in group for told in result.told)),
        notes=tuple(dict.fromkeys(note for result in group for note in result.notes)),
    )


def _nowhere(target: Target, results: Sequence[Resolution]) -> Resolution:
    """What is to be said of matches of which none is near a known node."""
    first = next((one for one in results if one.found), results[0])
    reasons = (f"{one.target}: {one.reason}" for one in results)
    return evolve(first, target=target.text, reason=joined(reasons, "; "))


def _with_name(result: Resolution) -> tuple[str, ...]:
    """The chain with the match itself in front, which the target's text does not name."""
    return result.chain if result.chain[:1] == (result.target,) else (result.target, *result.chain)
