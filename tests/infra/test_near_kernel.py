"""What disks, cards and mounts are near, on a Debian kernel with three NUMA nodes.

One virtual machine is booted for all tests of this file. guest/wire-near makes arrays, volumes,
mounts and bonds on its devices; guest/observe_near.py then takes some of them away.
"""

from fnmatch import fnmatchcase
from typing import Any, TypeAlias

import pytest

from infra.image import Image
from infra.near_machine import (
    ALPHA,
    BETA,
    CARD_0,
    CARD_1,
    FREE,
    GAMMA,
    LAYOUT,
    SCSI,
    SHARED_0,
    SHARED_1,
    VIRTIO,
    near_machine,
)
from infra.observing import Fact, Observations, observe
from infra.qemu import Accelerator, machine_options

pytestmark = pytest.mark.slow

# The nodes of a target, and the steps of the chain; the names of one step in any order.
Near: TypeAlias = tuple[list[int], list[str]]

_PARTS = "{alpha}p1+{beta}p1"
_ARRAY = ["md0", _PARTS, "{alpha}+{beta}", f"{ALPHA.address}+{BETA.address}"]
_BOND = ["bond0", "enp66s0+enp130s0", f"{CARD_0.address}+{CARD_1.address}"]
_FAST = ["{fast}", "{beta}p2", "{beta}", BETA.address]
_DATA = ["{beta}p3", "{beta}", BETA.address]
_BY_ID = "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_"

WIRED: dict[str, Near] = {
    "{alpha}": ([0], ["{alpha}", ALPHA.address]),
    "disk:{alpha}": ([0], ["{alpha}", ALPHA.address]),
    "/dev/{beta}p3": ([1], _DATA),
    f"{_BY_ID}beta-part1": ([1], ["{beta}p1", "{beta}", BETA.address]),
    f"/dev/disk/by-path/pci-{ALPHA.address}-nvme-1": ([0], ["{alpha}", ALPHA.address]),
    "{gamma}": ([0], ["{gamma}", GAMMA.address]),
    "{shared}": (
        [0, 1],
        ["{shared}", "nvme*c*n1+nvme*c*n1", f"{SHARED_0.address}+{SHARED_1.address}"],
    ),
    "sda": ([1], ["sda", SCSI.address]),
    "vda": ([0], ["vda", VIRTIO.address]),
    "loop0": ([1], ["loop0", "/data/image", *_DATA]),
    "/dev/md0": ([0, 1], _ARRAY),
    "/dev/mapper/locked": ([0, 1], ["{locked}", *_ARRAY]),
    "/dev/vg-0/data": ([0, 1], ["{data}", "{locked}", *_ARRAY]),
    "/dev/mapper/fast-es": ([1], _FAST),
    CARD_1.address: ([1], [CARD_1.address]),
    "pci:41:00.0": ([0], [ALPHA.address]),
    "enp66s0": ([0], ["enp66s0", CARD_0.address]),
    "net:enp130s0": ([1], ["enp130s0", CARD_1.address]),
    "bond0": ([0, 1], _BOND),
    "net:bond0.100": ([0, 1], ["bond0.100", *_BOND]),
    "br0": ([0, 1], ["br0", "bond0.100", *_BOND]),
    "storage": ([1], ["storage", "enp130s0", CARD_1.address]),
    "mount:/data": ([1], _DATA),
    "/data/shards": ([1], _DATA),
    "mount:/var/lib/elasticsearch": ([0, 1], ["{data}", "{locked}", *_ARRAY]),
    "/bound": ([0, 1], ["{data}", "{locked}", *_ARRAY]),
    "/merged": ([0, 1], ["/var/lib/elasticsearch/up", "{data}", "{locked}", *_ARRAY]),
    "/srv/fast": ([1], _FAST),
    "/srv/btrfs": ([0, 1], ["sda+vda", f"{SCSI.address}+{VIRTIO.address}"]),
}

