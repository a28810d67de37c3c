"""What becomes of the pods of the scenarios, and the counts that pods carry, without the agent."""

from pathlib import Path

import pytest

from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.kubelet.rpc.pod_resources_client import connect_pod_resources
from numa_trio.plugin.counted import Counted
from numa_trio.plugin.resource import NumaResource
from numa_trio.settings import BadConfiguration
from numa_trio.simulator.admission import UNSCHEDULABLE, Verdict
from numa_trio.simulator.counted_pods import with_counts
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.expectation import differences
from numa_trio.simulator.ideal import IdealCluster, Offer
from numa_trio.simulator.kubelet import open_kubelet
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.simulator.machine_file import load_machine, shipped_machines
from numa_trio.simulator.pod_resources import allocatable_of, holdings_of
from numa_trio.simulator.scenarios import plan_scenario
from numa_trio.workloads.pod import Container
from simulated import GIB, container, init, machine, pod, sidecar

CONFIG = KubeletConfig()
CPUS = (Counted.CPU,)
CPUS_AND_MEMORY = (Counted.CPU, Counted.MEMORY)
TOPOLOGY = "TopologyAffinityError"


def offer(simulated: SimulatedMachine, counted: tuple[Counted, ...] = ()) -> Offer:
    nodes = [node.id for node in simulated.machine.nodes if node.has_cpus]
    return Offer(tuple(NumaResource.of_node(node, 100) for node in nodes), counted)


async def told(
    name: str, simulated: SimulatedMachine, counted: tuple[Counted, ...]
) -> list[dict[str, str]]:
    """What became of each pod after each step: `runs`, or why it does not."""
    offered = offer(simulated, counted)
    ideal = IdealCluster.create(simulated, CONFIG, offered)
    verdicts: dict[str, Verdict] = {}
    after = []
    for step in plan_scenario(name, simulated, CONFIG, offered).steps:
        for gone in step.deletes:
            ideal.remove(verdicts.pop(gone.name).pod)
        waiting = [each.pod for each in verdicts.values() if each.reason == UNSCHEDULABLE]
        for each in (*waiting, *step.creates):
            verdicts[each.name] = await ideal.admit(each)
        after.append({name: verdict.reason or "runs" for name, verdict in verdicts.items()})
    return after


MACHINES = ["two-by-two", "two-node-server", "eight-node-epyc", "gpu-memory", "sparse"]
STORIES = {
    "overfull": (
        [["runs"] * 2 + [TOPOLOGY] * 3, ["runs"] + [TOPOLOGY] * 3],
        [["runs"] * 2 + [UNSCHEDULABLE] * 3, ["runs"] * 2 + [UNSCHEDULABLE] * 2],
    ),
    "stranger": (
        [["runs"], ["runs", TOPOLOGY], [TOPOLOGY]],
        [["runs"], ["runs", UNSCHEDULABLE], ["runs"]],
    ),
    "large-init": (
        [["runs"], ["runs", TOPOLOGY], [TOPOLOGY]],
        [["runs"], ["runs", UNSCHEDULABLE], ["runs"]],
    ),
}


@pytest.mark.parametrize("machine_name", MACHINES)
@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("counted", [(), CPUS, CPUS_AND_MEMORY], ids=["none", "cpu", "both"])
async def test_pods_wait_where_they_are_counted(
    name: str, machine_name: str, counted: tuple[Counted, ...]
) -> None:
    """On any machine, what dies without counts waits with them, and comes in when there is room."""
    simulated = load_machine(shipped_machines()[machine_name])
    after = await told(name, simulated, counted)
    assert [[*each.values()] for each in after] == STORIES[name][bool(counted)]


def test_scenarios_need_room() -> None:
    """Where no NUMA node has two CPUs to give away, that is said."""
    tiny = machine([0], [1])
    with pytest.raises(BadConfiguration, match="no NUMA node of test has two CPUs"):
        plan_scenario("overfull", tiny, CONFIG, offer(tiny))


async def test_stranger_makes_as_many_devices_unhealthy() -> None:
    """What a pod has without having asked for it is gone, and back when the pod is."""
    ideal = IdealCluster.create(NODES, CONFIG, offer(NODES, CPUS_AND_MEMORY))
    healthy = {"numa-0-cpu": 1, "numa-0-memory": 3, "numa-1-cpu": 2, "numa-1-memory": 3}
    assert {each.local_name: each.healthy_count for each in ideal.counted} == healthy

    stranger = pod(container(cpu="2", memory="1Gi"))
    assert (await ideal.admit(stranger)).admitted
    with_stranger = {**healthy, "numa-1-cpu": 0, "numa-1-memory": 2}
    assert {each.local_name: each.healthy_count for each in ideal.counted} == with_stranger

    ideal.remove(stranger)
    assert {each.local_name: each.healthy_count for each in ideal.counted} == healthy


