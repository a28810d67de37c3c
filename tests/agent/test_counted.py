"""From what kubelet says to the counted resources that are offered."""

import logging
from collections.abc import Mapping, Sequence

import pytest
import trio
from attrs import define, evolve, field
from trio.testing import MockClock

from agent.kubelet_fakes import offer
from numa_trio.agent.advertised import AdvertisedResource, AdvertisedResources
from numa_trio.agent.counted import CountedResources
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings, MemoryBlock
from numa_trio.plugin.resource import NumaResource
from numa_trio.settings import load_settings
from numa_trio.topology.machine import Machine, NumaNode

GIB = 2**30
CPU_1 = "numa-align/numa-1-cpu"

# CPU 0 and half a gibibyte of each node are reserved.
CAN_GIVE = Allocatable(
    frozenset({1, 2, 3, 4, 5, 6, 7}),
    (MemoryBlock("memory", 8 * GIB - GIB // 2, (0,)), MemoryBlock("memory", 8 * GIB, (1,))),
)
CPUS_ONLY = Allocatable(CAN_GIVE.cpus)


@define(eq=False)
class Rig:
    """Two nodes of four CPUs, whose slots are advertised, and what is counted of them."""

    checkpoint: Sequence[Mapping[str, frozenset[str]]] = ()
    resources: AdvertisedResources = field(factory=AdvertisedResources)
    machine: Machine | None = field(
        factory=lambda: Machine(
            (NumaNode(0, frozenset({0, 1, 2, 3})), NumaNode(1, frozenset({4, 5, 6, 7})))
        )
    )

    def counting(self, **variables: str) -> CountedResources:
        settings = load_settings({"NUMA_COUNTED": "cpu,memory", **variables})
        for node in (0, 1):
            self.resources.add(offer(NumaResource.of_node(node, 100)))
        return CountedResources(
            settings, self.resources, offer, lambda: self.machine, self._read_checkpoint
        )

    def _read_checkpoint(self) -> Sequence[Mapping[str, frozenset[str]]]:
        return self.checkpoint

    def advertised(self, name: str) -> AdvertisedResource:
        found = self.resources.get(name)
        assert found is not None
        return found

    def healthy(self, name: str) -> int:
        return self.advertised(name).resource.healthy_count

    def names(self) -> list[str]:
        return [each.resource.local_name for each in self.resources]


@pytest.fixture
async def rig() -> Rig:
    return Rig()


def holder(cpus: set[int], *ids: str) -> ContainerHoldings:
    devices = {CPU_1: ids} if ids else {}
    return ContainerHoldings("default", "pod", "app", devices, frozenset(cpus))


async def test_offers_what_kubelet_can_give_away_of_each_node(rig: Rig) -> None:
    """CPUs that are not reserved, and whole units of memory, near the node they are on."""
    rig.counting().apply(CAN_GIVE, ())
    assert rig.names()[2:] == ["numa-0-cpu", "numa-0-memory", "numa-1-cpu", "numa-1-memory"]
    assert [rig.healthy(name) for name in rig.names()[2:]] == [3, 7, 4, 8]
    assert rig.advertised("numa-1-cpu").resource.numa_nodes == (1,)
    (answer,) = rig.advertised("numa-1-cpu").resource.allocate([["numa-1-cpu-0", "numa-1-cpu-3"]])
    assert answer.environment == {"NUMA_NODE": "1"}


async def test_counts_only_what_was_asked_for(rig: Rig) -> None:
    """NUMA_COUNTED=cpu leaves memory out; a unit of another size makes other counts."""
    rig.counting(NUMA_COUNTED="cpu").apply(CAN_GIVE, ())
    assert rig.names()[2:] == ["numa-0-cpu", "numa-1-cpu"]
    other = Rig()
    other.counting(NUMA_MEMORY_UNIT="512Mi").apply(CAN_GIVE, ())
    assert other.healthy("numa-0-memory") == 15


async def test_strangers_cpus_make_devices_unhealthy_until_they_return(rig: Rig) -> None:
    """As many as it holds, and never those that a container has."""
    counting = rig.counting()
    ours = holder({4, 5}, "numa-1-cpu-3", "numa-1-cpu-1")
    counting.apply(CAN_GIVE, [ours])
    assert rig.healthy("numa-1-cpu") == 4
    counting.apply(CAN_GIVE, [ours, holder({6, 1})])
    resource = rig.advertised("numa-1-cpu").resource
    assert resource.healthy_count == 3
    assert resource.unhealthy < {0, 2}
    assert rig.healthy("numa-0-cpu") == 2
    counting.apply(CAN_GIVE, [ours])
    assert rig.healthy("numa-1-cpu") == 4


async def test_same_answer_sends_nothing(rig: Rig) -> None:
    """A list is sent only when it has changed."""
    counting = rig.counting()
    for _ in range(3):
        counting.apply(CAN_GIVE, [holder({6})])
    server = rig.advertised("numa-1-cpu").server
    assert server.updates == []  # type: ignore[attr-defined]  a FakeServer
    counting.apply(CAN_GIVE, [])
    counting.apply(CAN_GIVE, [])
    assert len(server.updates) == 1  # type: ignore[attr-defined]


async def test_devices_that_kubelet_takes_for_given_stay_healthy(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """Those of init containers, which are not listed, and those that were just given out."""
    counting = rig.counting()
    counting.apply(CAN_GIVE, ())
    rig.checkpoint = [{CPU_1: frozenset({"numa-1-cpu-3", "numa-1-cpu-2"})}]
    counting.given([["numa-1-cpu-1"], ["numa-0-cpu-1"]])
    counting.apply(CAN_GIVE, [holder({4})])
    assert rig.advertised("numa-1-cpu").resource.unhealthy == {0}


async def test_devices_of_a_listed_pods_init_container_stay_healthy_come_what_may(
    rig: Rig,
) -> None:
    """A stranger took what the init container had; at a restart kubelet wants them healthy."""
    counting = rig.counting()
    counting.apply(CAN_GIVE, ())
    ended = {CPU_1: frozenset({"numa-1-cpu-1"})}
    rig.checkpoint = [{CPU_1: frozenset({"numa-1-cpu-0", "numa-1-cpu-2", "numa-1-cpu-3"})}, ended]
    counting.apply(CAN_GIVE, [holder({4}, "numa-1-cpu-0"), holder({5, 6, 7})])
    assert rig.advertised("numa-1-cpu").resource.unhealthy == {1}


@pytest.mark.parametrize(
    ("can_give", "missing", "why"),
    [
        (Allocatable(), "numa-0-cpu", "CPU Manager"),
        (Allocatable(), "numa-0-memory", "Memory Manager"),
        (CPUS_ONLY, "numa-0-memory", "Memory Manager"),
        (Allocatable(frozenset({1}), CAN_GIVE.memory), "numa-1-cpu", "reserved"),
    ],
)
async def test_says_why_something_is_not_counted(
    rig: Rig,
    can_give: Allocatable,
    missing: str,
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without the static policies there is nothing to count: said once, and shown."""
    counting = rig.counting()
    with caplog.at_level(logging.INFO):
        counting.apply(can_give, ())
        counting.apply(can_give, ())
    assert missing not in rig.names()
    assert why in counting.reasons[missing]
    assert caplog.text.count(f"Not counting numa-align/{missing}: ") == 1
    counting.apply(CAN_GIVE, ())
    assert missing in rig.names()
    assert missing not in counting.reasons


async def test_too_small_a_unit_is_said_not_sent(rig: Rig) -> None:
    """A list that kubelet could not take is not made."""
    counting = rig.counting(NUMA_MEMORY_UNIT="1Mi")
    counting.apply(Allocatable(CAN_GIVE.cpus, (MemoryBlock("memory", 2**40, (0,)),)), ())
    assert "numa-0-memory" not in rig.names()
    assert "NUMA_MEMORY_UNIT" in counting.reasons["numa-0-memory"]


async def test_policy_that_is_switched_off_leaves_devices_to_those_who_have_them(
    rig: Rig,
) -> None:
    """A resource that is advertised stays; nobody new gets any of it."""
    counting = rig.counting()
    ours = holder({4}, "numa-1-cpu-2")
    counting.apply(CAN_GIVE, [ours])
    counting.apply(Allocatable(), [ours])
    assert rig.healthy("numa-0-cpu") == 0
    assert rig.advertised("numa-1-cpu").resource.unhealthy == {0, 1, 3}
    assert "CPU Manager" in counting.reasons["numa-1-cpu"]


async def test_fewer_and_more_cpus_than_before(rig: Rig) -> None:
    """A kubelet that reserves more, or less: ids stay what they were."""
    counting = rig.counting()
    counting.apply(CAN_GIVE, ())
    counting.apply(evolve(CAN_GIVE, cpus=frozenset({6, 7})), ())
    resource = rig.advertised("numa-1-cpu").resource
    assert (resource.capacity, resource.unhealthy) == (4, {2, 3})
    rig.machine = Machine((NumaNode(1, frozenset(range(4, 12))),))
    counting.apply(evolve(CAN_GIVE, cpus=frozenset(range(4, 12))), ())
    assert rig.healthy("numa-1-cpu") == 8


async def test_nothing_is_counted_before_kubelet_or_the_machine_is_known(rig: Rig) -> None:
    """There is nothing to go by."""
    counting = rig.counting()
    counting.refresh()
    rig.machine = None
    counting.apply(CAN_GIVE, ())
    assert rig.names() == ["numa-0", "numa-1"]


async def test_node_that_goes_offline_takes_its_counts_along(rig: Rig) -> None:
    """Between two answers the health of the slots is that of what is counted."""
    counting = rig.counting()
    counting.apply(CAN_GIVE, ())
    slots = rig.advertised("numa-1")
    slots.update(slots.resource.with_health(False))
    counting.refresh()
    assert (rig.healthy("numa-0-cpu"), rig.healthy("numa-1-cpu")) == (3, 0)
    slots.update(slots.resource.with_health(True))
    counting.refresh()
    assert rig.healthy("numa-1-cpu") == 4


async def test_devices_given_out_long_ago_are_forgotten(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """A pod that was not admitted after all does not keep its devices for ever."""
    counting = rig.counting()
    counting.apply(CAN_GIVE, ())
    counting.given([[f"numa-1-cpu-{number}" for number in range(1, 4)]])
    await trio.sleep(31)
    counting.apply(CAN_GIVE, [holder({4})])
    assert rig.advertised("numa-1-cpu").resource.unhealthy == {3}


async def test_node_whose_cpus_cannot_be_read_keeps_what_was_known(rig: Rig) -> None:
    """Its slots stay healthy, and so does what is counted; nobody reserved its CPUs meanwhile."""
    counting = rig.counting()
    counting.apply(CAN_GIVE, ())
    assert rig.machine is not None
    first, second = rig.machine.nodes
    rig.machine = Machine((first, evolve(second, cpus=frozenset(), cpus_known=False)))
    counting.apply(CAN_GIVE, [holder({6})])
    assert rig.healthy("numa-1-cpu") == 3
    assert counting.reasons == {}


async def test_node_whose_cpus_were_never_read_is_not_said_to_be_reserved(rig: Rig) -> None:
    """Until they can be read nothing is counted there, and that is what is told."""
    assert rig.machine is not None
    first, second = rig.machine.nodes
    rig.machine = Machine((first, evolve(second, cpus=frozenset(), cpus_known=False)))
    counting = rig.counting(NUMA_COUNTED="cpu")
    counting.apply(CAN_GIVE, ())
    assert rig.names()[2:] == ["numa-0-cpu"]
    assert counting.reasons == {"numa-1-cpu": "the node's CPUs cannot be read"}
    rig.machine = Machine((first, second))
    counting.refresh()
    assert rig.healthy("numa-1-cpu") == 4
    assert counting.reasons == {}


async def test_resource_that_has_the_name_already_is_left_alone(rig: Rig) -> None:
    """Another resource called like what would be counted is not changed; the rest is counted."""
    counting = rig.counting(NUMA_COUNTED="cpu")
    other = NumaResource("numa-0-cpu", (1,), 7)
    rig.resources.add(offer(other))
    counting.apply(CAN_GIVE, ())
    assert rig.advertised("numa-0-cpu").resource == other
    assert rig.healthy("numa-1-cpu") == 4
    assert "name" in counting.reasons["numa-0-cpu"]


async def test_name_that_is_too_long_for_devices_is_told_and_the_rest_is_counted(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """Kubelet allows 63 characters for a device's id: what exceeds that alone is not counted."""
    counting = rig.counting(NUMA_COUNTED="cpu")
    rig.resources.add(offer(NumaResource("near-" + 55 * "x", (0,), 10)))
    counting.apply(CAN_GIVE, ())
    counting.refresh()
    assert caplog.text.count("Not counting") == 1
    assert [rig.healthy(name) for name in ("numa-0-cpu", "numa-1-cpu")] == [3, 4]
    assert "63" in counting.reasons["near-" + 55 * "x" + "-cpu"]


async def test_name_near_several_nodes_is_not_counted(rig: Rig) -> None:
    """What is free of one is not free of the other; once it is near one it is."""
    counting = rig.counting(NUMA_COUNTED="cpu")
    near = offer(NumaResource("near-data", (0, 1), 100))
    unknown = offer(NumaResource("near-card", (), 100))
    for one in (near, unknown):
        rig.resources.add(one)
    counting.apply(CAN_GIVE, ())
    assert counting.reasons["near-data-cpu"] == "it is near several NUMA nodes"
    assert counting.reasons["near-card-cpu"] == "its node is unknown"
    near.update(near.resource.with_nodes((1,)))
    counting.refresh()
    assert rig.healthy("near-data-cpu") == 4
    near.update(near.resource.with_nodes((0, 1)))
    counting.refresh()
    assert rig.healthy("near-data-cpu") == 0


async def test_counted_moves_with_its_name(rig: Rig) -> None:
    """But for what containers have, which stays near the CPUs that they have."""
    nodes: dict[str, dict[str, tuple[int, ...]]] = {}
    counting = rig.counting(NUMA_COUNTED="cpu")
    counting.read_nodes = lambda: nodes
    near = offer(NumaResource("near-data", (1,), 100))
    rig.resources.add(near)
    name = "numa-align/near-data-cpu"
    ours = ContainerHoldings("default", "pod", "app", {name: ("near-data-cpu-2",)}, frozenset({4}))
    counting.apply(CAN_GIVE, [ours])
    nodes[name] = {"near-data-cpu-2": (1,), "near-data-cpu-0": (1,)}
    near.update(near.resource.with_nodes((0,)))
    counting.refresh()
    moved = rig.advertised("near-data-cpu").resource
    assert moved.numa_nodes == (0,)
    assert moved.left_behind == {2: (1,)}
    assert rig.healthy("near-data-cpu") == 3
    counting.apply(CAN_GIVE, ())
    assert not rig.advertised("near-data-cpu").resource.left_behind
