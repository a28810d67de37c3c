"""What the end-to-end test reads in objects and output, on what clusters really answer."""

import json

import pytest

from e2e.deployment import distribution, split_image
from e2e.objects import (
    ClusterNode,
    KubeletPolicies,
    NearName,
    Placement,
    PodState,
    parse_count,
    parse_near,
    parse_node,
    parse_numa_nodes,
    parse_placement,
    parse_pod,
    parse_policies,
)
from e2e.verdicts import Verdict, cpus_are_of, memory_is_of, slots_are

STATIC = KubeletPolicies("single-numa-node", "static", "Static")


@pytest.mark.parametrize(
    ("quantity", "count"), [("0", 0), ("100", 100), ("1k", 1000), ("12k", 12_000)]
)
def test_counts_are_read_as_the_api_shortens_them(quantity: str, count: int) -> None:
    """A capacity of 1000 comes back as 1k."""
    assert parse_count(quantity) == count


def test_a_count_that_is_none_is_refused() -> None:
    """Half a device is no device."""
    with pytest.raises(ValueError, match="'500m'"):
        parse_count("500m")


def test_only_our_resources_of_a_node_count() -> None:
    """CPU, memory and the devices of others are not slots."""
    slots = {"numa-align/numa-0": "100", "numa-align/numa-10": "1k", "cpu": "4"}
    node = {
        "metadata": {"name": "worker-1"},
        "status": {
            "capacity": {**slots, "other.example/numa-1": "3", "numa-align/numa-x": "1"},
            "allocatable": slots,
        },
    }
    expected = {0: 100, 10: 1000}
    assert parse_node(node, "numa-align") == ClusterNode("worker-1", expected, expected)


def test_counted_cpus_are_told_from_slots_and_memory() -> None:
    """The names differ in their endings only."""
    amounts = {"numa-align/numa-1": "100", "numa-align/numa-1-cpu": "2"}
    amounts["numa-align/numa-1-memory"] = "7"
    node = {"metadata": {"name": "a"}, "status": {"capacity": amounts, "allocatable": amounts}}
    assert parse_node(node, "numa-align") == ClusterNode("a", {1: 100}, {1: 100}, {1: 2})


def test_names_of_what_is_near_something_are_no_numa_nodes() -> None:
    """Slots and counted CPUs by name; a name may look like much."""
    slots = {"numa-align/numa-1": "100", "numa-align/near-root": "100"}
    odd = {"numa-align/near-numa-0": "1", "numa-align/near-cpu-1": "2"}
    counted = {"numa-align/near-root-cpu": "2", "numa-align/near-root-memory": "7"}
    node = {
        "metadata": {"name": "a"},
        "status": {"capacity": slots | odd, "allocatable": slots | odd | counted},
    }
    names = {"root": 100, "numa-0": 1, "cpu-1": 2}
    assert parse_node(node, "numa-align") == ClusterNode(
        "a", {1: 100}, {1: 100}, {}, names, names, {"root": 2}
    )


def test_what_the_plugin_says_of_a_name_is_its_way_or_its_reason() -> None:
    """The way ends in the nodes, as people know it from the documentation."""
    told = {
        "name": "data",
        "target": "/data",
        "nodes": [0, 1],
        "chain": ["md0", "sda+sdb"],
        "advertised": True,
        "reason": None,
    }
    gone = {"name": "x", "target": "net:x", "nodes": [], "chain": [], "advertised": False}
    document = json.dumps({"nodes": [], "near": [told, gone | {"reason": "there is no x"}]})
    assert parse_near(document).names == (
        NearName("data", frozenset({0, 1}), offered=True, told="/data → md0 → sda+sdb → node 0-1"),
        NearName("x", frozenset(), offered=False, told="there is no x"),
    )


def test_a_node_that_has_not_reported_yet_has_no_slots() -> None:
    """A status without capacity is an empty one."""
    assert parse_node({"metadata": {"name": "a"}, "status": {}}, "d") == ClusterNode("a", {}, {})


def test_a_resource_that_went_to_nothing_is_not_expected() -> None:
    """Kubelet shows the resources of an earlier deployment with 0 until it starts again."""
    node = ClusterNode("a", {0: 7, 5: 0}, {0: 7, 5: 0})
    assert slots_are(node, [0], 7).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("capacity", "allocatable"),
    [
        ({0: 7}, {0: 0}),  # the stream is lost
        ({0: 7}, {}),
        ({0: 7, 1: 7}, {0: 7, 1: 7}),  # a node too many
        ({0: 100}, {0: 100}),  # another capacity
        ({}, {}),
    ],
)
def test_other_slots_than_expected_fail(
    capacity: dict[int, int], allocatable: dict[int, int]
) -> None:
    """Every way in which the slots can be wrong."""
    assert slots_are(ClusterNode("a", capacity, allocatable), [0], 7).verdict is Verdict.FAILED


