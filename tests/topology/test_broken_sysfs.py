"""What a broken file of sysfs costs: what it says and nothing else, and never a wait."""

import os
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.plugin.advertising import CpulessNodes, advertise
from numa_trio.topology import sysfs
from numa_trio.topology.machine import HugePages, Machine, NumaNode
from numa_trio.topology.sysfs import UnreadableSysfs, read_machine
from sysfs_tree import plant, plant_machine, plant_nodes

COSMETIC = [
    "distance",
    "meminfo",
    "hugepages/hugepages-2048kB/nr_hugepages",
    "hugepages/hugepages-2048kB/free_hugepages",
]
DECISIVE = ["cpulist"]


def broken(path: Path, how: str) -> None:
    """Put something in the place of a file that cannot be read as one."""
    path.unlink(missing_ok=True)
    match how:
        case "folder":
            path.mkdir()
        case "loop":
            path.symlink_to(path)
        case "FIFO":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "huge":
            path.touch()
            os.truncate(path, 1 << 40)


def node_folder(root: Path, node_id: int) -> Path:
    return root / f"devices/system/node/node{node_id}"


def node_of(machine: Machine, node_id: int) -> NumaNode:
    return next(node for node in machine.nodes if node.id == node_id)


@pytest.mark.parametrize(
    ("file", "content", "unknown", "expected"),
    [
        ("distance", "10 near", "distances", "decimal numbers"),
        ("distance", "10 -1", "distances", "decimal numbers"),
        ("distance", "10.5 20", "distances", "decimal numbers"),
        ("meminfo", "nonsense", "memory", "a line like 'Node 0 MemTotal: 4194304 kB'"),
        ("meminfo", "Node 0 MemFree: 1 kB", "memory", "a line like 'Node 0 MemTotal:"),
        ("meminfo", "Node 0 MemTotal: many kB", "memory", "a line like 'Node 0 MemTotal:"),
        ("meminfo", "Node 0 MemTotal: 4096 MB", "memory", "a line like 'Node 0 MemTotal:"),
        ("meminfo", "Node 0 MemTotal: -4 kB", "memory", "a line like 'Node 0 MemTotal:"),
        ("meminfo", "MemTotal: 4 kB\nMemFree:", "memory", "a line like 'Node 0 MemFree:"),
        ("meminfo", "MemTotal: 4 kB\nMemFree: 5 kB", "memory", "MemFree that is not above"),
        (COSMETIC[2], "some", "huge pages of 2048 kB", "decimal numbers"),
        (COSMETIC[3], "\0\0-1", "huge pages of 2048 kB", "decimal numbers"),
        ("cpulist", "0-3;7", "CPUs", "a list of numbers and ranges"),
        ("cpulist", "3-0", "CPUs", "ranges that ascend"),
        ("cpumap", "0x3", "CPUs", "32-bit hexadecimal words"),
        ("cpumap", "", "CPUs", "32-bit hexadecimal words"),
    ],
)
def test_a_malformed_file_becomes_a_remark(
    tmp_path: Path, file: str, content: str, unknown: str, expected: str
) -> None:
    """It names the node and the file, shows what is in it, and says what belongs there."""
    here = node_folder(plant_machine(tmp_path, "two-sockets"), 0)
    if file == "cpumap":
        (here / "cpulist").unlink()
    (here / file).write_text(content)
    (remark,) = read_machine(tmp_path).remarks
    assert remark.text == f"node 0: {unknown} unknown"
    assert str(remark).startswith(f"node 0: {unknown} unknown: {here / file}: held ")
    assert expected in str(remark)


