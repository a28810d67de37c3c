"""Which resource each name becomes on this machine, and why others do not."""

from collections.abc import Iterable, Sequence

from attrs import evolve, frozen

from numa_trio.locality.places import find_places
from numa_trio.locality.result import Outcome, Place, Resolution
from numa_trio.locality.survey import Survey
from numa_trio.near.names import NearName, NearNames, first_of
from numa_trio.near.unknown_node import UnknownNode
from numa_trio.plugin.advertising import LARGEST_NODE
from numa_trio.plugin.resource import NEAR
from numa_trio.topology.lists import format_list

_BUT_ON_DEMAND = " (NUMA_NEAR_UNKNOWN=any offers it without a node)"


@frozen
class NearVerdict:
    """What becomes of a name, or of one of the several that a glob has.

    `given` is the name that was given for it, which a glob's may exceed. `numa_nodes` are those of
    the resource; none if it is offered without. The `reason` says why it is not offered, if it is
    not. Where `certain` is False, what decides cannot be seen: what was so before may be so still.
    """

    given: str
    name: str
    resolution: Resolution
    numa_nodes: tuple[int, ...] = ()
    reason: str | None = None
    certain: bool = True

    @property
    def advertised(self) -> bool:
        """Whether it becomes a resource."""
        return self.reason is None

    @property
    def local_name(self) -> str:
        """The name of the resource, without the domain."""
        return NEAR + self.name

    def __str__(self) -> str:
        """The way from the target to its nodes, and why it is not offered or near none."""
        return str(evolve(self.resolution, reason=self.reason or self.resolution.reason))


@frozen
class NearLook:
    """What was found at one look; `problems` and `remarks` are for the operator."""

    verdicts: tuple[NearVerdict, ...] = ()
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def look(survey: Survey, names: NearNames, unknown: UnknownNode) -> NearLook:
    """The verdicts on all names at once. Never raises."""
    return settle(names, [(name, judge(survey, name, unknown)) for name in names.names])


def judge(survey: Survey, name: NearName, unknown: UnknownNode) -> tuple[NearVerdict, ...]:
    """The verdicts on a name: one, or for a glob as many as it has places. Never raises."""
    return tuple(_verdict(name.name, place, unknown) for place in find_places(survey, name.target))


def settle(names: NearNames, judged: Iterable[tuple[NearName, Sequence[NearVerdict]]]) -> NearLook:
    """All verdicts, each name once.

    A name that was written as such comes before one that a glob has made.
    """
    written = {each.name for each in names.names}
    found: dict[str, NearVerdict] = {}
    clashes = []
    for name, verdicts in judged:
        for verdict in verdicts:
            if verdict.name in found or (verdict.name != name.name and verdict.name in written):
                clashes.append(
                    f"{name.name}={name.target}: near several nodes, one of them by the name"
                    f" {verdict.name}, which is another target's; expected a name of its own"
                )
            else:
                found[verdict.name] = verdict
    problems = (*names.problems, *first_of(clashes))
    return NearLook(tuple(found.values()), problems, names.remarks)


def _verdict(name: str, place: Place, unknown: UnknownNode) -> NearVerdict:
    found = place.resolution
    verdict = NearVerdict(name, f"{name}{place.suffix}", found, found.nodes)
    if above := [node for node in found.nodes if node > LARGEST_NODE]:
        return evolve(
            verdict,
            reason=f"it is near node {format_list(above)}; kubelet can align containers to nodes 0"
            f" to {LARGEST_NODE} only",
        )
    if found.outcome is Outcome.NEAR:
        return verdict
    if found.outcome is Outcome.UNKNOWN:
        if unknown is UnknownNode.ANY:
            return verdict
        return evolve(verdict, reason=f"{found.reason}{_BUT_ON_DEMAND}")
    return evolve(verdict, reason=found.reason, certain=found.outcome is not Outcome.UNSEEN)
