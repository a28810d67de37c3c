"""The built wheel on a Debian kernel with three NUMA nodes, the last of them without CPUs.

One virtual machine is built and booted for all tests of this file; it runs under emulation, so
that it needs neither root nor KVM.
"""

import json

import pytest

from infra.image import Image
from infra.observing import Observations, observe
from infra.qemu import Accelerator, NumaLayout, VirtualNode, machine_options

pytestmark = pytest.mark.slow

LAYOUT = NumaLayout(
    nodes=[VirtualNode(2, 512), VirtualNode(2, 512), VirtualNode(0, 256)],
    distances={(0, 1): 21, (0, 2): 17, (1, 2): 28},
)
SLOTS = 100


@pytest.fixture(scope="module")
def seen(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Observations:
    """Everything that the virtual machine tells from boot to power-off."""
    folder = tmp_path_factory.mktemp("numa-kernel")
    return observe("observe", image, folder, machine_options(LAYOUT, Accelerator.TCG))


def test_the_guest_saw_all_that_it_waited_for(seen: Observations) -> None:
    """No wait ran out, and the observation came to its end."""
    assert seen.all("waited in vain") == []
    assert seen.one("ended")


def test_cpus_and_distances_are_the_machines(seen: Observations) -> None:
    """`numa-trio topology` shows each node as QEMU was told to make it."""
    nodes = seen.one("topology")["document"]["nodes"]
    assert [(node["id"], node["cpus"]) for node in nodes] == [(0, "0-1"), (1, "2-3"), (2, "")]
    for node in nodes:
        assert node["distances"] == {
            str(other): LAYOUT.distance(node["id"], other) for other in range(len(LAYOUT.nodes))
        }


@pytest.mark.parametrize("node_id", range(len(LAYOUT.nodes)))
def test_memory_is_each_nodes_own(seen: Observations, node_id: int) -> None:
    """The node's memory without what the kernel keeps for itself before it counts."""
    node = seen.one("topology")["document"]["nodes"][node_id]
    given = LAYOUT.nodes[node_id].memory_mib << 20
    assert 0.85 * given < node["memory_bytes"] <= given


def test_the_node_without_cpus_is_left_out_and_the_reason_told(seen: Observations) -> None:
    """Not advertised, not registered, and said so by the command and in the agent's log."""
    nodes = seen.one("topology")["document"]["nodes"]
    assert [node["advertised"] for node in nodes] == [True, True, False]
    assert "CPU" in nodes[2]["reason"]
    assert nodes[0]["reason"] is None
    messages = [json.loads(fact["line"])["message"] for fact in seen.all("agent said")]
    assert any("Not advertising node 2" in message for message in messages)
    assert any(message.startswith("Discovered 3 NUMA nodes") for message in messages)


@pytest.mark.parametrize("moment", ["registered", "kubelet restarted", "cpus online"])
def test_each_node_with_cpus_has_all_its_slots(seen: Observations, moment: str) -> None:
    """Two resources, all slots allocatable, and each names its own node and no other."""
    assert seen.one(moment)["resources"] == {
        f"numa-align/numa-{node}": {
            "capacity": SLOTS,
            "allocatable": SLOTS,
            "numa_nodes": [node],
        }
        for node in (0, 1)
    }


@pytest.mark.parametrize("numa_node", [0, 1])
def test_a_pod_gets_its_nodes_name_and_cpus(seen: Observations, numa_node: int) -> None:
    """Allocate sets NUMA_NODE, and the hint leads to a CPU of the node."""
    (pod,) = (fact for fact in seen.all("pod") if fact["numa_node"] == numa_node)
    assert pod["reason"] is None
    (placement,) = pod["placements"]
    assert placement["environment"] == {"NUMA_NODE": str(numa_node)}
    assert len(placement["cpus"]) == 1
    assert set(placement["cpus"]) <= LAYOUT.cpus_of(numa_node)


def test_slots_of_a_node_that_loses_its_cpus_become_unhealthy(seen: Observations) -> None:
    """The kernel's list of node 1's CPUs is empty: its slots stay, and none is allocatable."""
    offline = seen.one("cpus offline")
    assert offline["cpulist"].strip() == ""
    slots = {"capacity": SLOTS, "allocatable": SLOTS, "numa_nodes": [0]}
    lost = {"capacity": SLOTS, "allocatable": 0, "numa_nodes": []}
    assert offline["resources"] == {"numa-align/numa-0": slots, "numa-align/numa-1": lost}


def test_health_changes_over_the_open_stream(seen: Observations) -> None:
    """CPUs that go and come back cost a list each, no registration and no stream."""
    before, offline, online = map(seen.one, ("kubelet restarted", "cpus offline", "cpus online"))
    assert online["cpulist"].strip() == "2-3"
    for moment in (offline, online):
        assert moment["registrations"] == before["registrations"]
        assert moment["streams"] == before["streams"]
    assert before["lists"] < offline["lists"] < online["lists"]


def test_the_agent_leaves_cleanly(seen: Observations) -> None:
    """SIGTERM ends it with status 0, and no socket of its own stays behind."""
    stopped = seen.one("agent stopped")
    assert stopped["status"] == 0
    assert stopped["sockets"] == []
