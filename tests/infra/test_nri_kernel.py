"""The agent beside a real container runtime: containerd and runc on a kernel with three NUMA nodes.

One virtual machine is booted for all tests of this file. A client of the runtime's interface is in
kubelet's place, so that kubelet's own managers choose nothing.
"""

import json
import re
from collections.abc import Callable
from statistics import median

import pytest

from infra.image import Image
from infra.observing import Fact, Observations, observe
from infra.qemu import Accelerator, NumaLayout, VirtualNode, machine_options
from infra.runtime_image import with_runtime

pytestmark = pytest.mark.slow

LAYOUT = NumaLayout(
    nodes=[VirtualNode(2, 768), VirtualNode(2, 768), VirtualNode(0, 256)],
    distances={(0, 1): 21, (0, 2): 17, (1, 2): 28},
)
ALL_CPUS, ALL_NODES = "0-3", "0-2"
KEY = "numa-align/node"
HELD_PAGES = (20 << 20) // 4096

# What containers come to, as (CPUs, memory nodes); "" is what nobody has set.
PINNED = {
    "node 0": ("0-1", "0"),
    "node 1": ("2-3", "1"),
    "two nodes": ("0-3", "0-1"),
    "node without CPUs": ("", "2"),
    "after containerd": ("2-3", "1"),
    "both agents": ("2-3", "1"),
    "second agent": ("2-3", "1"),
}
CHOSEN_BY_KUBELET = {"exclusive": ("2", "1"), "partly outside": ("2", "1")}
LEFT_ALONE = (
    *("left behind", "bystander"),  # started before the agent pins
    *("no such node", "pretends", "pretends and holds"),
)
UPDATES = [
    ("node 1", {"cpuset_cpus": "3"}, ("3", "1")),
    ("node 1", {"cpuset_cpus": "0-2"}, ("2", "1")),
    ("node 1", {"cpuset_cpus": "0-1"}, ("0-1", "1")),
    ("node 1", {"cpuset_cpus": "0-3"}, ("2-3", "1")),
    ("node 1", {"cpu_shares": 204}, ("2-3", "1")),
    ("bystander", {"cpuset_cpus": "0-2"}, ("0-2", "")),
    ("bystander", {"cpuset_cpus": "0-3"}, ("0-3", "")),
]


