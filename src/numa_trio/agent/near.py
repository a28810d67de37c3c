"""The resources that are named by what they are near: from what was found to slots."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import trio
from attrs import define, evolve, field

from numa_trio.agent.advertised import AdvertisedResource, AdvertisedResources
from numa_trio.locality.result import Outcome
from numa_trio.near.verdicts import NearLook, NearVerdict
from numa_trio.plugin.counting import ordinal_of
from numa_trio.plugin.resource import NumaResource
from numa_trio.settings import BadConfiguration, Settings, check_socket_paths
from numa_trio.topology.lists import format_nodes

log = logging.getLogger(__name__)

_DeviceNodes = Mapping[str, Mapping[str, tuple[int, ...]]]

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
    if nobody can tell.
    """

    settings: Settings
    resources: AdvertisedResources
    offer: Callable[[NumaResource], AdvertisedResource]
    directory: Path
    read_nodes: Callable[[], _DeviceNodes | None]
    look: NearLook = field(init=False, factory=NearLook)
    _slots: dict[str, AdvertisedResource] = field(init=False, factory=dict)  # by name
    _given_as: dict[str, str] = field(init=False, factory=dict)  # by name
    _admits_again_until: float = field(init=False, default=-math.inf)

    def see(self, look: NearLook) -> bool:
        """Offer what was found now; returns whether that is other than what was found before."""
        look = evolve(look, verdicts=tuple(self._checked(look.verdicts)))
        before, self.look = self.look, look
        if look != before:
            self._tell(before, look)
        given = self.read_nodes()
        for verdict in look.verdicts:
            self._apply(verdict, given)
        names = {verdict.name for verdict in look.verdicts}
        for name, advertised in self._slots.items():
            if name not in names:
                self._lose(name, advertised)
        return look != before

    def kubelet_appeared(self, at: float) -> None:
        """There is a kubelet.sock, made `at` that time, in Trio's seconds.

        A kubelet that has just started will soon admit the running pods again.
        """
        self._admits_again_until = at + _ADMITS_AGAIN
        if trio.current_time() >= self._admits_again_until:
            return
        for advertised in self._slots.values():
            advertised.update(advertised.resource.with_unhealthy(()))

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

    def _apply(self, verdict: NearVerdict, given: _DeviceNodes | None) -> None:
        advertised = self._slots.get(verdict.name)
        if verdict.advertised and advertised is None:
            resource = self._placed(self._resource(verdict), verdict, given)
            advertised = self._slots[verdict.name] = self.offer(resource)
            self._given_as[verdict.name] = verdict.given
            self.resources.add(advertised)
            _tell_offered(verdict, resource)
        elif advertised is None:
            return
        elif verdict.advertised:
            before = advertised.resource
            advertised.update(self._placed(before, verdict, given))
            _tell_moved(before, advertised.resource, verdict)
            advertised.set_health(None)
        elif verdict.certain:
            advertised.set_health(verdict.reason)

    def _placed(
        self, resource: NumaResource, verdict: NearVerdict, given: _DeviceNodes | None
    ) -> NumaResource:
        """The resource where it is now, with what containers have of it where that was.

        What stays behind goes to nobody else, for kubelet would place them by it. But while a new
        kubelet admits the running pods again, it must be healthy: a pod by whose init container
        that is not so would be killed.
        """
        nodes: Mapping[int, tuple[int, ...]] = resource.left_behind
        if given is not None:
            ids = given.get(resource.name, {})
            by_ordinal = ((ordinal_of(resource.local_name, each), ids[each]) for each in ids)
            nodes = {ordinal: then for ordinal, then in by_ordinal if ordinal is not None}
        placed = resource.with_nodes(verdict.numa_nodes, nodes)
        admits_again = trio.current_time() < self._admits_again_until
        return placed.with_unhealthy(() if admits_again else placed.left_behind)

    def _lose(self, name: str, advertised: AdvertisedResource) -> None:
        """Nothing has this name now."""
        given = self._given_as[name]
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

    def _tell(self, before: NearLook, look: NearLook) -> None:
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


def _tell_moved(before: NumaResource, after: NumaResource, verdict: NearVerdict) -> None:
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


def _tell_offered(verdict: NearVerdict, resource: NumaResource) -> None:
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


def _nodes(nodes: tuple[int, ...]) -> str:
    return format_nodes(nodes) or "no known node"
