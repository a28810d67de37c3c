"""What should be offered near the things of a machine, and what pods get of it."""

from fractions import Fraction
from pathlib import Path

import pytest
from attrs import evolve

from numa_trio.near.source import NearSource
from numa_trio.plugin.counted import Counted
from numa_trio.plugin.resource import NumaResource
from numa_trio.settings import BadConfiguration, load_settings
from numa_trio.simulator.builtin_pods import builtin_pods
from numa_trio.simulator.counted_pods import with_counts
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.expectation import broken_promises, differences
from numa_trio.simulator.ideal import IdealCluster, Offer
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.simulator.machine_file import load_machine, shipped_machines
from numa_trio.simulator.near_offer import NearOffer, look_at, near_offer, usual_names
from numa_trio.simulator.node import Placement
from numa_trio.simulator.wiring import Attached, Kind
from numa_trio.workloads.pod import Container, Pod, Resources
from simulated import container, machine, pod

SERVER = shipped_machines()["two-node-server"]
NODES = machine([0, 1, 6, 7], [2, 3], [4, 5])
CONFIG = KubeletConfig(reserved_cpus=frozenset({0}))
SLOTS = tuple(NumaResource.of_node(node, 10) for node in range(3))
DATA = NumaResource("near-data", (2,), 10)
BOTH = NumaResource("near-raid", (1, 2), 10)
NOWHERE = NumaResource("near-nfs", (), 10)
OFFER = Offer(SLOTS, near=(DATA, BOTH, NOWHERE))


def offered(names: str, simulated: SimulatedMachine, **variables: str) -> NearOffer:
    settings = load_settings({"NUMA_CAPACITY": "10", "NUMA_NEAR": names, **variables})
    found = look_at(simulated, NearSource(settings.near).names(), settings.near_unknown)
    return near_offer(found, settings)


def asking(name: str, *resources: NumaResource, cpu: int = 1) -> Pod:
    (plain,) = pod(container(cpu=str(cpu))).containers
    slots = dict.fromkeys((each.name for each in resources), Fraction(1))
    amounts = {**plain.resources.limits, **slots}
    return Pod(name, (Container("app", Resources(amounts, amounts)),))


def test_each_name_is_offered_near_its_nodes() -> None:
    """A glob has a resource for each node; the chain that leads there is told."""
    found = offered("data=/var/lib/elasticsearch,net=net:eth*", load_machine(SERVER))
    assert {each.local_name: each.numa_nodes for each in found.slots} == {
        "near-data": (1,),
        "near-net-0": (0,),
        "near-net-1": (1,),
    }
    assert {each.capacity for each in found.slots} == {10}
    assert found.remarks[0] == (
        "near-data: /var/lib/elasticsearch → nvme1n1 → 0000:02:00.0 → node 1"
    )


@pytest.mark.parametrize(
    ("mounts", "names"),
    [
        ([None, "/", "/srv"], "data=mount:/srv"),
        (["/var/lib/a", "/srv"], "data=mount:/var/lib/a"),
        (["/a,b", "/"], ""),
    ],
)
def test_usual_names(mounts: list[str | None], names: str) -> None:
    """A disk that is mounted elsewhere than at / has the name that the examples use."""
    disks = [Attached(Kind.DISK, f"sd{n}", mount=mount) for n, mount in enumerate(mounts)]
    assert usual_names(evolve(NODES, wiring=tuple(disks))) == names


def test_what_is_not_there_is_not_offered() -> None:
    """It is told why."""
    found = offered("data=net:eth9", load_machine(SERVER))
    assert found.slots == ()
    assert found.remarks == ("near-data is not offered: there is no network interface eth9",)


def test_unknown_nodes_by_policy() -> None:
    """Where the kernel knows no node, the setting decides, as it does for the agent."""
    unknown = SimulatedMachine(
        "own", NODES.machine, NODES.cpus, (Attached(Kind.DISK, "sda", pci="0000:01:00.0"),)
    )
    assert offered("data=sda", unknown).slots == ()
    (slots,) = offered("data=sda", unknown, NUMA_NEAR_UNKNOWN="any").slots
    assert slots.numa_nodes == ()


def test_names_that_cannot_be_used() -> None:
    """They are all named at once."""
    with pytest.raises(BadConfiguration, match=r"(?s)'data': expected name=target.*'a=b:c'"):
        offered("data,a=b:c", load_machine(SERVER))


