"""The parts of the page; each has an id, so that a refresh can exchange it alone."""

from collections.abc import Iterator, Sequence

from numa_trio import __version__
from numa_trio.agent.advertised import AdvertisedResource
from numa_trio.agent.counts import Ending, Outcome
from numa_trio.agent.moment import Moment
from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.monitor.page.distances import describe_distances, distance_table
from numa_trio.agent.monitor.page.drawing import draw_cpus, draw_share, square_pattern
from numa_trio.agent.monitor.page.durations import format_duration
from numa_trio.agent.monitor.page.markup import Markup, element, join
from numa_trio.agent.monitor.page.places import Place, places_of
from numa_trio.agent.monitor.readiness import MISSING, verdict
from numa_trio.agent.status import Phase
from numa_trio.plugin.resource import NEAR, NumaResource
from numa_trio.topology.lists import format_list
from numa_trio.topology.machine import NumaNode
from numa_trio.topology.sizes import format_bytes

# More nodes than these do not show at one glance as cards.
_CARDS_AT_A_GLANCE = 8


def page_sections(observed: Observation, host: str) -> Iterator[Markup]:
    """The parts, from the top of the page to its end."""
    places = places_of(observed)
    nodes = [place.node for place in places if place.node]
    yield _header(observed, host)
    yield _troubles(observed)
    if len(places) > _CARDS_AT_A_GLANCE:
        yield _map(places)
    yield square_pattern()
    yield element("section", *(_card(place, observed.now) for place in places), id="nodes")
    yield element("div", *_distances(nodes), *_near(observed), _history(observed), id="below")
    yield _footer(observed, host)


def _header(observed: Observation, host: str) -> Markup:
    return element(
        "header",
        element("h1", "numa-trio ", element("small", f"on {host}")),
        element("p", verdict(observed), class_=f"verdict {'good' if observed.ready else 'bad'}"),
        id="header",
    )


def _troubles(observed: Observation) -> Markup:
    """What is wrong, the same trouble of many resources told once."""
    troubles = []
    if observed.kubelet_problem:
        troubles.append(element("li", element("b", "kubelet"), f" {observed.kubelet_problem}"))
    if observed.topology_problem:
        troubles.append(element("li", element("b", "NUMA nodes"), f" {observed.topology_problem}"))
    troubles += [element("li", element("b", "remark"), f" {remark}") for remark in observed.remarks]
    if observed.counting:
        if problem := observed.counting.problem:
            troubles.append(element("li", element("b", "counting"), f" {problem}"))
        for name, reason in observed.counting.reasons.items():
            troubles.append(element("li", element("b", name), f" is not counted: {reason}"))
    if observed.nearness:
        for problem in observed.nearness.problems:
            troubles.append(element("li", element("b", "near"), f" {problem}"))
        for near in observed.nearness.names:
            if near.reason:
                troubles.append(element("li", element("b", NEAR + near.name), f" {near.found}"))
    alike: dict[tuple[Phase, str | None], list[NumaResource]] = {}
    for one in observed.missing:
        alike.setdefault((one.status.phase, one.status.obstacle), []).append(one.resource)
    for (phase, obstacle), resources in alike.items():
        text = f" {MISSING[phase]}" + (f"; last trouble: {obstacle}" if obstacle else "")
        troubles.append(element("li", element("b", _named(resources)), text))
    return element("ul", *troubles, id="troubles")


def _named(resources: Sequence[NumaResource]) -> str:
    """Plain slots by their nodes, others by name."""
    nodes = [resource.numa_nodes[0] for resource in resources if resource.plain]
    named = [f"{'node' if len(nodes) == 1 else 'nodes'} {format_list(nodes)}"] if nodes else []
    named += (resource.local_name for resource in resources if not resource.plain)
    return ", ".join(named)


def _map(places: Sequence[Place]) -> Markup:
    """A tile a node, which leads to its card."""
    tiles = (
        element(
            "a",
            "any" if place.number is None else str(place.number),
            href=f"#{place.anchor}",
            class_=place.tone,
            title=f"{place.title.lower()}: {place.state}",
        )
        for place in places
    )
    return element("nav", *tiles, id="map", aria_label="NUMA nodes")


def _card(place: Place, now: Moment) -> Markup:
    return element(
        "article",
        element(
            "header",
            element("h2", place.title),
            element("span", place.state, class_=f"state {place.tone}"),
        ),
        "" if place.has_slots else element("p", place.not_advertised or "", class_="resource"),
        *(_resource_line(one, now) for one in place.resources),
        draw_cpus(place.node.cpus, format_list(place.node.cpus)) if place.node else "",
        element("dl", *_facts(place)),
        id=place.anchor,
        class_="card",
    )


