"""What `/readyz` says: a line for each resource, with what is missing and since when."""

from collections.abc import Iterator

from numa_trio.agent.advertised import AdvertisedResource
from numa_trio.agent.moment import Moment
from numa_trio.agent.monitor.observation import (
    CountingSeen,
    NearnessSeen,
    Observation,
    RuntimeSeen,
)
from numa_trio.agent.status import Phase
from numa_trio.plain_text import escaped

MISSING = {
    Phase.WAITING: "no socket of ours is served",
    Phase.SERVING: "kubelet has not accepted the registration",
    Phase.REGISTERED: "kubelet has not opened the ListAndWatch stream",
}


def describe_readiness(observed: Observation) -> str:
    """The text, which begins with `ready` or `not ready`."""
    return "".join(f"{escaped(line)}\n" for line in _lines(observed))


def verdict(observed: Observation) -> str:
    """In one line."""
    if observed.advertisements is None:
        return "not ready: the NUMA nodes have not been read yet"
    if not observed.resources:
        return "not ready: no NUMA node can be advertised"
    total = len(observed.resources)
    if observed.missing:
        return (
            f"not ready: kubelet lacks the stream of {len(observed.missing)} of {total} resources"
        )
    if observed.nearness and not observed.nearness.looked:
        return "not ready: what names stand for has not been looked for yet"
    if not observed.ready:
        return "not ready: kubelet has not been asked yet what can be counted"
    return f"ready: kubelet holds the stream of {total} of {total} resources"


def since(then: Moment, now: Moment) -> str:
    """Since when, and how long that is."""
    return f"since {_dated(then, now)}"


def _dated(then: Moment, now: Moment) -> str:
    seconds = now.seconds_since(then)
    return f"{then.rfc3339} ({seconds:.{1 if seconds < 10 else 0}f} s)"


def _lines(observed: Observation) -> Iterator[str]:
    yield verdict(observed)
    if observed.kubelet_problem:
        yield f"kubelet: {observed.kubelet_problem}"
    if observed.topology_problem:
        yield f"NUMA nodes: {observed.topology_problem}"
    for advertised in observed.resources:
        yield _resource_line(advertised, observed.now)
    if observed.counting:
        yield from counting_lines(observed.counting, observed.now)
    if observed.nearness:
        yield from near_lines(observed.nearness)
    if observed.runtime:
        yield runtime_line(observed.runtime, observed.now)


def counting_lines(counting: CountingSeen, now: Moment) -> Iterator[str]:
    """How old the state is by which is counted, and what is not counted, and why."""
    answer = (
        f"kubelet last answered at {_dated(counting.answered, now)}"
        if counting.answered
        else ("kubelet has not answered yet")
    )
    trouble = f"; last trouble: {counting.problem}" if counting.problem else ""
    yield f"counting: {answer}{trouble}"
    for name, reason in counting.reasons.items():
        yield f"not counted: {name}: {reason}"


def near_lines(nearness: NearnessSeen) -> Iterator[str]:
    """What each name was found to be near, and what is wrong."""
    for problem in nearness.problems:
        yield f"near: {problem}"
    for each in nearness.names:
        if each.reason is None:
            yield f"near: {each.name}: {each.found}"
        else:
            yield f"not near: {each.name}: {each.found}"


def runtime_line(runtime: RuntimeSeen, now: Moment) -> str:
    """Whether the container runtime can be asked, which says nothing of the slots."""
    if runtime.connected:
        return f"pinning: by {runtime.name} {since(runtime.connected, now)}"
    return f"not pinning: {runtime.socket}: {runtime.problem or 'not connected yet'}"


def _resource_line(advertised: AdvertisedResource, now: Moment) -> str:
    status = advertised.status
    start = f"{status.name}: {status.phase}"
    if status.phase is Phase.STREAMING:
        return f"{start} {since(status.since, now)}"
    trouble = f"; last trouble: {status.obstacle}" if status.obstacle else ""
    return f"{start}, not streaming {since(status.since, now)}: {MISSING[status.phase]}{trouble}"
