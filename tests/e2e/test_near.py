"""The checks of names for what pods are to be near: each can fail, and says why it is skipped."""

from pathlib import Path

import pytest

from e2e.__main__ import COUNTING, HOST_SERVICE, NEAR, RUNTIME, components, parse_arguments
from e2e.fake_cluster import FakeCluster
from e2e.fake_faults import Fault
from e2e.fake_node import FakeNode
from e2e.fake_run import TWO_NODES, found, run, run_with
from e2e.near import counted_alike, nowhere_is_absent, root_is_offered
from e2e.objects import ClusterNode, NearName, NearReport, parse_near
from e2e.plan import NAMES, Plan
from e2e.pods import TELL_NEAR
from e2e.report import Result, all_well
from e2e.verdicts import Verdict
from host_tree import HostTree
from numa_trio.cli import main
from sysfs_tree import plant_nodes

COUNTED = "near: CPUs are counted as those of the NUMA node"
OTHER_NODE = "a name and another NUMA node in one container are refused"
OTHER_NAME = "two names near different NUMA nodes in one container are refused"
KEEPER = "running pod near root with an init container lives on after kubelet restart"
UNKNOWN = {"/": [()], "pci:*": [()]}


def _run_on(node: FakeNode) -> list[Result]:
    return run(FakeCluster([node]))


def test_a_sound_cluster_passes_every_check_of_names() -> None:
    """A pod for each name, and slots after all that happens to kubelet and plugin."""
    results = _run_on(FakeNode("a", TWO_NODES))
    assert {
        "near-root is offered",
        "near-nowhere is not offered",
        "near: allocatable = capacity",
        "pod near root: environment",
        "pod near root: CPUs",
        "pod near root: memory",
        "pod near cards-0: CPUs",
        "pod near cards-1: CPUs",
        OTHER_NODE,
        OTHER_NAME,
        COUNTED,
        KEEPER,
        "near: allocatable after kubelet restart",
        "near: allocatable after plugin rollout",
        "near: capacity changed to 7",
    } <= found(results, Verdict.PASSED).keys()


@pytest.mark.parametrize(
    ("fault", "failing"),
    [
        (Fault.NAMES_IGNORED, "near-root is offered"),
        (Fault.NAMES_IGNORED, "near-nowhere is not offered"),
        (Fault.NO_TOPOLOGY, "near-root is offered"),
        (Fault.ROOT_NOT_FOUND, "near-root is offered"),
        (Fault.NOWHERE_OFFERED, "near-nowhere is not offered"),
        (Fault.NOWHERE_OFFERED, "near: allocatable = capacity"),
        (Fault.NAMES_NOT_REGISTERED, "near: allocatable = capacity"),
        (Fault.NAMES_NOT_REGISTERED, "pod near root"),
        (Fault.NAMES_ELSEWHERE, "pod near root: environment"),
        (Fault.NAMES_ELSEWHERE, "pod near root: CPUs"),
        (Fault.NAMES_ELSEWHERE, "pod near root: memory"),
        (Fault.NAMES_ELSEWHERE, OTHER_NODE),
        (Fault.NOTHING_REFUSED, OTHER_NODE),
        (Fault.NOTHING_REFUSED, OTHER_NAME),
        (Fault.NAMES_COUNT_OTHERS, COUNTED),
        (Fault.NAMES_LATE_AFTER_KUBELET_RESTART, KEEPER),
        (Fault.NAMES_LOST_BY_KUBELET_RESTART, "near: allocatable after kubelet restart"),
        (Fault.NAMES_LOST_BY_ROLLOUT, "near: allocatable after plugin rollout"),
        (Fault.NAMES_LOST_BY_ROLLOUT, "near: capacity changed to 7"),
    ],
)
def test_a_fault_fails_its_check(fault: Fault, failing: str) -> None:
    """Each check can fail, and the run with it."""
    results = run_with(fault)
    assert failing in found(results, Verdict.FAILED)
    assert not all_well(results)


@pytest.mark.parametrize(
    "fault", [fault for fault in Fault if fault.name.startswith("NAMES_") or "ROOT" in fault.name]
)
def test_what_is_wrong_with_names_does_not_fail_the_numa_nodes(fault: Fault) -> None:
    """Slots of NUMA nodes are checked without a look at names."""
    failed = found(run_with(fault), Verdict.FAILED)
    assert failed
    assert not [check for check in failed if "near" not in check and "name" not in check]


def test_without_names_the_table_says_so() -> None:
    """The rest is tested, and no other row speaks of names."""
    results = run(FakeCluster([FakeNode("a", TWO_NODES)]), components=("counting",), near={})
    assert all_well(results)
    assert found(results, Verdict.SKIPPED) == {"pods near something": "NUMA_NEAR is not set"}


def test_a_component_that_does_not_show_the_host_fails() -> None:
    """The root directory is only found where the host's mount table is mounted."""
    results = run(FakeCluster([FakeNode("a", TWO_NODES)]), components=("counting",))
    assert "cannot be seen" in found(results, Verdict.FAILED)["near-root is offered"]


def test_a_host_that_forbids_the_look_is_skipped() -> None:
    """SELinux keeps the plugin from the mount table until somebody allows it."""
    unseen = "/host/proc/1/mountinfo: cannot be read: Permission denied"
    results = _run_on(FakeNode("a", TWO_NODES, unseen=unseen))
    assert found(results, Verdict.SKIPPED) == {"near-root is offered": unseen}
    assert not found(results, Verdict.FAILED)


