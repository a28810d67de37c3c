"""The parts of the page from top to bottom; each has an id, so that it can be exchanged alone."""

from collections.abc import Iterator

from numa_trio import __version__
from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.monitor.page.cards import node_groups
from numa_trio.agent.monitor.page.distances import distances_section
from numa_trio.agent.monitor.page.facts import fact
from numa_trio.agent.monitor.page.history import history_section
from numa_trio.agent.monitor.page.holders import held_line
from numa_trio.agent.monitor.page.markup import Markup, element, join
from numa_trio.agent.monitor.page.pinning import pinning_section
from numa_trio.agent.monitor.page.places import places_of
from numa_trio.agent.monitor.page.troubles import troubles_list
from numa_trio.agent.monitor.page.words import words_section
from numa_trio.agent.monitor.readiness import verdict
from numa_trio.plugin.resource import NEAR
from numa_trio.topology.cores import Cores


def page_sections(observed: Observation, host: str, cores: Cores) -> Iterator[Markup]:
    """The parts, from the top of the page to its end."""
    places = places_of(observed)
    nodes = [place.node for place in places if place.node]
    yield _header(observed, host)
    yield troubles_list(observed)
    yield element("div", *distances_section(nodes), *_near(observed), class_="side-by-side")
    yield held_line(observed)
    yield element("div", *node_groups(places, observed, cores), id="nodes")
    yield from pinning_section(observed)
    yield history_section(observed)
    yield words_section(observed)
    yield _footer(observed, host)


def _header(observed: Observation, host: str) -> Markup:
    return element(
        "header",
        element("h1", "numa-trio ", element("small", f"on {host}")),
        element("p", verdict(observed), class_=f"verdict {'good' if observed.ready else 'bad'}"),
        id="header",
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
            element("dl", *(fact(NEAR + one.name, one.found) for one in offered)),
            id="near",
            class_="panel",
        )


def _footer(observed: Observation, host: str) -> Markup:
    links = (element("a", path, href=path) for path in ("/readyz", "/metrics", "/livez"))
    return element(
        "footer",
        f"numa-trio {__version__} on {host}, ",
        element("time", observed.now.rfc3339, datetime=observed.now.rfc3339),
        join(part for link in links for part in (Markup(" · "), link)),
        id="footer",
    )