@pytest.mark.parametrize("how", ["folder", "loop", "FIFO", "device", "huge"])
@pytest.mark.parametrize("file", COSMETIC + DECISIVE)
def test_something_else_in_the_place_of_a_file_costs_what_it_would_say(
    tmp_path: Path, file: str, how: str
) -> None:
    """A folder, a loop of links, a FIFO, a device, a terabyte: one remark, the rest is known."""
    whole = read_machine(plant_machine(tmp_path, "two-sockets"))
    broken(node_folder(tmp_path, 0) / file, how)
    machine = read_machine(tmp_path)
    (remark,) = machine.remarks
    assert remark.text.startswith("node 0: ")
    assert remark.text.endswith(" unknown")
    assert node_of(machine, 1) == node_of(whole, 1)
    assert [one.advertised for one in advertise(machine, CpulessNodes.SKIP)] == [
        file in COSMETIC,
        True,
    ]


@pytest.mark.parametrize("number", [13, 5])  # EACCES, EIO
def test_an_error_of_the_file_system_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Permission denied and failing disks too cost only what the file would say."""
    plant_machine(tmp_path, "two-sockets")
    content = sysfs.read_regular

    def failing(path: Path, at_most: int) -> bytes:
        if path.match("node1/cpulist") or path.match("node0/distance"):
            raise OSError(number, os.strerror(number))
        return content(path, at_most)

    monkeypatch.setattr(sysfs, "read_regular", failing)
    machine = read_machine(tmp_path)
    assert [str(remark).partition(" unknown: ")[0] for remark in machine.remarks] == [
        "node 0: distances",
        "node 1: CPUs",
    ]
    assert all(os.strerror(number) in str(remark) for remark in machine.remarks)
    assert [node.cpus_known for node in machine.nodes] == [True, False]


@pytest.mark.parametrize(
    ("how", "seen"),
    [
        ("FIFO", "not a regular file"),
        ("device", "not a regular file"),
        ("folder", "Is a directory"),
        ("loop", "Too many levels of symbolic links"),
    ],
)
def test_something_else_in_the_place_of_the_list_of_nodes_is_unreadable(
    tmp_path: Path, how: str, seen: str
) -> None:
    """Which nodes are online decides: the error says what is there instead, and nothing waits."""
    plant_machine(tmp_path, "two-sockets")
    broken(tmp_path / "devices/system/node/online", how)
    with pytest.raises(UnreadableSysfs, match=f"node/online: cannot be read: {seen}$"):
        read_machine(tmp_path)


@pytest.mark.parametrize("listed", [True, False])
def test_a_node_whose_folder_cannot_be_entered_is_unknown(tmp_path: Path, listed: bool) -> None:
    """It is there, with nothing known about it; the other nodes are as they were."""
    plant_nodes(tmp_path, {"node0/cpulist": "0-1"} | ({"online": "0-1"} if listed else {}))
    node_folder(tmp_path, 1).symlink_to(node_folder(tmp_path, 1))
    machine = read_machine(tmp_path)
    assert machine.nodes == (NumaNode(0, frozenset({0, 1})), NumaNode(1, cpus_known=False))
    folder = node_folder(tmp_path, 1)
    assert str(folder) in str(machine.remarks[0])
    assert "Too many levels of symbolic links" in str(machine.remarks[0])


def test_a_folder_of_huge_pages_that_cannot_be_entered_is_a_remark(tmp_path: Path) -> None:
    """Their sizes are unknown, and nothing else is."""
    link = node_folder(plant_nodes(tmp_path, {"online": "0", "node0/cpulist": "0"}), 0)
    (link / "hugepages").symlink_to(link / "hugepages")
    machine = read_machine(tmp_path)
    assert machine.nodes == (NumaNode(0, frozenset({0})),)
    (remark,) = machine.remarks
    assert remark.text == "node 0: huge pages unknown"
    assert f"{link}/hugepages: cannot be read: Too many levels of symbolic links" in str(remark)


def test_huge_pages_of_a_kernel_without_numa_may_be_malformed(tmp_path: Path) -> None:
    """The one node 0 is there all the same, with the pages of the other sizes."""
    plant(
        tmp_path,
        {
            "devices/system/cpu/online": "0-3",
            "kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "many",
            "kernel/mm/hugepages/hugepages-2048kB/free_hugepages": "0",
            "kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages": "3",
            "kernel/mm/hugepages/hugepages-1048576kB/free_hugepages": "1",
        },
    )
    machine = read_machine(tmp_path)
    pages = (HugePages(2**30, total=3, free=1),)
    assert machine.nodes == (NumaNode(0, frozenset(range(4)), huge_pages=pages),)
    assert machine.remarks[1].text == "node 0: huge pages of 2048 kB unknown"


def test_possible_nodes_count_only_where_they_are_needed(tmp_path: Path) -> None:
    """A malformed `possible` matters to rows of distances of another length, and to them only."""
    plant_nodes(
        tmp_path,
        {
            "online": "0,2",
            "possible": "all",
            "node0/cpulist": "0",
            "node0/distance": "10 20 30",
            "node2/cpulist": "1",
            "node2/distance": "20 10",
        },
    )
    machine = read_machine(tmp_path)
    assert [dict(node.distances) for node in machine.nodes] == [{}, {0: 20, 2: 10}]
    (remark,) = machine.remarks
    assert "node 0: distances unknown: " in str(remark)
    assert "node/possible: held 'all'" in str(remark)


def test_alike_remarks_are_one(tmp_path: Path) -> None:
    """A machine of 64 nodes says once what holds for all, with the first file as the example."""
    files = {f"node{number}/cpulist": str(number) for number in range(64)}
    files |= {f"node{number}/distance": "far" for number in range(64)}
    (remark,) = read_machine(plant_nodes(tmp_path, {"online": "0-63"} | files)).remarks
    assert remark.text == "nodes 0-63: distances unknown"
    assert "node0/distance: held 'far'" in str(remark)


def test_what_a_file_held_does_not_make_another_remark(tmp_path: Path) -> None:
    """Free memory differs at each reading; the remark on its unit is the same one."""
    plant_nodes(tmp_path, {"online": "0", "node0/meminfo": "MemTotal: 8 kB\nMemFree: 4 MB"})
    first = read_machine(tmp_path)
    plant_nodes(tmp_path, {"node0/meminfo": "MemTotal: 8 kB\nMemFree: 3 MB"})
    second = read_machine(tmp_path)
    assert [str(one) for one in first.remarks] != [str(one) for one in second.remarks]
    assert first.remarks == second.remarks


@given(
    file=st.sampled_from(COSMETIC),
    node_id=st.sampled_from([0, 1]),
    content=st.binary(max_size=40)
    | st.text(alphabet="0123456789,- \nxkB:MemTotalFree", max_size=40).map(str.encode),
)
def test_no_content_of_a_cosmetic_file_changes_a_resource(
    file: str, node_id: int, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever it holds, the nodes, their CPUs and the verdicts on them are the same."""
    root = plant_machine(tmp_path_factory.mktemp("sys"), "two-sockets")
    (node_folder(root, node_id) / file).write_bytes(content)
    machine = read_machine(root)
    assert [(node.id, len(node.cpus)) for node in machine.nodes] == [(0, 4), (1, 4)]
    assert all(one.advertised and one.certain for one in advertise(machine, CpulessNodes.SKIP))


@given(
    content=st.binary(max_size=40)
    | st.text(alphabet="0123456789,-\n\0", max_size=20).map(str.encode)
)
def test_no_content_of_a_cpulist_changes_another_node(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One node's list of CPUs decides about this node only."""
    root = plant_machine(tmp_path_factory.mktemp("sys"), "two-sockets")
    whole = read_machine(root)
    (node_folder(root, 0) / "cpulist").write_bytes(content)
    machine = read_machine(root)
    assert node_of(machine, 1) == node_of(whole, 1)
    assert node_of(machine, 0) == evolve(
        node_of(whole, 0),
        cpus=node_of(machine, 0).cpus,
        cpus_known=node_of(machine, 0).cpus_known,
    )
    assert machine.remarks or node_of(machine, 0).cpus_known
