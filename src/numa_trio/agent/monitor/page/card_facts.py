"""What a card says of a node and of its resources."""

from collections.abc import Iterator

from numa_trio.agent.advertised import AdvertisedResource
from numa_trio.agent.moment import Moment
from numa_trio.agent.monitor.page import words
from numa_trio.agent.monitor.page.bar import draw_share
from numa_trio.agent.monitor.page.distances import describe_distances
from numa_trio.agent.monitor.page.durations import format_duration
from numa_trio.agent.monitor.page.facts import fact
from numa_trio.agent.monitor.page.markup import Markup, element
from numa_trio.agent.monitor.page.places import Place
from numa_trio.agent.status import Phase
from numa_trio.plugin.resource import NumaResource
from numa_trio.topology.lists import format_list
from numa_trio.topology.machine import NumaNode
from numa_trio.topology.sizes import format_bytes


def resource_line(advertised: AdvertisedResource, now: Moment) -> Markup:
    """The name of a resource, and since when it is offered or is not."""
    status = advertised.status
    offered = "offered" if status.phase is Phase.STREAMING else "not offered"
    since = element(
        "time",
        f"{offered} for {format_duration(now.seconds_since(status.since))}",
        datetime=status.since.rfc3339,
        title=f"since {status.since.rfc3339}",
    )
    figures = () if advertised.resource.plain else (": ", *_figures(advertised))
    return element("p", element("code", status.name), " ", since, *figures, class_="resource")


def _figures(advertised: AdvertisedResource) -> Iterator[str]:
    """What the line of a resource other than the plain slots ends with."""
    resource = advertised.resource
    if resource.healthy:
        yield f"{resource.healthy_count} of {resource.capacity} healthy, "
    else:
        yield f"{resource.capacity}, unhealthy, "
    yield element("span", f"given {_given_out(advertised)}", title=words.ALLOCATED)


def _given_out(advertised: AdvertisedResource) -> str:
    count = advertised.counts.allocations
    return f"to {count} container{'' if count == 1 else 's'} since the start"


def resource_facts(place: Place) -> Iterator[Markup]:
    """The plain slots of a node, and to how many containers they were given."""
    for advertised in place.resources:
        if advertised.resource.plain:
            slots = _slots(advertised.resource, place.not_advertised)
            yield fact("Slots", slots, meaning=words.SLOTS)
            yield fact("Given out", _given_out(advertised), meaning=words.ALLOCATED)


def _slots(resource: NumaResource, trouble: str | None) -> str:
    if not resource.healthy:
        return f"{resource.capacity}, unhealthy: {trouble}"
    some = f"{resource.healthy_count} of them " if resource.unhealthy else ""
    return f"{resource.capacity}, {some}healthy"


def node_facts(node: NumaNode) -> Iterator[Markup]:
    """The CPUs, memory and distances of a node."""
    yield fact("CPUs", _cpus(node), meaning=words.CPUS)
    yield fact("Memory", *_memory(node), meaning=words.MEMORY)
    for pages in node.huge_pages:
        if pages.total:
            size = format_bytes(pages.size_bytes)
            text = f"{size}: {pages.free} of {pages.total} free"
            yield fact("Huge pages", text, meaning=words.HUGE_PAGES)
    if distances := describe_distances(node):
        lines = (element("div", distance) for distance in distances)
        yield fact("Distance", *lines, meaning=words.DISTANCE)


def _cpus(node: NumaNode) -> str:
    if not node.cpus_known:
        return "unknown"
    return f"{len(node.cpus)}: {format_list(node.cpus)}" if node.cpus else "none"


def _memory(node: NumaNode) -> Iterator[str]:
    if node.memory_bytes is None:
        yield "unknown"
    elif not node.memory_bytes:
        yield "none"
    elif node.memory_free_bytes is None:
        yield format_bytes(node.memory_bytes)
    else:
        yield f"{format_bytes(node.memory_bytes)}, {format_bytes(node.memory_free_bytes)} free"
        used = 1 - node.memory_free_bytes / node.memory_bytes
        yield draw_share(used, f"{used:.0%} of the memory is in use")