def _resource_line(advertised: AdvertisedResource, now: Moment) -> Markup:
    status = advertised.status
    offered = "offered" if status.phase is Phase.STREAMING else "not offered"
    since = element(
        "time",
        f"{offered} for {format_duration(now.seconds_since(status.since))}",
        datetime=status.since.rfc3339,
        title=f"since {status.since.rfc3339}",
    )
    figures = "" if advertised.resource.plain else f": {_figures(advertised)}"
    return element("p", element("code", status.name), " ", since, figures, class_="resource")


def _figures(advertised: AdvertisedResource) -> str:
    """What the line of a resource other than the plain slots ends with."""
    resource = advertised.resource
    if resource.healthy:
        health = f"{resource.healthy_count} of {resource.capacity} healthy"
    else:
        health = f"{resource.capacity}, unhealthy"
    return f"{health}, {advertised.counts.allocations} containers"


def _facts(place: Place) -> Iterator[Markup]:
    if place.node:
        yield from _node_facts(place.node)
    for advertised in place.resources:
        if advertised.resource.plain:
            yield _fact("Slots", _slots(advertised.resource, place.not_advertised))
            yield _fact("Allocated", f"{advertised.counts.allocations} containers since the start")


def _slots(resource: NumaResource, trouble: str | None) -> str:
    if not resource.healthy:
        return f"{resource.capacity}, unhealthy: {trouble}"
    some = f"{resource.healthy_count} of them " if resource.unhealthy else ""
    return f"{resource.capacity}, {some}healthy"


def _node_facts(node: NumaNode) -> Iterator[Markup]:
    yield _fact("CPUs", _cpus(node))
    yield _fact("Memory", *_memory(node))
    for pages in node.huge_pages:
        if pages.total:
            size = format_bytes(pages.size_bytes)
            yield _fact("Huge pages", f"{size}: {pages.free} of {pages.total} free")
    if distances := describe_distances(node):
        yield _fact("Distance", *(element("div", distance) for distance in distances))


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


def _fact(name: str, *content: str) -> Markup:
    return element("div", element("dt", name), element("dd", *content))


def _distances(nodes: Sequence[NumaNode]) -> Iterator[Markup]:
    if any(len(node.distances) > 1 for node in nodes):
        yield element(
            "section",
            element("h2", "Distances"),
            element("p", "From the node of the row to the node of the column; 10 is local."),
            element("div", distance_table(nodes), class_="scroll"),
            id="distances",
        )


def _near(observed: Observation) -> Iterator[Markup]:
    """The way from each name that is offered to its nodes; the others are among the troubles."""
    offered = (
        [one for one in observed.nearness.names if not one.reason] if observed.nearness else []
    )
    if offered:
        yield element(
            "section",
            element("h2", "Near"),
            element("dl", *(_fact(NEAR + one.name, one.found) for one in offered)),
            id="near",
        )


def _history(observed: Observation) -> Markup:
    counts = [one.counts for one in observed.resources]
    outcomes = ", ".join(
        f"{sum(one.registrations[outcome] for one in counts)} {outcome}" for outcome in Outcome
    )
    endings = {ending: sum(one.reregistrations[ending] for one in counts) for ending in Ending}
    reasons = ", ".join(
        f"{count} {ending.replace('_', ' ')}" for ending, count in endings.items() if count
    )
    watch = "by polling: the kernel grants no inotify watch" if observed.polling else "by inotify"
    return element(
        "section",
        element("h2", "Since the start"),
        element(
            "dl",
            _fact("Kubelet sockets seen", str(observed.counts.kubelet_generations)),
            _fact("Registrations", outcomes),
            _fact("Registered again after", reasons or "nothing"),
            _fact("Watching", f"{observed.kubelet_socket}, {watch}"),
            *_counting(observed),
        ),
        id="history",
    )


def _counting(observed: Observation) -> Iterator[Markup]:
    if counting := observed.counting:
        looks = ", ".join(f"{count} {outcome}" for outcome, count in counting.looks.items())
        if counting.answered:
            age = format_duration(observed.now.seconds_since(counting.answered))
            answer = f"kubelet last answered {age} ago"
        else:
            answer = "kubelet has not answered yet"
        yield _fact("Counting", f"{counting.socket}: {answer}; {looks}")


def _footer(observed: Observation, host: str) -> Markup:
    links = (element("a", path, href=path) for path in ("/readyz", "/metrics", "/livez"))
    return element(
        "footer",
        f"numa-trio {__version__} on {host}, ",
        element("time", observed.now.rfc3339, datetime=observed.now.rfc3339),
        join(part for link in links for part in (Markup(" · "), link)),
        id="footer",
    )
