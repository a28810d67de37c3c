"""The NUMA nodes as cards, by socket; where there are many, those without trouble are folded."""

from collections.abc import Iterator, Sequence
from functools import partial

from numa_trio.agent.moment import Moment
from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.monitor.page.card_facts import node_facts, resource_facts, resource_line
from numa_trio.agent.monitor.page.cpus import draw_cpus, list_holders
from numa_trio.agent.monitor.page.holders import Held
from numa_trio.agent.monitor.page.markup import Markup, element
from numa_trio.agent.monitor.page.places import Place
from numa_trio.topology.cores import Cores
from numa_trio.topology.lists import format_list

# More nodes than these do not show at one glance as cards.
_CARDS_AT_A_GLANCE = 8


def node_groups(places: Sequence[Place], observed: Observation, cores: Cores) -> Iterator[Markup]:
    """A section for each socket, or group of sockets; at the end those whose socket is unknown."""
    groups: dict[tuple[int, ...], list[Place]] = {}
    for place in places:
        sockets = cores.sockets(place.node.cpus) if place.node and place.node.cpus else ()
        groups.setdefault(sockets, []).append(place)
    folded = len(places) > _CARDS_AT_A_GLANCE
    held = Held.of(observed.counting.answer if observed.counting else None)
    draw = partial(_card, now=observed.now, cores=cores, held=held, folded=folded)
    for sockets, members in sorted(groups.items(), key=lambda each: (not each[0], each[0])):
        title = _title(sockets, alone=len(groups) == 1)
        yield element(
            "section",
            element("h2", title),
            element(
                "div",
                *map(draw, members),
                class_="cells" if folded else "cards",
            ),
            id=title.lower().replace(" ", "-").replace(",", "-"),
        )


def _title(sockets: tuple[int, ...], *, alone: bool) -> str:
    if not sockets:
        return "NUMA nodes" if alone else "Other nodes"
    return f"Socket{'s' if len(sockets) > 1 else ''} {format_list(sockets)}"


def _card(place: Place, now: Moment, cores: Cores, held: Held, folded: bool) -> Markup:
    head = (
        element("h3", place.title),
        element("span", place.state, class_=f"state {place.tone}"),
    )
    content = list(_content(place, now, cores, held))
    if not folded:
        header = element("header", *head)
        return element("article", header, *content, id=place.anchor, class_="card")
    shut = place.tone in ("good", "idle")
    return element(
        "details",
        element("summary", *head),
        *content,
        id=place.anchor,
        class_="card",
        data_fold="shut" if shut else "open",
        open=None if shut else "",
    )


def _content(place: Place, now: Moment, cores: Cores, held: Held) -> Iterator[Markup]:
    if not place.has_slots:
        yield element("p", place.not_advertised or "", class_="resource")
    for advertised in place.resources:
        yield resource_line(advertised, now)
    if place.node and place.node.cpus:
        holders = held.on(place.node.cpus, [one.status.name for one in place.resources])
        yield from draw_cpus(place.node, cores, holders)
        yield from list_holders(holders)
    facts = [*(node_facts(place.node) if place.node else ()), *resource_facts(place)]
    yield element("dl", *facts)