def test_a_rejected_pod_tells_kubelets_reason() -> None:
    """As a kubelet 1.36 wrote it."""
    message = "Pod was rejected: Resources cannot be allocated with Topology locality"
    status = {"phase": "Failed", "reason": "TopologyAffinityError", "message": message}
    assert parse_pod({"status": status}) == PodState("Failed", "TopologyAffinityError", message)


def test_a_pod_that_waits_for_its_image_says_so() -> None:
    """The container's reason is more use than the pod's phase."""
    waiting = {"reason": "ErrImagePull", "message": "no such host"}
    status = {"phase": "Pending", "containerStatuses": [{"state": {"waiting": waiting}}]}
    assert str(parse_pod({"status": status})) == "Pending: ErrImagePull: no such host"


def test_a_failed_init_container_says_so() -> None:
    """The app waits (PodInitializing); the reason is the init container's."""
    status = {
        "phase": "Failed",
        "initContainerStatuses": [{"state": {"terminated": {"reason": "Error"}}}],
        "containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}],
    }
    assert parse_pod({"status": status}) == PodState("Failed", "Error")


def test_an_unschedulable_pod_tells_the_schedulers_message() -> None:
    """A Pending pod without containers has only its conditions."""
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient numa-align/numa-0.",
    }
    state = parse_pod({"status": {"phase": "Pending", "conditions": [condition]}})
    assert state == PodState("Pending", "Unschedulable", condition["message"])
    assert not state.over


def test_a_finished_pod_needs_no_reason() -> None:
    """Containers that ended well are not a reason."""
    status = {
        "phase": "Succeeded",
        "containerStatuses": [{"state": {"terminated": {"reason": "Completed"}}}],
    }
    assert parse_pod({"status": status}) == PodState("Succeeded")


def test_placement_is_read_from_the_probes_output() -> None:
    """As the kernel and the shell print it."""
    log = "Cpus_allowed_list:\t2\nMems_allowed_list:\t1\nNUMA_NODE=1\n"
    assert parse_placement(log) == Placement(frozenset({2}), frozenset({1}), "1")


def test_a_missing_variable_is_told_from_an_empty_one() -> None:
    """A container without the resource has no NUMA_NODE at all."""
    assert parse_placement("Cpus_allowed_list:\t0-3\n").numa_node is None
    assert parse_placement("NUMA_NODE=\n").numa_node == ""


def test_policies_left_out_are_kubelets_defaults() -> None:
    """configz omits nothing today; an older kubelet may."""
    assert parse_policies({"kubeletconfig": {}}) == KubeletPolicies("none", "none", "None")


def test_numa_nodes_without_cpus_are_read_as_such() -> None:
    """A memory-only node has an empty cpulist, with or without the blank before it."""
    expected = {0: frozenset({0, 1, 8}), 2: frozenset(), 10: frozenset()}
    assert parse_numa_nodes("node0 0-1,8\nnode10 \nnode2\n") == expected


def test_a_placement_that_was_not_told_fails() -> None:
    """No output is no proof."""
    nothing = Placement(None, None, None)
    assert cpus_are_of(nothing, frozenset({0}), STATIC).verdict is Verdict.FAILED
    assert memory_is_of(nothing, {0}, STATIC).verdict is Verdict.FAILED


def test_memory_of_two_nodes_fails() -> None:
    """Memory of the right node and of another is not pinned."""
    both = Placement(frozenset({2}), frozenset({0, 1}), "1")
    assert memory_is_of(both, {1}, STATIC).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("registry.local:5000/numa-trio:0.1.0", ("registry.local:5000/numa-trio", "0.1.0")),
        ("registry.local:5000/numa-trio", ("registry.local:5000/numa-trio", "latest")),
        ("numa-trio", ("numa-trio", "latest")),
    ],
)
def test_a_registrys_port_is_no_tag(image: str, parts: tuple[str, str]) -> None:
    """The tag is what follows the last colon after the last slash."""
    assert split_image(image) == parts


@pytest.mark.parametrize(
    ("version", "system", "labels", "overlay"),
    [
        ("v1.33.1+rke2r1", "SUSE Linux", {}, "rke2"),
        ("v1.33.1+k3s1", "Ubuntu 24.04", {}, "k3s"),
        ("v1.33.1+k0s", "Debian GNU/Linux 12", {}, "k0s"),
        ("v1.33.1", "Talos (v1.10.3)", {}, "talos"),
        ("v1.33.1", "Ubuntu 24.04", {"microk8s.io/cluster": "true"}, "microk8s"),
        ("v1.33.1", "Red Hat …", {"node.openshift.io/os_id": "rhcos"}, "openshift"),
        ("v1.33.1", "Debian GNU/Linux 12", {}, "kubeadm"),
    ],
)
def test_the_distribution_is_known_by_its_nodes(
    version: str, system: str, labels: dict[str, str], overlay: str
) -> None:
    """The overlay to deploy follows from what the nodes say of themselves."""
    node = {
        "metadata": {"labels": labels},
        "status": {"nodeInfo": {"kubeletVersion": version, "osImage": system}},
    }
    assert distribution([node]) == overlay
