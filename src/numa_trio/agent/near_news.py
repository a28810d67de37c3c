"""What the log says of names and of what is offered for them, once for each change."""

import logging

from numa_trio.locality.result import Outcome
from numa_trio.near.verdicts import NearLook, NearVerdict
from numa_trio.plugin.resource import NumaResource
from numa_trio.topology.lists import format_nodes

log = logging.getLogger(__name__)


def tell_look(before: NearLook, look: NearLook) -> None:
    """Log what is new: what is wrong, and what is not offered."""
    for problem in look.problems:
        if problem not in before.problems:
            log.error("%s", problem)
    for problem in before.problems:
        if problem not in look.problems:
            log.info("No longer so: %s", problem)
    for remark in look.remarks:
        if remark not in before.remarks:
            log.warning("%s", remark)
    known = {verdict.name: verdict for verdict in before.verdicts}
    for verdict in look.verdicts:
        earlier = known.get(verdict.name)
        if verdict.reason and (earlier is None or earlier.reason != verdict.reason):
            absent = verdict.resolution.outcome is Outcome.ABSENT
            level = logging.INFO if absent else logging.WARNING
            log.log(level, "Not advertising %s: %s", verdict.local_name, verdict)
        for note in verdict.resolution.notes:
            if earlier is None or note not in earlier.resolution.notes:
                log.info("%s: %s", verdict.local_name, note)


def tell_moved(before: NumaResource, after: NumaResource, verdict: NearVerdict) -> None:
    """Log that a resource is near other nodes than before, if it is."""
    if before.numa_nodes == after.numa_nodes:
        return
    behind = len(after.left_behind)
    log.warning(
        "%s was near %s and is now near %s: %s%s",
        before.name,
        _nodes(before.numa_nodes),
        _nodes(after.numa_nodes),
        verdict.resolution,
        f" ({behind} that containers have stay where they are)" if behind else "",
    )


def tell_offered(verdict: NearVerdict, resource: NumaResource) -> None:
    """Log that a name has become a resource."""
    found, remark = verdict.resolution, ""
    if not verdict.numa_nodes:
        remark = f"; it aligns nothing: {found.reason}"
    elif len(verdict.numa_nodes) > 1:
        remark = "; any of these nodes will do"
    log.info(
        "Advertising %s as %s: %d%s",
        found if verdict.numa_nodes else found.target,
        resource.name,
        resource.capacity,
        remark,
        extra={"nodes": list(verdict.numa_nodes)},
    )


def tell_kept(resource: NumaResource) -> None:
    """Log that a resource is offered only for who has slots of it."""
    log.warning(
        "%s is offered to nobody now; %d of its slots, which containers have, are kept for them",
        resource.name,
        len(resource.left_behind),
    )


def _nodes(nodes: tuple[int, ...]) -> str:
    return format_nodes(nodes) or "no known node"
