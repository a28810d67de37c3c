"""The resources follow the machine: nodes that come, go, lose their CPUs and return."""

import logging
from pathlib import Path

import pytest
import trio
from attrs import define
from trio.testing import MockClock

from agent.kubelet_fakes import FakeServer, offer
from numa_trio.agent.advertised import AdvertisedResources
from numa_trio.agent.discovery import Discovery
from numa_trio.plugin.resource import NumaResource
from numa_trio.settings import load_settings
from numa_trio.topology.lists import MalformedText
from numa_trio.topology.machine import Machine, NumaNode, Remark
from numa_trio.topology.sysfs import MalformedSysfs, SysfsRootMissing

NODE_0 = NumaNode(0, cpus=frozenset({0, 1}), memory_bytes=4 << 30)
NODE_1 = NumaNode(1, cpus=frozenset({2, 3}), memory_bytes=4 << 30)
MEMORY_ONLY = NumaNode(2, memory_bytes=1 << 30)


@define
class Sysfs:
    """What reading it gives: a machine, or an error."""

    content: Machine | Exception

    def read(self, _root: Path) -> Machine:
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


def discovery(sysfs: Sysfs, **variables: str) -> Discovery:
    return Discovery(load_settings(variables), AdvertisedResources(), offer, read=sysfs.read)


def health(found: Discovery) -> dict[str, bool]:
    return {one.resource.name: one.resource.healthy for one in found.resources}


async def test_names_the_nodes_with_their_cpus_and_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line contains `Discovered`; what is left out is said, with the reason."""
    found = discovery(Sysfs(Machine((NODE_0, NODE_1, MEMORY_ONLY))))
    with caplog.at_level(logging.INFO):
        await found.first()
    assert caplog.messages[0] == (
        "Discovered 3 NUMA nodes: node 0: CPUs 0-1, 4 GiB memory; node 1: CPUs 2-3, 4 GiB"
        " memory; node 2: no CPUs, 1 GiB memory"
    )
    assert health(found) == {"numa-align/numa-0": True, "numa-align/numa-1": True}
    assert [line for line in caplog.messages if line.startswith("Not advertising node 2: no onli")]


async def test_nodes_without_cpus_are_advertised_on_demand() -> None:
    """NUMA_CPULESS_NODES=advertise, and the other settings of the offer."""
    found = discovery(
        Sysfs(Machine((NODE_0, MEMORY_ONLY))),
        NUMA_CPULESS_NODES="advertise",
        NUMA_CAPACITY="7",
        NUMA_RESOURCE_DOMAIN="example.com",
    )
    await found.first()
    assert [one.resource for one in found.resources] == [
        NumaResource.of_node(0, 7, "example.com"),
        NumaResource.of_node(2, 7, "example.com"),
    ]


async def test_a_sysfs_root_that_does_not_exist_is_bad_configuration() -> None:
    """At the start it ends the agent; what was there once is waited for."""
    sysfs = Sysfs(SysfsRootMissing(Path("/none"), "No such file or directory"))
    with pytest.raises(SysfsRootMissing):
        await discovery(sysfs).first()


async def test_a_malformed_file_at_the_start_is_tried_again(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """It is no configuration: logged once, and the resources come when it is mended."""
    sysfs = Sysfs(MalformedSysfs(Path("/sys/x"), MalformedText("0-", "a list")))
    found = discovery(sysfs)
    nursery.start_soon(found.first)
    await trio.sleep(300)
    assert len(found.resources) == 0
    assert sum("Cannot read the NUMA nodes" in line for line in caplog.messages) == 1
    sysfs.content = Machine((NODE_0,))
    await trio.sleep(31)
    assert health(found) == {"numa-align/numa-0": True}


@pytest.mark.parametrize(
    "without_node_1",
    [Machine((NODE_0,)), Machine((NODE_0, NumaNode(1, memory_bytes=4 << 30)))],
    ids=["offline", "without CPUs"],
)
async def test_a_node_that_goes_is_unhealthy_until_it_returns(
    autojump_clock: MockClock,
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
    without_node_1: Machine,
) -> None:
    """Its slots do not vanish; each change is sent once and logged once."""
    sysfs = Sysfs(Machine((NODE_0, NODE_1)))
    found = discovery(sysfs)
    await found.first()
    nursery.start_soon(found.follow)
    server = next(one.server for one in found.resources if one.resource.local_name == "numa-1")
    assert isinstance(server, FakeServer)
    with caplog.at_level(logging.INFO):
        sysfs.content = without_node_1
        await trio.sleep(95)
        assert health(found) == {"numa-align/numa-0": True, "numa-align/numa-1": False}
        assert server.updates == [NumaResource.of_node(1, 100).with_health(False)]
        sysfs.content = Machine((NODE_0, NODE_1))
        await trio.sleep(95)
        assert health(found) == {"numa-align/numa-0": True, "numa-align/numa-1": True}
        assert server.updates[1:] == [NumaResource.of_node(1, 100).with_health(True)]
    assert len([line for line in caplog.messages if "numa-1" in line]) == 2


async def test_resources_of_others_are_left_alone(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Their health is for whoever added them, whatever becomes of the nodes that they are near."""
    sysfs = Sysfs(Machine((NODE_0, NODE_1)))
    found = discovery(sysfs)
    cpus = offer(NumaResource("numa-1-cpu", (1,), 2))
    found.resources.add(cpus)
    await found.first()
    nursery.start_soon(found.follow)
    near = offer(NumaResource("near-data", (1,), 100).with_health(False))
    found.resources.add(near)
    sysfs.content = Machine((NODE_0,))
    await trio.sleep(95)
    assert health(found)["numa-align/numa-1"] is False
    sysfs.content = Machine((NODE_0, NODE_1))
    await trio.sleep(95)
    assert health(found) == {
        "numa-align/numa-0": True,
        "numa-align/numa-1": True,
        "numa-align/numa-1-cpu": True,
        "numa-align/near-data": False,
    }
    for one in (cpus, near):
        assert isinstance(one.server, FakeServer)
        assert one.server.updates == []


