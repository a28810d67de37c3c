"""Where the page shows resources: at the NUMA nodes that they are near."""

from collections.abc import Sequence

from attrs import frozen

from numa_trio.agent.advertised import AdvertisedResource
from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.status import Phase
from numa_trio.topology.machine import NumaNode

_TONES = {
    Phase.WAITING: "bad",
    Phase.SERVING: "busy",
    Phase.REGISTERED: "busy",
    Phase.STREAMING: "good",
}


_WORDS = {
    Phase.WAITING: "not served",
    Phase.SERVING: "not registered",
    Phase.REGISTERED: "not watched",
    Phase.STREAMING: "offered",
}

# Worst first.
_SEVERITY = ("bad", "busy", "good")


@frozen
class Place:
    """What there is to show of one number: a NUMA node that is online, its resources, or both.

    Without a number: the resources that are near no node.
    """

    number: int | None
    node: NumaNode | None
    resources: Sequence[AdvertisedResource]
    not_advertised: str | None

    @property
    def title(self) -> str:
        """In the page's words."""
        return "Any node" if self.number is None else f"Node {self.number}"

    @property
    def anchor(self) -> str:
        """The id of its card."""
        return "node-any" if self.number is None else f"node-{self.number}"

    @property
    def state(self) -> str:
        """In a word or two: that of the resource which is worst off."""
        return _state(self._worst) if self._worst else "not advertised"

    @property
    def tone(self) -> str:
        """The class of style.css that colours the state."""
        return _tone(self._worst) if self._worst else "idle"

    @property
    def has_slots(self) -> bool:
        """Whether the plain slots are among the resources, where there are some of a number."""
        return self.number is None or any(one.resource.plain for one in self.resources)

    @property
    def _worst(self) -> AdvertisedResource | None:
        return min(self.resources, key=lambda one: _SEVERITY.index(_tone(one)), default=None)


def _state(advertised: AdvertisedResource) -> str:
    return _WORDS[advertised.status.phase] if advertised.resource.healthy else "unhealthy"


def _tone(advertised: AdvertisedResource) -> str:
    return _TONES[advertised.status.phase] if advertised.resource.healthy else "bad"


def places_of(observed: Observation) -> list[Place]:
    """All of them, in order of number. A resource near several nodes is in several places."""
    near: dict[int | None, list[AdvertisedResource]] = {}
    for one in observed.resources:
        for number in one.resource.numa_nodes or (None,):
            near.setdefault(number, []).append(one)
    nowhere = near.pop(None, [])
    advertisements = {one.node.id: one for one in observed.advertisements or ()}
    places = []
    for number in sorted({number for number in near if number is not None} | advertisements.keys()):
        advertisement = advertisements.get(number)
        node = advertisement.node if advertisement else None
        reason = advertisement.reason if advertisement else "the node is offline"
        resources = sorted(near.get(number, ()), key=lambda one: not one.resource.plain)
        places.append(Place(number, node, resources, reason))
    if nowhere:
        places.append(Place(None, None, nowhere, None))
    return places