def test_a_disk_that_tells_no_node_has_slots_that_align_nothing() -> None:
    """As on most virtual machines: NUMA_NODE is unset, and nothing is refused."""
    results = _run_on(FakeNode("a", TWO_NODES, wiring=UNKNOWN))
    passed, skipped = found(results, Verdict.PASSED), found(results, Verdict.SKIPPED)
    assert "no known node" in passed["near-root is offered"]
    assert passed["pod near root: environment"] == "NUMA_NODE is unset"
    assert "no NUMA node is known" in skipped["pod near root: CPUs"]
    assert "no NUMA node is known" in skipped["pod near root: memory"]
    assert "no name is near" in skipped[OTHER_NODE]
    assert "no two names" in skipped[OTHER_NAME]
    assert "nothing is counted" in skipped[COUNTED]
    assert not found(results, Verdict.FAILED)


def test_a_mirror_over_all_nodes_may_be_used_from_any() -> None:
    """CPUs of one of the nodes are right, and the variable lists both."""
    wiring = {"/": [(0, 1)]}
    results = _run_on(FakeNode("a", TWO_NODES, wiring=wiring))
    passed, skipped = found(results, Verdict.PASSED), found(results, Verdict.SKIPPED)
    assert passed["pod near root: environment"] == "NUMA_NODE=0-1"
    assert passed["pod near root: CPUs"] == "CPUs 0-1 of 0-3"
    assert passed["pod near root: memory"] == "memory of node 0"
    assert "no name is near some NUMA nodes and not near others" in skipped[OTHER_NODE]
    assert not found(results, Verdict.FAILED)


def test_a_machine_with_one_numa_node_refuses_nothing() -> None:
    """All is near its only node."""
    skipped = found(_run_on(FakeNode("a", {0: frozenset({0, 1})})), Verdict.SKIPPED)
    assert "only one NUMA node" in skipped[OTHER_NODE]
    assert "only one NUMA node" in skipped[OTHER_NAME]


def test_policies_that_are_off_are_named() -> None:
    """Without alignment a pod runs, and is told where the disk is."""
    node = FakeNode("a", TWO_NODES, topology="none", cpu="none", memory="None")
    results = _run_on(node)
    skipped = found(results, Verdict.SKIPPED)
    assert "topologyManagerPolicy is none" in skipped[OTHER_NODE]
    assert "cpuManagerPolicy is none" in skipped["pod near root: CPUs"]
    assert "nothing is counted" in skipped[COUNTED]
    assert "pod near root: environment" in found(results, Verdict.PASSED)
    assert not found(results, Verdict.FAILED)


def test_no_room_for_a_pod_near_something_is_skipped() -> None:
    """The plugin is not to blame."""
    skipped = found(run_with(Fault.NO_ROOM), Verdict.SKIPPED)
    assert "Insufficient cpu" in skipped["pod near root"]
    assert "it did not run before: no room" in skipped[KEEPER]


def test_a_plugin_that_dies_of_the_question_is_quoted() -> None:
    """The other checks are made all the same."""
    failed = found(run_with(Fault.NO_TOPOLOGY), Verdict.FAILED)
    assert "exit code 137" in failed["near-root is offered"]
    assert "exit code 137" in failed["near-nowhere is not offered"]


def test_a_name_that_should_be_nowhere_but_is_offered_fails() -> None:
    """Also where the slots have not come yet."""
    node = ClusterNode("a", {}, {})
    report = NearReport((NearName("nowhere", frozenset({0}), offered=True, told="here"),))
    assert nowhere_is_absent(report, node).verdict is Verdict.FAILED
    assert root_is_offered(report).verdict is Verdict.FAILED


def test_a_name_near_two_nodes_counts_nothing() -> None:
    """Of which of them it would count is not known."""
    report = NearReport((NearName("root", frozenset({0, 1}), offered=True, told=""),))
    node = ClusterNode("a", {}, {}, {0: 2, 1: 2}, near_counted_cpus={"root": 2})
    assert counted_alike(report, node).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], (COUNTING, NEAR)),
        (["--without-near"], (COUNTING,)),
        (["--without-counting"], (NEAR,)),
        (["--with-runtime"], (COUNTING, NEAR, RUNTIME)),
    ],
)
def test_components_can_be_chosen(words: list[str], expected: tuple[Path, ...]) -> None:
    """Without a word, all are deployed but that which needs something of the cluster's runtime."""
    assert components(parse_arguments(words)) == (*expected, HOST_SERVICE)
    assert all((component / "kustomization.yaml").exists() for component in expected)


@pytest.fixture
def _server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with two NUMA nodes and the settings of the plan, as the plugin's pod sees them."""
    tree = HostTree.of_machine(tmp_path, "two-node-vm")
    cpus = {"online": "0-1", "node0/cpulist": "0-1", "node1/cpulist": "2-3"}
    plant_nodes(tree.sysfs, {**cpus, "node0/distance": "10 21", "node1/distance": "21 10"})
    settings = Plan(Path(), "", "", "", near=NAMES).settings(7)
    for setting in (*settings, f"NUMA_SYSFS_ROOT={tree.sysfs}", f"NUMA_HOST_ROOT={tree.root}"):
        name, _, value = setting.partition("=")
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("_server")
def test_the_plugin_understands_the_settings_and_is_understood(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The root directory, which is in memory there, is found, and cards of both nodes."""
    assert main(TELL_NEAR.split()[1:]) == 0
    report = parse_near(capsys.readouterr().out)
    nodes = {name.name: name.nodes for name in report.offered}
    assert nodes == {"root": set(), "cards-0": {0}, "cards-1": {1}}
    assert root_is_offered(report).passed
    assert nowhere_is_absent(report, ClusterNode("a", {}, {})).passed
