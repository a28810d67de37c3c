"""Disks, interfaces and GPUs of described machines: the agent's own reader finds their nodes."""

from pathlib import Path

import pytest

from numa_trio.locality.host import Host
from numa_trio.locality.listing import list_machine
from numa_trio.locality.mountinfo import MountTable
from numa_trio.locality.places import find_places
from numa_trio.locality.survey import Survey
from numa_trio.locality.target import parse_target
from numa_trio.simulator.machine_file import load_machine, shipped_machines
from numa_trio.simulator.sysfs_tree import write_sysfs
from numa_trio.simulator.wiring_tree import write_host
from numa_trio.workloads.fields import BadFile

NODES = """
nodes:
  - {id: 0, cpus: 0-1, memory: 4Gi}
  - {id: 1, cpus: 2-3, memory: 4Gi}
"""
WIRED = f"""
{NODES}
disks:
  nvme0n1: {{node: 0, mount: /var/lib/elasticsearch}}
  nvme1n1: {{node: 1, pci: 0000:81:00.0, mount: /var/lib}}
  sda: {{node: -1, mount: "/spare #1"}}
  md0: {{members: [nvme0n1, nvme1n1], mount: /data}}
interfaces:
  eth2: {{node: 1}}
  eth3: {{node: 0, pci: 01:00.0}}
  bond0: {{members: [eth2, eth3]}}
gpus:
  0000:3C:00.0: {{node: 1}}
"""
FIRST, SECOND = "0000:02:00.0 → node 0", "0000:81:00.0 → node 1"


def survey(directory: Path, file: Path) -> Survey:
    """A look at the machine as an agent would have it."""
    simulated = load_machine(file)
    sysfs, root = directory / "sys", directory / "host"
    write_sysfs(sysfs, simulated)
    write_host(root, sysfs, simulated.wiring)
    return Survey(Host(sysfs, root), simulated.machine)


def look(directory: Path, text: str = WIRED) -> Survey:
    file = directory / "own.yaml"
    file.write_text(text)
    return survey(directory, file)


def near(seen: Survey, target: str) -> list[str]:
    return [str(place.resolution) for place in find_places(seen, parse_target(target))]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/var/lib/elasticsearch", f" → nvme0n1 → {FIRST}"),
        ("/var/lib/elasticsearch/nodes/0", f" → nvme0n1 → {FIRST}"),
        ("mount:/var/lib/elasticsearch", f" → nvme0n1 → {FIRST}"),
        ("/var/lib/docker", f" → nvme1n1 → {SECOND}"),
        ("nvme0n1", f" → {FIRST}"),
        ("/dev/nvme1n1", f" → nvme1n1 → {SECOND}"),
        ("/spare #1", " → sda: the kernel knows no node of 0000:03:00.0 (numa_node is -1)"),
        ("/data", " → md0 → nvme0n1+nvme1n1 → 0000:02:00.0+0000:81:00.0 → nodes 0-1"),
        ("net:eth2", " → 0000:04:00.0 → node 1"),
        ("eth3", " → 0000:01:00.0 → node 0"),
        ("bond0", " → eth2+eth3 → 0000:04:00.0+0000:01:00.0 → nodes 0-1"),
        ("pci:3c:00.0", " → 0000:3c:00.0 → node 1"),
        ("0000:81:00.0", " → node 1"),
        ("/etc", ": / is in memory (rootfs), of whatever node is used"),
        ("eth9", ": there is no block device, network interface or InfiniBand device eth9"),
        ("net:eth9", ": there is no network interface eth9"),
        ("pci:99:00.0", ": there is no PCI device 0000:99:00.0"),
        ("/dev/disk/by-id/x", ": there is no block device /dev/disk/by-id/x"),
        ("mount:/", ": / is in memory (rootfs), of whatever node is used"),
    ],
)
def test_near_what_the_file_says(target: str, expected: str, tmp_path: Path) -> None:
    """Each kind of target is found, with the chain that a real machine would show."""
    assert near(look(tmp_path), target) == [target + expected]


def test_a_glob_has_a_place_for_each_node(tmp_path: Path) -> None:
    """Interfaces on two nodes make two places."""
    assert [each[-6:] for each in near(look(tmp_path), "net:eth*")] == ["node 0", "node 1"]


@pytest.mark.parametrize("target", ["nvme0n1", "net:eth0", "pci:01:00.0"])
def test_without_devices_nothing_is_hidden(target: str, tmp_path: Path) -> None:
    """A machine that has none has none; it is not that they could not be seen."""
    (said,) = near(look(tmp_path, NODES), target)
    assert ": there is no " in said


