"""What is near what on the machine of test_near_kernel.py, by its wiring.

Names in braces are those that the kernel gives, which depend on what it finds first; alpha and beta
are disks, `fast` and `data` are volumes.
"""

from typing import TypeAlias

from infra.near_machine import (
    ALPHA,
    BETA,
    CARD_0,
    CARD_1,
    FREE,
    GAMMA,
    SCSI,
    SHARED_0,
    SHARED_1,
    VIRTIO,
)

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


# The healthy slots of `near-<name>` at each moment: their nodes. Slots without nodes are unhealthy.
SLOTS = 100
OFFERED = {
    "wired": {"disk": [1], "mirror": [0, 1], "fast": [1]},
    "put together": {"data": [1], "disk": [1], "mirror": [0, 1], "fast": [1]},
    "unplugged": {"data": [], "disk": [], "mirror": [0], "fast": []},
    "mounted again": {"data": [0], "disk": [0], "mirror": [0], "fast": [0]},
}