async def test_a_machine_without_slots_says_so_whatever_others_offer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No NUMA node can be asked for."""
    found = discovery(Sysfs(Machine((MEMORY_ONLY,))))
    found.resources.add(offer(NumaResource("near-data", (0,), 1)))
    await found.first()
    assert "No NUMA node can be advertised: no pod can ask for one on this machine" in (
        caplog.messages
    )


async def test_a_new_node_is_advertised(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """Also one that was known and gets its first CPUs."""
    sysfs = Sysfs(Machine((NODE_0, MEMORY_ONLY)))
    found = discovery(sysfs, NUMA_TOPOLOGY_INTERVAL="5")
    await found.first()
    nursery.start_soon(found.follow)
    sysfs.content = Machine((NODE_0, NODE_1, NumaNode(2, cpus=frozenset({4}))))
    await trio.sleep(6)
    assert health(found) == dict.fromkeys(
        ["numa-align/numa-0", "numa-align/numa-1", "numa-align/numa-2"], True
    )


@pytest.mark.parametrize(
    "trouble",
    [
        SysfsRootMissing(Path("/sys"), "No such file or directory"),
        MalformedSysfs(Path("/sys/x"), MalformedText("0-", "a list")),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
async def test_a_sysfs_that_cannot_be_read_for_a_while_changes_nothing(
    autojump_clock: MockClock,
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
    trouble: Exception,
) -> None:
    """What is unknown is not unhealthy; both changes are logged once."""
    sysfs = Sysfs(Machine((NODE_0,)))
    found = discovery(sysfs)
    await found.first()
    nursery.start_soon(found.follow)
    with caplog.at_level(logging.INFO):
        sysfs.content = trouble
        await trio.sleep(100)
        sysfs.content = Machine((NODE_0,))
        await trio.sleep(100)
    assert health(found) == {"numa-align/numa-0": True}
    assert [line.partition(":")[0] for line in caplog.messages] == [
        "Cannot read the NUMA nodes; trying again",
        "The NUMA nodes can be read again",
    ]


async def test_a_remark_is_logged_when_it_comes_and_when_it_goes(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at each look, also where a file holds something else each time."""
    sysfs = Sysfs(Machine((NODE_0,), remarks=(Remark("node 0: memory unknown", "held 'x'"),)))
    found = discovery(sysfs)
    with caplog.at_level(logging.INFO):
        await found.first()
        nursery.start_soon(found.follow)
        caplog.clear()
        await trio.sleep(100)
        sysfs.content = Machine((NODE_0,), remarks=(Remark("node 0: memory unknown", "held 'y'"),))
        await trio.sleep(100)
        assert caplog.messages == []
        sysfs.content = Machine((NODE_0,), remarks=(Remark("node 0: huge pages unknown"),))
        await trio.sleep(100)
    assert caplog.messages == [
        "node 0: huge pages unknown",
        "No longer so: node 0: memory unknown",
    ]


async def test_unknown_cpus_change_nothing_until_they_are_known(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A node that was never known waits; one that is advertised stays as it is."""
    unknown = NumaNode(0, cpus_known=False)
    sysfs = Sysfs(Machine((unknown, NODE_1)))
    found = discovery(sysfs)
    await found.first()
    nursery.start_soon(found.follow)
    assert health(found) == {"numa-align/numa-1": True}
    sysfs.content = Machine((NODE_0, NumaNode(1, cpus_known=False)))
    await trio.sleep(31)
    assert health(found) == {"numa-align/numa-1": True, "numa-align/numa-0": True}
    sysfs.content = Machine((unknown, NumaNode(1)))
    await trio.sleep(31)
    assert health(found) == {"numa-align/numa-1": False, "numa-align/numa-0": True}


async def test_a_node_that_is_not_advertised_is_named_once(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at each look; but again when it has been away."""
    sysfs = Sysfs(Machine((NODE_0, MEMORY_ONLY)))
    found = discovery(sysfs)
    with caplog.at_level(logging.INFO):
        await found.first()
        nursery.start_soon(found.follow)
        await trio.sleep(3600)
        assert sum(line.startswith("Not advertising node 2") for line in caplog.messages) == 1
        sysfs.content = Machine((NODE_0,))
        await trio.sleep(31)
        sysfs.content = Machine((NODE_0, MEMORY_ONLY))
        await trio.sleep(3600)
    assert sum(line.startswith("Not advertising node 2") for line in caplog.messages) == 2


async def test_a_machine_without_a_node_to_advertise_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing to offer is an error to see, not a silent success."""
    found = discovery(Sysfs(Machine((MEMORY_ONLY,))))
    await found.first()
    assert list(found.resources) == []
    assert any("No NUMA node can be advertised" in line for line in caplog.messages)