# What is near no node, with the reason.
NOWHERE = {
    "enp0s16": ("unknown", "the kernel knows no node of 0000:00:10.0 (numa_node is -1)"),
    "lo": ("unknown", "lo is virtual, with no hardware below that tells a node"),
    "/run": ("unknown", "/run is in memory (tmpfs), of whatever node is used"),
    "mount:/data/shards": (
        "absent",
        "nothing is mounted at /data/shards; without 'mount:' it would be a directory on /data",
    ),
}

# Of each match of a glob the node and the last step.
GLOBS = {
    "net:enp*s0": {"-0": ([0], CARD_0.address), "-1": ([1], CARD_1.address)},
    f"{_BY_ID}*a-part3": {"-0": ([0], ALPHA.address), "-1": ([1], BETA.address)},
}

LINK = "/var/lib/shards"  # a link to /data/shards

_LEFT = ["md0", "{alpha}p1", "{alpha}", ALPHA.address]
_MOVED_BETA = {
    f"{_BY_ID}beta": ([0], ["{beta}", FREE.address]),
    "{beta}": ([0], ["{beta}", FREE.address]),
    "/dev/{beta}p1": ([0], ["{beta}p1", "{beta}", FREE.address]),
}
_MOVED_FAST = ([0], ["{fast}", "{beta}p2", "{beta}", FREE.address])

# After each change: where a target is then, or the end of the reason for which it is absent.
CHANGES: dict[str, dict[str, Near | str]] = {
    "taken apart": {
        "md0": ([0], _LEFT),
        "mount:/var/lib/elasticsearch": ([0], ["{data}", "{locked}", *_LEFT]),
        "bond0": ([0], ["bond0", "enp66s0", CARD_0.address]),
        "br0": ([0], ["br0", "bond0.100", "bond0", "enp66s0", CARD_0.address]),
        "mount:/data": "without 'mount:' it would be a directory on /",
        "mount:/srv/plain": "without 'mount:' it would be a directory on /",
    },
    "put together": {
        "md0": ([0, 1], _ARRAY),
        "mount:/data": ([0], ["{alpha}p3", "{alpha}", ALPHA.address]),
        "mount:/srv/plain": ([1], _DATA),
        "/dev/fast/es": ([1], _FAST),
        "/srv/btrfs": ([0, 1], ["sda+vda", f"{SCSI.address}+{VIRTIO.address}"]),
    },
    "unplugged": {
        f"{_BY_ID}beta": f"there is no block device {_BY_ID}beta",
        "{beta}": "InfiniBand device {beta}",
        "/dev/{beta}p1": "there is no block device /dev/{beta}p1",
        "md0": ([0], _LEFT),
        "mount:/var/lib/elasticsearch": ([0], ["{data}", "{locked}", *_LEFT]),
        "/dev/fast/es": "{fast} consists of {beta}p2, which is gone",
        "/srv/fast": "{fast} consists of {beta}p2, which is gone",
        "mount:/srv/plain": "the disk that is mounted at /srv/plain is gone (*)",
        "/srv/btrfs": ([0], ["vda", VIRTIO.address]),
    },
    "plugged in": {
        **_MOVED_BETA,
        "/dev/fast/es": "{fast} consists of {old_beta}p2, which is gone",
        "/srv/fast": "{fast} consists of {old_beta}p2, which is gone",
        "mount:/srv/plain": "the disk that is mounted at /srv/plain is gone (*)",
        "/srv/btrfs": ([0], ["vda", VIRTIO.address]),
    },
    "mounted again": {
        **_MOVED_BETA,
        "/dev/fast/es": _MOVED_FAST,
        "/srv/fast": _MOVED_FAST,
        "mount:/srv/plain": ([0], ["{beta}p3", "{beta}", FREE.address]),
    },
}


