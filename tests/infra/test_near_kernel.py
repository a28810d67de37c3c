"""What disks, cards and mounts are near, on a Debian kernel with three NUMA nodes.

One virtual machine is booted for all tests of this file. guest/wire-near makes arrays, volumes,
mounts and bonds on its devices; guest/observe_near.py then takes some of them away, while an agent
offers what is near them as it would in a pod.
"""

from fnmatch import fnmatchcase
from typing import Any

import pytest

from infra.image import Image
from infra.near_expected import CHANGES, GLOBS, LINK, NOWHERE, OFFERED, SLOTS, WIRED, Near
from infra.near_machine import LAYOUT, near_machine
from infra.observing import Fact, Observations, observe
from infra.qemu import Accelerator, machine_options

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seen(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Observations:
    """Everything that the virtual machine tells from boot to power-off."""
    folder = tmp_path_factory.mktemp("near")
    options = machine_options(LAYOUT, Accelerator.TCG)
    return observe("observe_near", image, folder, options, near_machine(folder))


def test_the_guest_came_to_its_end(seen: Observations) -> None:
    """No command failed, and no wait ran out."""
    assert seen.one("ended")
    assert seen.all("waited in vain") == []


def test_every_target_is_judged(seen: Observations) -> None:
    """The machine looks at what the tables here have, and at nothing else."""
    fact = _moment(seen, "wired")
    expected = {*WIRED, *NOWHERE, *GLOBS, LINK}
    assert set(fact["seen"]) == {_named(target, fact["names"]) for target in expected}
    assert set(_in_a_pod(seen)["seen"]) == set(fact["seen"])


@pytest.mark.parametrize("target", WIRED)
def test_target_is_near_its_hardware(seen: Observations, target: str) -> None:
    """`numa-trio topology` in a pod, with parts of the host mounted, sees the same as the host."""
    fact = _moment(seen, "wired")
    assert _place(fact, target)["outcome"] == "near"
    _check_near(fact, target, WIRED[target])
    in_a_pod = _in_a_pod(seen)
    assert _place(in_a_pod, target)["advertised"]
    _check_near(in_a_pod, target, WIRED[target])


@pytest.mark.parametrize("target", NOWHERE)
def test_target_that_is_near_no_node(seen: Observations, target: str) -> None:
    """The reason is told, and nothing is guessed."""
    outcome, reason = NOWHERE[target]
    place, in_a_pod = _place(_moment(seen, "wired"), target), _place(_in_a_pod(seen), target)
    assert (place["outcome"], place["reason"]) == (outcome, reason)
    assert place["nodes"] == in_a_pod["nodes"] == []
    assert not in_a_pod["advertised"]
    assert in_a_pod["reason"].startswith(reason)


@pytest.mark.parametrize("target", GLOBS)
def test_glob_names_each_node(seen: Observations, target: str) -> None:
    """One place for each node, in the order of the nodes; an interface of no node is left out."""
    for fact in (_moment(seen, "wired"), _in_a_pod(seen)):
        assert GLOBS[target] == {
            place["suffix"]: (place["nodes"], place["chain"][-1]) for place in fact["seen"][target]
        }


def test_link_to_a_directory(seen: Observations) -> None:
    """The host's `/` shows where it leads; a pod without it cannot know that it is a link."""
    _check_near(_moment(seen, "wired"), LINK, WIRED["/data/shards"])
    assert _place(_in_a_pod(seen), LINK)["nodes"] == []


def test_near_a_node_without_cpus_the_nearest_counts(seen: Observations) -> None:
    """The disk is on node 2, which has memory only."""
    assert _place(_moment(seen, "wired"), "{gamma}")["notes"] == [
        "node 2 has no CPUs; nearest with CPUs, at distance 17: node 0"
    ]


def test_devices_are_listed_under_their_nodes(seen: Observations) -> None:
    """`numa-trio topology` in a pod lists hardware: disks, and cards with the host's names."""
    fact = seen.one("topology")
    names, document = fact["names"], fact["document"]
    nodes = [
        {kind: {each["name"] for each in node[kind]} for kind in ("disks", "interfaces", "mounts")}
        for node in document["nodes"]
    ]
    both = {names["shared"]}
    assert nodes[0]["disks"] == {names["alpha"], names["gamma"], "vda"} | both
    assert nodes[1]["disks"] == {names["beta"], "sda"} | both
    assert [node["interfaces"] for node in nodes] == [{"enp66s0"}, {"enp130s0"}, set()]
    assert {each["name"] for each in document["near_no_node"]["interfaces"]} == {"enp0s16"}
    assert nodes[0]["mounts"] == {"/var/lib/elasticsearch", "/srv/btrfs"}
    assert nodes[1]["mounts"] == {"/var/lib/elasticsearch", "/srv/btrfs", "/srv/fast", "/data"}
    assert document["hidden"] == document["near_problems"] == []


@pytest.mark.parametrize(
    ("moment", "target"),
    [(moment, target) for moment, targets in CHANGES.items() for target in targets],
)
def test_target_after_a_change(seen: Observations, moment: str, target: str) -> None:
    """What is left counts; what is gone is absent until it comes back, wherever that is."""
    fact = _moment(seen, moment)
    place, expected = _place(fact, target), CHANGES[moment][target]
    if isinstance(expected, str):
        names = {**fact["names"], "old_beta": _moment(seen, "wired")["names"]["beta"]}
        assert place["outcome"] == "absent"
        assert fnmatchcase(place["reason"], f"*{_named(expected, names)}"), place["reason"]
    else:
        assert place["outcome"] == "near"
        _check_near(fact, target, expected)


@pytest.mark.parametrize("moment", OFFERED)
def test_kubelet_is_offered_what_is_near(seen: Observations, moment: str) -> None:
    """Slots come with a mount, are unhealthy while the disk is gone, and follow it elsewhere.

    Only what the kernel told the agent can have made it look. The nodes' own slots stay.
    """
    (fact,) = (fact for fact in seen.all("slots") if fact["moment"] == moment)
    named = {f"near-{name}": nodes for name, nodes in OFFERED[moment].items()}
    assert fact["resources"] == {
        f"numa-align/{name}": {
            "capacity": SLOTS,
            "allocatable": SLOTS if nodes else 0,
            "numa_nodes": nodes,
        }
        for name, nodes in {"numa-0": [0], "numa-1": [1], **named}.items()
    }


def test_slots_move_over_the_open_streams(seen: Observations) -> None:
    """Of all names only the one that appears late costs a registration."""
    facts = seen.all("slots")
    assert [fact["registrations"] for fact in facts] == [5, 6, 6, 6]
    assert [fact["streams"] for fact in facts] == [5, 6, 6, 6]


@pytest.mark.parametrize(("moment", "numa_node"), [("put together", 1), ("mounted again", 0)])
def test_a_pod_follows_the_disk(seen: Observations, moment: str, numa_node: int) -> None:
    """The same pod gets CPUs of the node where the mounted disk is then."""
    (pod,) = (fact for fact in seen.all("pod") if fact["moment"] == moment)
    assert pod["reason"] is None
    (placement,) = pod["placements"]
    assert placement["environment"] == {"NUMA_NODE": str(numa_node)}
    assert set(placement["cpus"]) <= LAYOUT.cpus_of(numa_node)


def test_the_agent_leaves_cleanly(seen: Observations) -> None:
    """SIGTERM ends it with status 0."""
    assert seen.one("agent stopped")["status"] == 0


def _in_a_pod(seen: Observations) -> Fact:
    """What `numa-trio topology` said in a pod, in the form of the other facts."""
    fact = seen.one("topology")
    places: dict[str, list[dict[str, Any]]] = {}
    for place in fact["document"]["near"]:
        _, dash, number = place["name"].partition("-")
        places.setdefault(place["target"], []).append({**place, "suffix": dash + number})
    return {"names": fact["names"], "seen": places}


def _moment(seen: Observations, moment: str) -> Fact:
    seen.one("ended")
    (fact,) = (fact for fact in seen.all("near") if fact["moment"] == moment)
    return fact


def _place(fact: Fact, target: str) -> dict[str, Any]:
    (place,) = fact["seen"][_named(target, fact["names"])]
    return place


def _check_near(fact: Fact, target: str, expected: Near) -> None:
    place = _place(fact, target)
    nodes, steps = expected
    assert (place["nodes"], place["reason"]) == (nodes, None)
    seen = [sorted(step.split("+")) for step in place["chain"]]
    wanted = [sorted(_named(step, fact["names"]).split("+")) for step in steps]
    assert [len(step) for step in seen] == [len(step) for step in wanted], place["chain"]
    for names, patterns in zip(seen, wanted, strict=True):
        assert all(map(fnmatchcase, names, patterns)), place["chain"]


def _named(text: str, names: dict[str, str]) -> str:
    """The text with the names that the kernel gave, which depend on what it found first."""
    return text.format_map(names)