def test_devices_can_be_written_again(tmp_path: Path) -> None:
    """What is wired otherwise takes the place of what was there."""
    assert near(look(tmp_path), "sda")[0].endswith("(numa_node is -1)")
    assert near(look(tmp_path, WIRED.replace("-1", "1")), "sda")[0].endswith("node 1")


def test_devices_of_a_machine_are_listed(tmp_path: Path) -> None:
    """The shipped server shows its disks, interfaces and mounts under their nodes."""
    listing = list_machine(survey(tmp_path, shipped_machines()["two-node-server"]))
    by_node = [
        [
            each.resolution.target
            for part in (local.disks, local.interfaces, local.mounts)
            for each in part
        ]
        for local in (listing.near(0), listing.near(1))
    ]
    assert by_node == [["nvme0n1", "eth0", "/"], ["nvme1n1", "eth2", "/var/lib/elasticsearch"]]
    assert listing.hidden == ()


def test_mounts_stand_upon_each_other(tmp_path: Path) -> None:
    """Each mount names the one on which its mount point lies, and blanks are escaped."""
    look(tmp_path)
    mounts = MountTable.of((tmp_path / "host/proc/1/mountinfo").read_bytes()).mounts
    points = {mount.id: mount.point for mount in mounts}
    assert {mount.point: points.get(mount.parent) for mount in mounts} == {
        "/": None,
        "/data": "/",
        "/spare #1": "/",
        "/var/lib": "/",
        "/var/lib/elasticsearch": "/var/lib",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("disks: [nvme0n1]", "disks: found a list; expected a mapping"),
        ("disks: {sda: 0}", "disks.sda: found 0; expected a mapping"),
        ("disks: {sda: {}}", "disks.sda.node: found nothing; expected a whole number from -1"),
        ("disks: {sda: {node: 2}}", "disks.sda.node: found 2; expected one of the nodes 0, 1, or"),
        ("disks: {sda: {nodes: 1}}", "disks.sda.nodes: unknown; expected node, pci, mount, memb"),
        ("interfaces: {e0: {mount: /x}}", "interfaces.e0.mount: unknown; expected node, pci, mem"),
        ("disks: {a/b: {node: 0}}", "disks.a/b: expected a name of letters, digits"),
        ("interfaces: {a234567890123456: {node: 0}}", "expected a name of .*, at most 15"),
        ("gpus: {gpu0: {node: 0}}", "gpus.gpu0: found gpu0; expected a PCI address such as"),
        ("disks: {a: {node: 0, pci: 1}}", "disks.a.pci: found 1; expected text"),
        ("disks: {a: {node: 0, pci: '81:*'}}", r"disks.a.pci: found 81:\*; expected a PCI addr"),
        ("disks: {a: {node: 0, mount: data}}", "disks.a.mount: found 'data'; expected an absolut"),
        ("disks: {a: {node: 0, mount: /a/../b}}", "disks.a.mount: found '/a/../b'; expected an a"),
        ("disks: {a: {node: 0, mount: /a*}}", r"disks.a.mount: found '/a\*'; expected an absolu"),
        (
            "disks: {a: {node: 0, mount: /x}, b: {node: 1, mount: /x/}}",
            "disks.b.mount: a is mounted at /x too",
        ),
        (
            "disks: {a: {node: 0, pci: 81:00.0}}\ngpus: {0000:81:00.0: {node: 0}}",
            "gpus.'0000:81:00.0': 0000:81:00.0 is the PCI address of a too",
        ),
        ("disks: {md0: {members: []}}", "disks.md0.members: found an empty list; expected names"),
        ("disks: {md0: {members: [a]}}", r"members\[0\]: found 'a'; expected the name of one that"),
        ("interfaces: {e0: {members: [e0]}}", r"members\[0\]: found 'e0'; expected the name of"),
        (
            "disks: {a: {node: 0}, md0: {node: 0, members: [a]}}",
            "disks.md0.node: found 0; expected nothing: where there are members",
        ),
    ],
)
def test_bad_wiring(tmp_path: Path, text: str, message: str) -> None:
    """The message names the file, the key, what it holds and what is allowed."""
    with pytest.raises(BadFile, match=message) as caught:
        look(tmp_path, f"{NODES}{text}")

    assert str(caught.value).startswith(str(tmp_path / "own.yaml"))