@pytest.mark.parametrize(
    ("resources", "nodes", "variable"),
    [
        ([DATA], {2}, "2"),
        ([BOTH], {1}, "1-2"),
        ([BOTH, SLOTS[2]], {2}, "1-2"),
        ([BOTH, DATA], {2}, "1-2"),
        ([NOWHERE], {0}, None),
    ],
)
async def test_pods_get_what_they_are_near(
    resources: list[NumaResource], nodes: set[int], variable: str | None
) -> None:
    """One node that suits all that is asked for; of several nodes any."""
    ideal = IdealCluster.create(NODES, CONFIG, OFFER)
    verdict = await ideal.admit(asking("p", *resources))
    (app,) = verdict.placements
    assert {cpu.node for cpu in NODES.cpus if cpu.id in app.cpus} == nodes
    assert app.environment.get("NUMA_NODE") == variable
    assert broken_promises(NODES, ideal.resources, verdict) == []


async def test_of_several_nodes_the_other_when_one_is_full() -> None:
    """Two pods of two CPUs fill both nodes that suit; a third is refused, though CPUs are free."""
    ideal = IdealCluster.create(NODES, CONFIG, OFFER)
    verdicts = [await ideal.admit(asking(f"p{n}", BOTH, cpu=2)) for n in range(3)]
    cpus = [sorted(app.cpus) for verdict in verdicts for app in verdict.placements]
    assert (cpus, verdicts[2].reason) == ([[2, 3], [4, 5]], "TopologyAffinityError")


async def test_what_is_not_offered_is_waited_for() -> None:
    """The scheduler keeps the pod for a server that has what it is to be near."""
    ideal = IdealCluster.create(NODES, CONFIG, Offer(SLOTS))
    verdict = await ideal.admit(asking("p", DATA))
    assert verdict.reason == "Unschedulable"
    assert "Insufficient numa-align/near-data" in (verdict.message or "")


def test_built_in_pods_ask_for_what_is_near() -> None:
    """There is a pod for each resource, and the example, if what that is near is offered."""
    assert "near-the-data" not in {each.name for each in builtin_pods(NODES, Offer(SLOTS))}
    pods = {each.name: each.containers[0].devices for each in builtin_pods(NODES, OFFER)}
    assert pods["on-near-data"] == {"numa-align/near-data": 1}
    assert {"on-numa-0", "on-near-raid", "on-near-nfs", "near-the-data"} <= pods.keys()


def test_what_is_near_one_node_is_counted() -> None:
    """As the agent counts it; what is near several nodes, or none, has a reason."""
    offer = Offer(SLOTS, (Counted.CPU,), near=(DATA, BOTH, NOWHERE))
    ideal = IdealCluster.create(NODES, CONFIG, offer)
    assert [each.local_name for each in ideal.counted] == [
        "numa-0-cpu",
        "numa-1-cpu",
        "numa-2-cpu",
        "near-data-cpu",
    ]
    assert ideal.reasons == {
        "numa-align/near-raid-cpu": "it is near several NUMA nodes",
        "numa-align/near-nfs-cpu": "its node is unknown",
    }
    counts = [with_counts(asking("p", each), offer).containers[0].devices for each in (DATA, BOTH)]
    assert counts == [
        {"numa-align/near-data": 1, "numa-align/near-data-cpu": 1},
        {"numa-align/near-raid": 1},
    ]


async def test_what_is_told_of_the_host_is_no_difference() -> None:
    """With NUMA_ENV=full a container has variables that are not foreseen here; NUMA_NODE is."""
    ideal = IdealCluster.create(NODES, CONFIG, OFFER)
    planned = await ideal.admit(asking("p", DATA))

    def told(**variables: str) -> list[str]:
        (app,) = planned.placements
        seen = Placement(
            app.container,
            app.cpus,
            app.exclusive,
            app.memory_nodes,
            app.memory_bound,
            app.devices,
            variables,
            app.annotations,
        )
        return differences(planned, type(planned)(planned.pod, (seen,)))

    assert told(NUMA_NODE="2", NUMA_HOST_NODE_CPUS="4-5") == []
    assert len(told(NUMA_NODE="1", NUMA_HOST_NODE_CPUS="4-5")) == 1
    assert len(told(NUMA_NODE="2", OTHER="x")) == 1


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that are written to look at a machine are gone afterwards."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    offered("data=nvme0n1", load_machine(SERVER))
    assert list(tmp_path.iterdir()) == []
