"""The resources that are named by what they are near: from what was found to slots."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import trio
from attrs import define, evolve, field

from numa_trio.agent.advertised import AdvertisedResource, AdvertisedResources
from numa_trio.agent.near_news import tell_kept, tell_look, tell_moved, tell_offered
from numa_trio.kubelet.device_checkpoint import DeviceNodes
from numa_trio.near.names import is_counted
from numa_trio.near.verdicts import NearLook, NearVerdict
from numa_trio.plugin.counting import nodes_by_ordinal
from numa_trio.plugin.resource import NEAR, NumaResource
from numa_trio.settings import BadConfiguration, Settings, check_socket_paths

# Seconds from its kubelet.sock in which kubelet has admitted the running pods again. Seen: 2.4.
_ADMITS_AGAIN = 60.0

# Each resource takes its time to be registered again when kubelet starts, some 5 ms, and until then
# pods are at risk.
_MOST_OFFERED = 32
_TOO_MANY = (
    f"{_MOST_OFFERED} names are offered already, as many as can be; to forget those that are no"
    " longer given, restart the agent"
)


@define(eq=False)
class NearResources:
    """Keeps the `near-…` slots among `resources` as the host was at the last `look`.

    `offer` makes what serves a resource; `directory` has its socket; `read_nodes` tells, by
    resource and id, the nodes of the devices that kubelet takes for given, when it gave them; None
    if nobody can tell. Until `admitted`, in Trio's seconds, kubelet may still admit running pods
    again.
    """

    settings: Settings
    resources: AdvertisedResources
    offer: Callable[[NumaResource], AdvertisedResource]
    directory: Path
    read_nodes: Callable[[], DeviceNodes | None]
    look: NearLook = field(init=False, factory=NearLook)
    admitted: float = field(init=False, default=-math.inf)
    _slots: dict[str, AdvertisedResource] = field(init=False, factory=dict)  # by name
    _given_as: dict[str, str] = field(init=False, factory=dict)  # by name

    def see(self, look: NearLook) -> bool:
        """Offer what was found now; returns whether that is other than what was so before."""
        look = evolve(look, verdicts=tuple(self._checked(look.verdicts)))
        before, self.look = self.look, look
        offered = len(self._slots)
        if look != before:
            tell_look(before, look)
        given = self.read_nodes()
        for verdict in look.verdicts:
            self._apply(verdict, given)
        names = {verdict.name for verdict in look.verdicts}
        for name, advertised in self._slots.items():
            if name not in names:
                self._lose(name, advertised)
        self._keep(given or {})
        self._spare(given)
        return look != before or len(self._slots) != offered

    def kubelet_appeared(self, at: float) -> None:
        """There is a kubelet.sock, made `at` that time, in Trio's seconds.

        A kubelet that has just started will soon admit the running pods again.
        """
        self.admitted = at + _ADMITS_AGAIN
        self._spare(self.read_nodes())

    def _checked(self, verdicts: Iterable[NearVerdict]) -> Iterator[NearVerdict]:
        """The verdicts, with a reason not to offer what cannot be offered."""
        room = _MOST_OFFERED - len(self._slots)
        for verdict in verdicts:
            if not verdict.advertised or verdict.name in self._slots:
                yield verdict
            elif obstacle := self._obstacle(verdict) or (None if room > 0 else _TOO_MANY):
                yield evolve(verdict, reason=obstacle)
            else:
                room -= 1
                yield verdict

    def _obstacle(self, verdict: NearVerdict) -> str | None:
        """Why there cannot be such a resource."""
        if self.resources.get(verdict.local_name):
            return "another resource has that name"
        try:
            check_socket_paths(self.directory, self.settings.instance, verdict.local_name)
            self._resource(verdict)
        except (BadConfiguration, ValueError) as problem:  # its sockets or devices have no room
            return str(problem)
        return None

    def _resource(self, verdict: NearVerdict) -> NumaResource:
        return NumaResource(
            verdict.local_name,
            verdict.numa_nodes,
            self.settings.capacity,
            self.settings.resource_domain,
        )

    def _apply(self, verdict: NearVerdict, given: DeviceNodes | None) -> None:
        advertised = self._slots.get(verdict.name)
        if verdict.advertised and advertised is None:
            resource = self._placed(self._resource(verdict), verdict, given)
            self._add(verdict.name, resource)
            tell_offered(verdict, resource)
        elif advertised is not None and verdict.advertised:
            before = advertised.resource
            advertised.update(self._placed(before, verdict, given))
            tell_moved(before, advertised.resource, verdict)
            advertised.set_health(None)
        elif advertised is not None and verdict.certain:
            advertised.set_health(verdict.reason)
        self._given_as[verdict.name] = verdict.given

    def _add(self, name: str, resource: NumaResource) -> None:
        self._slots[name] = self.offer(resource)
        self.resources.add(self._slots[name])

    def _placed(
        self, resource: NumaResource, verdict: NearVerdict, given: DeviceNodes | None
    ) -> NumaResource:
        """The resource where it is now, with what containers have of it where that was.

        What stays behind goes to nobody else, for kubelet would place them by it.
        """
        held = resource.left_behind if given is None else _held(resource.name, given)
        placed = resource.with_nodes(verdict.numa_nodes, held)
        return placed.with_unhealthy(placed.left_behind)

    def _lose(self, name: str, advertised: AdvertisedResource) -> None:
        """Nothing has this name now."""
        given = self._given_as.get(name, name)
        others = [verdict for verdict in self.look.verdicts if verdict.given == given]
        if not all(verdict.certain for verdict in others):
            return
        reason = next((verdict.reason for verdict in others if verdict.reason), None)
        if reason is None:
            names = ", ".join(verdict.name for verdict in others)
            reason = (
                f"what {given} stands for is offered as {names} now"
                if names
                else (f"{given} is no longer a name of anything")
            )
        advertised.set_health(reason)

    def _keep(self, given: DeviceNodes) -> None:
        """Offer, to nobody else, what containers have of names that an earlier agent offered.

        Kubelet that starts again kills a pod whose init container has a slot of a resource that
        nobody offers.
        """
        prefix = f"{self.settings.resource_domain}/{NEAR}"
        for full_name in given:
            name = full_name.removeprefix(prefix)
            if name in (full_name, *self._slots) or is_counted(name):
                continue
            held = _held(full_name, given)
            if held and len(self._slots) < _MOST_OFFERED and not self.resources.get(NEAR + name):
                with suppress(ValueError):  # it cannot be one of ours
                    self._add(name, self._kept(NEAR + name, held))
                    tell_kept(self._slots[name].resource)

    def _kept(self, local_name: str, held: Mapping[int, tuple[int, ...]]) -> NumaResource:
        # Beside slots near one node something can be counted, of which they may have some.
        nodes = min(held.values(), key=lambda each: (len(each) != 1, each))
        capacity = max(self.settings.capacity, max(held) + 1)
        resource = NumaResource(local_name, nodes, capacity, self.settings.resource_domain)
        return resource.with_nodes(nodes, held).with_health(False)

    def _spare(self, given: DeviceNodes | None) -> None:
        """While running pods are admitted again, what containers have must be healthy.

        Otherwise kubelet kills those pods whose init container has it.
        """
        for advertised in self._slots.values():
            resource = advertised.resource
            held = resource.left_behind if given is None else _held(resource.name, given)
            if trio.current_time() >= self.admitted:
                held = {}
            advertised.update(resource.with_spared(held))


def _held(resource: str, given: DeviceNodes) -> dict[int, tuple[int, ...]]:
    """The devices of a resource that containers have, by ordinal, and where they were given."""
    return nodes_by_ordinal(resource.rpartition("/")[2], given.get(resource, {}))
