"""From the machine to its resources: at the start, and as NUMA nodes come, go and change."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import trio
from attrs import define, field

from numa_trio.agent.advertised import AdvertisedResource, AdvertisedResources
from numa_trio.agent.backoff import Backoff
from numa_trio.plugin.advertising import Advertisement, advertise
from numa_trio.plugin.resource import NumaResource
from numa_trio.settings import Settings
from numa_trio.topology.lists import format_list
from numa_trio.topology.machine import Machine, NumaNode
from numa_trio.topology.sizes import format_bytes
from numa_trio.topology.sysfs import SysfsError, SysfsRootMissing, read_machine

log = logging.getLogger(__name__)


@define(eq=False)
class Discovery:
    """Keeps the plain slots among `resources` as the machine is. `offer` makes what serves them.

    Whatever else there is among the resources is not its own. `problem` says why the last look at
    the nodes failed, if it did; `read_errors` counts those.
    """

    settings: Settings
    resources: AdvertisedResources
    offer: Callable[[NumaResource], AdvertisedResource]
    read: Callable[[Path], Machine] = read_machine
    machine: Machine | None = None
    problem: str | None = field(default=None, init=False)
    read_errors: int = field(default=0, init=False)
    _slots: dict[int, AdvertisedResource] = field(factory=dict, init=False)  # by node

    async def first(self) -> None:
        """Find the nodes, trying again until sysfs can be read. Raises `SysfsRootMissing`."""
        backoff = Backoff(first=1.0, longest=30.0)
        machine = self._read_or_complain()
        while machine is None:
            await trio.sleep(backoff.next_delay())
            machine = self._read_or_complain()
        log.info(
            "Discovered %d NUMA node%s: %s",
            len(machine.nodes),
            "" if len(machine.nodes) == 1 else "s",
            "; ".join(map(_describe, machine.nodes)),
            extra={"nodes": [node.id for node in machine.nodes]},
        )
        self._apply(machine)
        if not self._slots:
            log.error("No NUMA node can be advertised: no pod can ask for one on this machine")

    async def follow(self) -> NoReturn:
        """Read the nodes again every `topology_interval` seconds, for ever."""
        while True:
            if machine := await self._read_later():
                self._apply(machine)

    async def _read_later(self) -> Machine | None:
        await trio.sleep(self.settings.topology_interval)
        return self._read_or_complain()

    def _read_or_complain(self) -> Machine | None:
        problem = None
        machine = None
        try:
            machine = self.read(self.settings.sysfs_root)
        except SysfsRootMissing as error:
            if self.machine is None:
                raise
            problem = str(error)
        except SysfsError as error:
            problem = str(error)
        if problem:
            self.read_errors += 1
        if problem != self.problem:
            self.problem = problem
            if problem:
                log.error("Cannot read the NUMA nodes; trying again: %s", problem)
            else:
                log.info("The NUMA nodes can be read again")
        return machine

    def _apply(self, machine: Machine) -> None:
        self._tell_remarks(machine)
        verdicts = {one.node.id: one for one in advertise(machine, self.settings.cpuless_nodes)}
        for node, verdict in verdicts.items():
            advertised = self._slots.get(node)
            if advertised is None:
                self._meet(verdict)
            elif verdict.certain:
                advertised.set_health(verdict.reason)
        for node, advertised in self._slots.items():
            if node not in verdicts:
                advertised.set_health("the node is offline")
        self.machine = machine

    def _tell_remarks(self, machine: Machine) -> None:
        """Log each remark when it comes and when it goes."""
        before = self.machine.remarks if self.machine else ()
        for remark in machine.remarks:
            if remark not in before:
                log.warning("%s", remark)
        for remark in before:
            if remark not in machine.remarks:
                log.info("No longer so: %s", remark.text)

    def _meet(self, verdict: Advertisement) -> None:
        node = verdict.node.id
        if verdict.advertised:
            resource = NumaResource.of_node(
                node, self.settings.capacity, self.settings.resource_domain
            )
            self._slots[node] = self.offer(resource)
            self.resources.add(self._slots[node])
            log.info("Advertising node %d as %s: %d", node, resource.name, resource.capacity)
        elif self.machine is None or node not in {known.id for known in self.machine.nodes}:
            log.info("Not advertising node %d: %s", node, verdict.reason)


def _describe(node: NumaNode) -> str:
    cpus = f"CPUs {format_list(node.cpus)}" if node.has_cpus else "no CPUs"
    if not node.cpus_known:
        cpus = "CPUs unknown"
    if node.memory_bytes is None:
        memory = "memory unknown"
    else:
        memory = f"{format_bytes(node.memory_bytes)} memory"
    return f"node {node.id}: {cpus}, {memory}"