@pytest.fixture(scope="module")
def seen(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Observations:
    """Everything that the virtual machine tells from boot to power-off."""
    folder = tmp_path_factory.mktemp("near")
    options = machine_options(LAYOUT, Accelerator.TCG)
    return observe("observe_near", image, folder, options, near_machine(folder))


def test_the_guest_came_to_its_end(seen: Observations) -> None:
    """No command failed."""
    assert seen.one("ended")


@pytest.mark.parametrize("moment", ["wired", "in a pod"])
def test_every_target_is_judged(seen: Observations, moment: str) -> None:
    """The machine looks at what the tables here have, and at nothing else."""
    fact = _moment(seen, moment)
    expected = {*WIRED, *NOWHERE, *GLOBS, LINK}
    assert set(fact["seen"]) == {_named(target, fact["names"]) for target in expected}


@pytest.mark.parametrize("moment", ["wired", "in a pod"])
@pytest.mark.parametrize("target", WIRED)
def test_target_is_near_its_hardware(seen: Observations, moment: str, target: str) -> None:
    """A pod with parts of the host mounted sees the same as the host does."""
    _check_near(_moment(seen, moment), target, WIRED[target])


@pytest.mark.parametrize("moment", ["wired", "in a pod"])
@pytest.mark.parametrize("target", NOWHERE)
def test_target_that_is_near_no_node(seen: Observations, moment: str, target: str) -> None:
    """The reason is told, and nothing is guessed."""
    place = _place(_moment(seen, moment), target)
    assert (place["outcome"], place["reason"]) == NOWHERE[target]
    assert place["nodes"] == []


@pytest.mark.parametrize("moment", ["wired", "in a pod"])
@pytest.mark.parametrize("target", GLOBS)
def test_glob_names_each_node(seen: Observations, moment: str, target: str) -> None:
    """One place for each node, in the order of the nodes; an interface of no node is left out."""
    places = _moment(seen, moment)["seen"][target]
    assert GLOBS[target] == {
        place["suffix"]: (place["nodes"], place["chain"][-1]) for place in places
    }


def test_link_to_a_directory(seen: Observations) -> None:
    """The host's `/` shows where it leads; a pod without it cannot know that it is a link."""
    _check_near(_moment(seen, "wired"), LINK, WIRED["/data/shards"])
    assert _place(_moment(seen, "in a pod"), LINK)["outcome"] == "unknown"


def test_near_a_node_without_cpus_the_nearest_counts(seen: Observations) -> None:
    """The disk is on node 2, which has memory only."""
    fact = _moment(seen, "wired")
    assert _place(fact, _named("{gamma}", fact["names"]))["notes"] == [
        "node 2 has no CPUs; nearest with CPUs, at distance 17: node 0"
    ]


@pytest.mark.parametrize(
    ("moment", "target"),
    [(moment, target) for moment, targets in CHANGES.items() for target in targets],
)
def test_target_after_a_change(seen: Observations, moment: str, target: str) -> None:
    """What is left counts; what is gone is absent until it comes back, wherever that is."""
    fact = _moment(seen, moment)
    expected = CHANGES[moment][target]
    if not isinstance(expected, str):
        _check_near(fact, target, expected)
        return
    place = _place(fact, target)
    names = {**fact["names"], "old_beta": _moment(seen, "wired")["names"]["beta"]}
    assert place["outcome"] == "absent"
    assert fnmatchcase(place["reason"], f"*{_named(expected, names)}"), place["reason"]


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
    assert (place["outcome"], place["nodes"], place["reason"]) == ("near", nodes, None)
    seen = [sorted(step.split("+")) for step in place["chain"]]
    wanted = [sorted(_named(step, fact["names"]).split("+")) for step in steps]
    assert [len(step) for step in seen] == [len(step) for step in wanted], place["chain"]
    for names, patterns in zip(seen, wanted, strict=True):
        assert all(map(fnmatchcase, names, patterns)), place["chain"]


def _named(text: str, names: dict[str, str]) -> str:
    """The text with the names that the kernel gave, which depend on what it found first."""
    return text.format_map(names)
