"""What is shown of the agent is what holds at that moment."""

import socket
from pathlib import Path

import trio
from trio.testing import MockClock

from agent.kubelet_fakes import HandWatch, offer
from agent.monitor.observations import node_of
from numa_trio.agent.advertised import AdvertisedResources
from numa_trio.agent.counts import AgentCounts, Outcome
from numa_trio.agent.discovery import Discovery
from numa_trio.agent.monitor.http_counts import HttpCounts
from numa_trio.agent.monitor.observation import Observer
from numa_trio.agent.status import ResourceStatus
from numa_trio.kubelet.socket import KubeletSocket
from numa_trio.plugin.resource import NumaResource
from numa_trio.settings import load_settings
from numa_trio.topology.machine import Machine, NumaNode
from numa_trio.topology.sysfs import SysfsError


class Sysfs:
    """Gives `machine`, or an error if there is none."""

    machine: Machine | None = None

    def read(self, _root: Path) -> Machine:
        if self.machine is None:
            raise SysfsError("the file is torn")
        return self.machine


async def test_looks_at_the_facts_themselves(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The nodes as last read, kubelet.sock as it is now, the watch as it works now."""
    sysfs = Sysfs()
    watch = HandWatch(tmp_path)
    discovery = Discovery(load_settings({}), AdvertisedResources(), offer, read=sysfs.read)
    path = tmp_path / "kubelet.sock"
    counts = AgentCounts()
    http_counts = HttpCounts()
    observer = Observer(discovery, KubeletSocket(path, watch), watch, counts, http_counts)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(discovery.first)
        await trio.sleep(100)
        observed = observer.observe()
        assert observed.advertisements is None
        assert observed.topology_problem == "the file is torn"
        errors = observed.topology_read_errors
        assert 100 / 30 < errors < 15  # after a second, then later and later up to 30 s
        assert observed.kubelet_problem == f"{path} does not exist yet"
        assert not observed.polling
        assert not observed.ready

        sysfs.machine = Machine((node_of(0), node_of(1), NumaNode(2)))
        await trio.sleep(30)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
    watch.polling = True
    for other in ("near-data-10", "near-data-2"):
        discovery.resources.add(offer(NumaResource(other, (0,), 1)))
    observed = observer.observe()
    assert observed.advertisements is not None
    assert [one.advertised for one in observed.advertisements] == [True, True, False]
    assert [one.resource.local_name for one in observed.resources] == [
        "numa-0",
        "near-data-2",
        "near-data-10",
        "numa-1",
    ]
    assert observed.topology_problem is None
    assert errors <= observed.topology_read_errors <= errors + 1
    assert observed.kubelet_problem is None
    assert observed.polling
    assert observed.counts is counts
    assert observed.http_counts is http_counts
    assert observed.now.trio == trio.current_time()
    assert observed.missing == list(observed.resources)


async def test_a_transition_is_to_streaming_or_from_it(autojump_clock: MockClock) -> None:
    """What goes wrong before streaming does not change since when the resource is missing."""
    status = ResourceStatus("numa-align/numa-0")
    created = status.since
    await trio.sleep(10)
    status.serving_began()
    status.registration_accepted()
    status.registration_failed(Outcome.REFUSED, "refused")
    assert status.since is created
    status.registration_accepted()
    await trio.sleep(10)
    status.streams_changed(1)
    assert status.since.seconds_since(created) == 20
    await trio.sleep(10)
    status.streams_changed(2)
    assert status.since.seconds_since(created) == 20
    status.serving_ended()
    assert status.since.seconds_since(created) == 30