@pytest.fixture(scope="module")
def seen(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Observations:
    """Everything that the virtual machine tells from boot to power-off."""
    machine = with_runtime(image, tmp_path_factory.mktemp("runtime-image"))
    folder = tmp_path_factory.mktemp("nri-kernel")
    return observe("observe_runtime", machine, folder, machine_options(LAYOUT, Accelerator.TCG))


def assert_placed(fact: Fact, cpus: str, mems: str) -> None:
    """The cgroup has these sets, and the kernel lets the container's process use no others."""
    assert (fact["cpuset.cpus"], fact["cpuset.mems"]) == (cpus, mems)
    for name in ("cpuset.cpus.effective", "Cpus_allowed_list"):
        assert fact[name] == (cpus or ALL_CPUS)
    for name in ("cpuset.mems.effective", "Mems_allowed_list"):
        assert fact[name] == (mems or ALL_NODES)


def started(seen: Observations, name: str) -> Fact:
    """What a container had when it was started."""
    (fact,) = (each for each in seen.all("started") if each["name"] == name)
    return fact


def test_the_guest_saw_all_that_it_waited_for(seen: Observations) -> None:
    """No wait ran out, the observation came to its end, and the runtime is a real one."""
    assert seen.all("waited in vain") == []
    assert seen.one("ended")
    assert seen.one("runtime")["version"].startswith("containerd 1.7.")


@pytest.mark.parametrize("name", PINNED)
def test_a_container_with_a_device_starts_on_its_nodes(seen: Observations, name: str) -> None:
    """Also with a restarted containerd, and with two agents at once, as in a rolling update."""
    assert_placed(started(seen, name), *PINNED[name])


@pytest.mark.parametrize("name", CHOSEN_BY_KUBELET)
def test_what_kubelet_chose_is_never_widened(seen: Observations, name: str) -> None:
    """Its sets are narrowed to those of the node."""
    assert_placed(started(seen, name), *CHOSEN_BY_KUBELET[name])


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_a_container_without_a_device_starts_as_it_was_asked_for(
    seen: Observations, name: str
) -> None:
    """Neither a pod's annotations, nor its labels, nor variables, nor an unknown node pin it."""
    assert_placed(started(seen, name), "", "")


def test_updates_stay_within_the_node_and_within_what_was_asked(seen: Observations) -> None:
    """As kubelet's CPU Manager sends them; an update without a set leaves the sets."""
    told = seen.all("updated")
    assert [(fact["name"], fact["asked"]) for fact in told] == [
        (name, asked) for name, asked, _ in UPDATES
    ]
    for fact, (_, _, sets) in zip(told, UPDATES, strict=True):
        assert_placed(fact, *sets)


def test_a_container_that_was_left_behind_is_moved_with_its_memory(seen: Observations) -> None:
    """It was started while nobody pinned: its CPUs and its anonymous pages move, and no others."""
    before, after = (
        {fact["name"]: fact for fact in seen.all("pages") if fact["moment"] == moment}
        for moment in ("before", "after")
    )
    assert before["left behind"]["pages"]["N0"] >= HELD_PAGES
    # A page that is in use at that moment may stay.
    assert after["left behind"]["pages"].get("N0", 0) < HELD_PAGES // 100
    assert after["left behind"]["pages"]["N1"] > HELD_PAGES * 99 // 100
    assert_placed(after["left behind"], "2-3", "1")
    assert before["bystander"]["pages"]["N0"] >= HELD_PAGES
    assert after["bystander"]["pages"] == before["bystander"]["pages"]
    assert_placed(after["bystander"], "", "")


def test_no_other_cgroup_changes_by_a_byte(seen: Observations) -> None:
    """At each start and update, when the agent comes, and when both processes are restarted."""
    told = seen.all("neighbours")
    steps = len(seen.all("started")) + len(seen.all("updated"))
    others = ["pretender: its pod", "agent came", "containerd restarted", "agents gone"]
    assert len(told) == steps + len(others)
    assert {fact["moment"] for fact in told}.issuperset(others)
    assert min(fact["files"] for fact in told) > 100
    assert {fact["moment"]: fact["changed"] for fact in told if fact["changed"]} == {}


def test_all_containers_outlive_a_restart_of_containerd(seen: Observations) -> None:
    """As many run afterwards as were started before."""
    fact = seen.one("containerd restarted")
    before = [each for each in seen.all("started") if each["uptime"] < fact["uptime"]]
    assert (fact["running"], fact["gone"]) == (len(before), [])


def test_allocate_names_the_node_for_the_runtime(seen: Observations) -> None:
    """Also while the agent pins nothing, so that what is started then can be moved later."""
    assert seen.one("given")["annotations"] == [{KEY: "0"}, {KEY: "1"}]


def test_what_containers_got_is_counted(seen: Observations) -> None:
    """By node and outcome, until containerd is restarted."""
    lines = seen.one("counts")["lines"]
    samples = (
        re.fullmatch(r'\w+\{numa_node="(.*)",outcome="(.*)"\} (\d+)', line) for line in lines
    )
    counted = {(found[1], found[2]): int(found[3]) for found in samples if found}
    assert counted == {
        ("0", "pinned"): 1,
        ("1", "pinned"): 5,  # left behind, node 1, partly outside, and two of its updates
        ("0-1", "pinned"): 1,
        ("2", "pinned"): 1,
        ("1", "unchanged"): 2,  # exclusive, and the update to an exclusive CPU
        ("1", "elsewhere"): 1,  # the update to CPUs of the other node
        ("7", "impossible"): 1,
        ("", "not_trusted"): 2,  # those that pretend
    }


def test_the_agents_leave_cleanly_and_find_no_defect(seen: Observations) -> None:
    """SIGTERM ends each with status 0, also those that a runtime calls; none has said an error."""
    assert [fact["status"] for fact in seen.all("agent stopped")] == [0, 0, 0]
    said = [json.loads(fact["line"]) for fact in seen.all("agent said")]
    assert {each["level"] for each in said} <= {"info", "warning"}


def test_nothing_wakes_the_agent_while_no_container_starts(seen: Observations) -> None:
    """Pinning adds no wake-up that recurs within the 10 s of the look."""
    idle = {fact["moment"]: fact for fact in seen.all("idle")}
    assert idle["on"]["wake_ups"] <= idle["off"]["wake_ups"] + 1


def test_pinning_takes_little_memory(seen: Observations) -> None:
    """Less than 4 MiB more than without; the container's limit is 64 MiB."""
    idle = {fact["moment"]: fact for fact in seen.all("idle")}
    assert idle["on"]["kib"] - idle["off"]["kib"] < 4 << 10


@pytest.mark.parametrize("holds", [True, False])
def test_a_creation_takes_far_less_than_the_runtime_waits(
    seen: Observations, holds: bool, record_property: Callable[[str, object], None]
) -> None:
    """What the agent adds to the median is below 1 s, half of what containerd grants a plugin."""
    medians = {
        moment: median(
            second
            for fact in seen.all("creations")
            if (fact["moment"], fact["holds"]) == (moment, holds)
            for second in fact["seconds"]
        )
        for moment in ("off", "on")
    }
    record_property("medians", medians)
    assert medians["on"] - medians["off"] < 1