NODES = machine([0, 1], [2, 3])


@pytest.mark.parametrize(
    ("asking", "counts"),
    [
        (container(cpu="2", numa=[1]), {"numa-1-cpu": 2, "numa-1-memory": 1}),
        (container(numa=[0], memory="1Gi"), {"numa-0-cpu": 1, "numa-0-memory": 1}),
        (container(numa=[0], memory="1025Mi"), {"numa-0-cpu": 1, "numa-0-memory": 2}),
        (container(cpu="500m", numa=[0]), {"numa-0-memory": 1}),
        (container(numa=[0, 1]), {}),
        (container(), {}),
        (container(numa=[0], limits=False), {}),
    ],
)
def test_counts_of_a_container(asking: Container, counts: dict[str, int]) -> None:
    """Whole CPUs as they are, memory in units rounded up; for the pods that kubelet pins."""
    (given,) = with_counts(pod(asking), offer(NODES, CPUS_AND_MEMORY)).containers
    names = {f"numa-align/{name}": count for name, count in counts.items()}
    assert {n: c for n, c in given.devices.items() if n.count("-") > 2} == names
    assert {name: given.resources.requests[name] for name in names} == names


def test_each_container_is_counted() -> None:
    """Init containers carry counts of their own; where nothing is counted, no pod changes."""
    both = pod(init("2", [1]), container("app", "1", [1]))
    assert with_counts(both, offer(NODES)) is both
    first, second = with_counts(both, offer(NODES, CPUS)).containers
    assert first.devices["numa-align/numa-1-cpu"] == 2
    assert second.devices["numa-align/numa-1-cpu"] == 1


async def test_which_devices_does_not_matter_but_how_many() -> None:
    """Kubelet takes any devices: a verdict differs only where their number does."""
    ideal = IdealCluster.create(NODES, CONFIG, offer(NODES, CPUS))
    asked = with_counts(pod(container(numa=[1])), ideal.offer)
    first = await ideal.admit(asked)
    ideal.remove(asked)
    ideal.node.devices.update("numa-align/numa-1", ideal.offer.slots[1].devices()[5:])
    second = await ideal.admit(asked)

    assert first.placements[0].devices != second.placements[0].devices
    assert differences(first, second) == []
    bare = pod(container(numa=[1]))
    ideal.remove(asked)
    (problem,) = differences(first, await ideal.admit(bare))
    assert "expected 1 of numa-align/numa-1, 1 of numa-align/numa-1-cpu, CPUs 2" in problem


def test_memory_unit_is_the_agents() -> None:
    """Half the unit makes twice as many devices."""
    halves = Offer(offer(NODES).slots, CPUS_AND_MEMORY, GIB // 2)
    counted = {
        each.local_name: each.capacity
        for each in IdealCluster.create(NODES, CONFIG, halves).counted
    }
    assert counted["numa-1-memory"] == 7


def test_what_cannot_be_counted_has_a_reason() -> None:
    """A unit that would make too many devices, or none, is named as the agent names it."""
    for unit, reason in [(1024, "it would have"), (64 * GIB, "less than one NUMA_MEMORY_UNIT")]:
        ideal = IdealCluster.create(NODES, CONFIG, Offer(offer(NODES).slots, CPUS_AND_MEMORY, unit))
        assert [each.local_name for each in ideal.counted] == ["numa-0-cpu", "numa-1-cpu"]
        assert ideal.reasons.keys() == {"numa-align/numa-0-memory", "numa-align/numa-1-memory"}
        assert all(each.startswith(reason) for each in ideal.reasons.values())


async def test_stand_in_answers_by_what_it_has_given_away(tmp_path: Path) -> None:
    """Over the real API come the CPUs, memory and containers of the node."""
    socket = tmp_path / "pod-resources.sock"
    async with open_bridge(), open_kubelet(tmp_path / "d", NODES, pod_resources=socket) as kubelet:
        await kubelet.start()
        await kubelet.admit(pod(container(cpu="2"), name="two"))
        await kubelet.admit(
            pod(container(memory=None), sidecar(cpu=""), init(cpu=""), name="burst")
        )
        async with connect_pod_resources(socket) as client:
            assert await client.allocatable() == allocatable_of(kubelet.node)
            listed = await client.list_holdings()
        assert tuple(listed) == holdings_of(kubelet.node)
        assert [(each.container, len(each.cpus), len(each.memory)) for each in listed] == [
            ("app", 2, 1),
            ("sidecar", 0, 0),
            ("app", 0, 0),
        ]
