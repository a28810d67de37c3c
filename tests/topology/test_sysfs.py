"""The machine as it is read from sysfs: real machines' forms, broken files, nodes that vanish."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.topology import sysfs
from numa_trio.topology.lists import format_cpumap, format_list
from numa_trio.topology.machine import HugePages, Machine, NumaNode, Remark
from numa_trio.topology.sysfs import (
    MalformedSysfs,
    SysfsError,
    SysfsRootMissing,
    UnreadableSysfs,
    read_machine,
)
from sysfs_tree import plant, plant_machine, plant_nodes

KIB, MIB, GIB = 1024, 1024**2, 1024**3


def cpulists(machine: Machine) -> dict[int, str]:
    return {node.id: format_list(node.cpus) for node in machine.nodes}


def distances(machine: Machine) -> dict[int, dict[int, int]]:
    return {node.id: dict(node.distances) for node in machine.nodes}


def test_reads_every_fact_of_a_common_server(tmp_path: Path) -> None:
    """CPUs, memory in bytes, distances by node and huge pages by ascending size are all there."""
    machine = read_machine(plant_machine(tmp_path, "two-sockets"))
    assert machine == Machine(
        nodes=(
            NumaNode(
                id=0,
                cpus=frozenset({0, 1, 2, 3}),
                memory_bytes=4 * GIB,
                memory_free_bytes=GIB,
                distances={0: 10, 1: 21},
                huge_pages=(HugePages(2 * MIB, 512, 500), HugePages(GIB, 2, 0)),
            ),
            NumaNode(
                id=1,
                cpus=frozenset({4, 5, 6, 7}),
                memory_bytes=4 * GIB,
                memory_free_bytes=2 * GIB,
                distances={0: 21, 1: 10},
                huge_pages=(HugePages(2 * MIB, 0, 0),),
            ),
        ),
        numa_aware=True,
        remarks=(),
    )


def test_distances_belong_to_the_online_nodes_in_order(tmp_path: Path) -> None:
    """With sparse node numbers the third distance is that of the third online node."""
    machine = read_machine(plant_machine(tmp_path, "sparse-numbers"))
    assert [node.id for node in machine.nodes] == [0, 1, 2, 33, 34, 45, 72, 73]
    assert distances(machine)[33] == {0: 22, 1: 16, 2: 16, 33: 10, 34: 16, 45: 16, 72: 22, 73: 22}
    assert all(node.distances[node.id] == 10 for node in machine.nodes)


def test_nodes_without_cpus_are_found(tmp_path: Path) -> None:
    """The memory of a GPU is a node that has memory and no CPU."""
    machine = read_machine(plant_machine(tmp_path, "gpu-memory"))
    assert cpulists(machine) == {0: "0-87", 8: "88-175", 250: "", 251: ""}
    assert [node.has_cpus for node in machine.nodes] == [True, True, False, False]
    assert all(node.has_memory for node in machine.nodes)
    assert machine.remarks == ()


def test_possible_nodes_that_are_not_online_do_not_count(tmp_path: Path) -> None:
    """Ten nodes are possible, four online: four nodes with four distances each."""
    machine = read_machine(plant_machine(tmp_path, "memory-tiers"))
    assert cpulists(machine) == {0: "0-1", 1: "2-3", 4: "", 6: ""}
    assert distances(machine)[4] == {0: 20, 1: 20, 4: 10, 6: 20}


def test_distances_to_offline_nodes_are_left_out(tmp_path: Path) -> None:
    """Where the file has a number for each possible node, those of online nodes are taken."""
    machine = read_machine(plant_machine(tmp_path, "offline-node"))
    assert cpulists(machine) == {1: "1,3,5,7"}
    assert distances(machine) == {1: {1: 10}}
    assert machine.remarks == ()


def test_folders_and_cpumaps_serve_an_old_kernel(tmp_path: Path) -> None:
    """Without `online` the folders count, in order of number; without `cpulist` the map does."""
    machine = read_machine(plant_machine(tmp_path, "old-kernel"))
    assert cpulists(machine) == {0: "0-3", 1: "4-7", 2: "8-11", 10: "12-15"}
    assert [node.id for node in machine.nodes] == [0, 1, 2, 10]
    assert {node.memory_bytes for node in machine.nodes} == {8064400 * KIB}
    assert distances(machine)[10] == {0: 22, 1: 22, 2: 22, 10: 10}


def test_a_node_without_memory_is_told_from_one_of_unknown_memory(tmp_path: Path) -> None:
    """The kernel says 0 for a node without memory; None is for when it says nothing."""
    machine = read_machine(plant_machine(tmp_path, "memoryless-nodes"))
    assert [node.memory_bytes for node in machine.nodes] == [2 * GIB, 0, 0]
    assert [node.has_memory for node in machine.nodes] == [True, False, False]
    assert [node.has_cpus for node in machine.nodes] == [True, True, False]


def test_a_kernel_without_numa_is_one_node(tmp_path: Path) -> None:
    """Node 0 has the online CPUs and the machine's huge pages; a remark says why."""
    machine = read_machine(plant_machine(tmp_path, "no-numa"))
    assert machine.nodes == (
        NumaNode(
            id=0, cpus=frozenset({0, 1, 3, 4, 5}), huge_pages=(HugePages(MIB, total=16, free=12),)
        ),
    )
    assert machine.numa_aware is False
    assert [str(remark) for remark in machine.remarks] == [
        "the kernel knows no NUMA nodes (devices/system/node): one node 0 with all online CPUs"
    ]


def test_an_old_kernel_without_numa_has_the_cpus_that_are_not_offline(tmp_path: Path) -> None:
    """Without `cpu/online` each CPU's own file tells; one that cannot go offline has none."""
    plant(
        tmp_path,
        {
            "devices/system/cpu/cpu0/uevent": "",
            "devices/system/cpu/cpu1/online": "1",
            "devices/system/cpu/cpu2/online": "0",
            "devices/system/cpu/cpufreq/boost": "1",
        },
    )
    assert cpulists(read_machine(tmp_path)) == {0: "0-1"}


def test_a_node_folder_without_nodes_is_no_numa(tmp_path: Path) -> None:
    """A `node` folder that tells of no node leaves one node 0."""
    plant(tmp_path, {"devices/system/node/uevent": "", "devices/system/cpu/online": "0-3"})
    machine = read_machine(tmp_path)
    assert not machine.numa_aware
    assert cpulists(machine) == {0: "0-3"}


def test_only_node_folders_count_where_online_is_missing(tmp_path: Path) -> None:
    """Other entries of the folder, and a file by the name of a node, are no nodes."""
    plant_nodes(
        tmp_path,
        {
            "node3/cpulist": "0-1",
            "node12/cpulist": "2-3",
            "node7": "",
            "node": "",
            "node01/cpulist": "5",
            "node1x/cpulist": "6",
            "nodes/cpulist": "7",
            "power/control": "auto",
            "has_cpu": "3,12",
        },
    )
    machine = read_machine(tmp_path)
    assert cpulists(machine) == {3: "0-1", 12: "2-3"}
    assert machine.remarks == ()


def test_nul_and_missing_newlines_do_no_harm(tmp_path: Path) -> None:
    """Kernels have been seen to end files with a NUL after the newline, and archives without."""
    plant_nodes(
        tmp_path,
        {
            "online": b"0-1\n\0",
            "node0/cpulist": b"0-3\0",
            "node0/distance": b"10 21",
            "node0/meminfo": b"\nNode 0 MemTotal:     1024 kB\n\0",
            "node1/cpulist": b"\n\0",
            "node1/distance": b" 21 10 \n\0",
        },
    )
    machine = read_machine(tmp_path)
    assert cpulists(machine) == {0: "0-3", 1: ""}
    assert distances(machine) == {0: {0: 10, 1: 21}, 1: {0: 21, 1: 10}}
    assert [node.memory_bytes for node in machine.nodes] == [MIB, None]


def test_the_list_is_preferred_to_the_map(tmp_path: Path) -> None:
    """A node's `cpumap` counts only where there is no `cpulist`."""
    plant_nodes(tmp_path, {"online": "0", "node0/cpulist": "0-1", "node0/cpumap": "ff"})
    assert cpulists(read_machine(tmp_path)) == {0: "0-1"}


def test_reads_64_nodes_of_4096_cpus_by_list_and_by_map(tmp_path: Path) -> None:
    """The largest machines are read in full, also where node numbers go up to 1023."""
    ids = range(1023 - 63 * 16, 1024, 16)
    files = {"online": format_list(ids)}
    for place, node_id in enumerate(ids):
        cpus = range(place, 4096, 64)  # scattered, so that nothing can be shortened
        if place % 2:
            files[f"node{node_id}/cpumap"] = format_cpumap(cpus)
        else:
            files[f"node{node_id}/cpulist"] = format_list(cpus)
        files[f"node{node_id}/distance"] = " ".join("10" if i == node_id else "40" for i in ids)
    machine = read_machine(plant_nodes(tmp_path, files))
    assert [node.id for node in machine.nodes] == list(ids)
    assert frozenset().union(*(node.cpus for node in machine.nodes)) == frozenset(range(4096))
    assert all(len(node.cpus) == 64 for node in machine.nodes)
    assert all(
        node.distances[node.id] == 10 and len(node.distances) == 64 for node in machine.nodes
    )


def test_reads_through_symbolic_links(tmp_path: Path) -> None:
    """A sysfs root may be a link, and so may the nodes' folders in it."""
    plant(tmp_path, {"elsewhere/cpulist": "0-1", "sys/devices/system/node/uevent": ""})
    (tmp_path / "sys/devices/system/node/node0").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "sys")
    assert cpulists(read_machine(tmp_path / "link")) == {0: "0-1"}


def test_this_machine_can_be_read() -> None:
    """The real sysfs gives at least one node, and every CPU is in one node only."""
    machine = read_machine(Path("/sys"))
    cpus = [cpu for node in machine.nodes for cpu in node.cpus]
    assert cpus
    assert len(cpus) == len(set(cpus))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("zero", "a list of numbers and ranges"),
        ("", "at least one number"),
        ("0-99999999", "numbers up to 65535"),
        (b"0-\xff1\n", "a list of numbers and ranges"),
        ("0," * (1 << 19), "at most 1048576 bytes"),
    ],
)
def test_a_malformed_list_of_nodes_is_named_with_what_it_held(
    tmp_path: Path, content: str | bytes, expected: str
) -> None:
    """The error names the file, shows what is in it, and says what belongs there."""
    plant_nodes(tmp_path, {"online": content, "node0/cpulist": "0-3"})
    with pytest.raises(MalformedSysfs) as caught:
        read_machine(tmp_path)
    error = caught.value
    assert error.path == tmp_path / "devices/system/node/online"
    assert str(error.path) in str(error)
    assert expected in error.expected
    assert expected in str(error)
    assert "held" in str(error)
    assert len(str(error)) < 400


def test_a_malformed_online_file_of_cpus_is_named(tmp_path: Path) -> None:
    """Without NUMA the file that counts is that of the online CPUs."""
    plant(tmp_path, {"devices/system/cpu/online": ""})
    with pytest.raises(MalformedSysfs, match="system/cpu/online: held nothing, expected"):
        read_machine(tmp_path)


@pytest.mark.parametrize("entry", ["", "file", "file/below", "missing"])
def test_a_root_that_is_no_sysfs_is_bad_configuration(tmp_path: Path, entry: str) -> None:
    """A missing root, a file and a folder without devices/system get an error of their own."""
    (tmp_path / "file").touch()
    seen = {
        "": "no CPUs in devices/system/node nor in devices/system/cpu",
        "missing": "No such file or directory",
    }.get(entry, "Not a directory")
    with pytest.raises(SysfsRootMissing) as caught:
        read_machine(tmp_path / entry)
    assert str(caught.value) == (
        f"sysfs root {tmp_path / entry}: {seen}; expected the directory where sysfs is mounted,"
        " usually /sys (NUMA_SYSFS_ROOT)"
    )


def test_a_folder_in_place_of_a_file_is_unreadable(tmp_path: Path) -> None:
    """An error of the file system names the file and the cause."""
    plant_nodes(tmp_path, {"online/x": "", "node0/cpulist": "0"})
    with pytest.raises(UnreadableSysfs, match="node/online: cannot be read: Is a directory"):
        read_machine(tmp_path)


def test_a_folder_of_nodes_that_cannot_be_entered_is_unreadable(tmp_path: Path) -> None:
    """A link to itself stands for whatever keeps us out."""
    link = plant(tmp_path, {"devices/system/uevent": ""}) / "devices/system/node"
    link.symlink_to(link)
    expected = f"{link}(/online)?: cannot be read: Too many levels of symbolic links"
    with pytest.raises(UnreadableSysfs, match=expected):
        read_machine(tmp_path)


def test_a_listed_node_without_folder_is_left_out(tmp_path: Path) -> None:
    """The others are read, and a remark names those that are missing."""
    plant_nodes(tmp_path, {"online": "0-3", "node0/cpulist": "0-1", "node2/cpulist": "2-3"})
    machine = read_machine(tmp_path)
    assert cpulists(machine) == {0: "0-1", 2: "2-3"}
    assert machine.remarks == (
        Remark("nodes 1,3: left out: listed as online, but without a folder"),
    )
    assert str(machine.remarks[0]) == machine.remarks[0].text  # there is no more to say


def test_no_listed_node_with_a_folder_is_malformed(tmp_path: Path) -> None:
    """A machine without any node would help nobody."""
    plant_nodes(tmp_path, {"online": "4-5", "node0/cpulist": "0-1"})
    with pytest.raises(MalformedSysfs, match="node/online: held '4-5', expected nodes with a fol"):
        read_machine(tmp_path)


def test_a_node_that_tells_no_cpus_is_taken_to_have_none(tmp_path: Path) -> None:
    """It is not advertised then, and a remark says why."""
    plant_nodes(tmp_path, {"online": "0-1", "node0/cpulist": "0", "node1/numastat": ""})
    machine = read_machine(tmp_path)
    assert cpulists(machine) == {0: "0", 1: ""}
    assert machine.remarks == (
        Remark("node 1: taken to have no CPUs: there is neither cpulist nor cpumap"),
    )


@pytest.mark.parametrize("row", ["10 20 30", "10", "10 20 30 40 50"])
def test_distances_that_fit_no_set_of_nodes_are_unknown(tmp_path: Path, row: str) -> None:
    """A row that has neither one number per online nor per possible node is not guessed at."""
    plant_nodes(
        tmp_path,
        {
            "online": "0,2",
            "possible": "0-3",
            "node0/cpulist": "0",
            "node0/distance": row,
            "node2/cpulist": "1",
            "node2/distance": "20 10",
        },
    )
    machine = read_machine(tmp_path)
    assert distances(machine) == {0: {}, 2: {0: 20, 2: 10}}
    assert machine.remarks == (
        Remark("node 0: distances unknown: not one number for each online node"),
    )


@pytest.mark.parametrize("files", [{}, {"node0/distance": "", "node0/meminfo": ""}])
def test_what_the_kernel_does_not_tell_is_unknown(tmp_path: Path, files: dict[str, str]) -> None:
    """Missing and empty files leave the memory None and the distances empty, without remark."""
    plant_nodes(tmp_path, {"online": "0", "possible": "0-1", "node0/cpulist": "0-3"} | files)
    assert read_machine(tmp_path) == Machine((NumaNode(0, frozenset(range(4))),))


def test_huge_pages_that_are_half_told_are_left_out(tmp_path: Path) -> None:
    """A size counts only with both its counts; other entries of the folder do not count."""
    plant_nodes(
        tmp_path,
        {
            "online": "0",
            "node0/cpulist": "0",
            "node0/hugepages/hugepages-2048kB/nr_hugepages": "4",
            "node0/hugepages/hugepages-64kB/nr_hugepages": "8",
            "node0/hugepages/hugepages-64kB/free_hugepages": "8",
            "node0/hugepages/hugepages-1GB/nr_hugepages": "1",
            "node0/hugepages/uevent": "",
        },
    )
    assert read_machine(tmp_path).nodes[0].huge_pages == (HugePages(64 * KIB, 8, 8),)


class Meddler:
    """Stands in for the reading of one file, and changes the tree when it is read."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.changes: list[tuple[str, dict[str, str]]] = []
        self.read = sysfs._read
        monkeypatch.setattr(sysfs, "_read", self)

    def __call__(self, path: Path) -> str | None:
        text = self.read(path)
        if self.changes and path.match(self.changes[0][0]):
            plant_nodes(self.root, self.changes.pop(0)[1])
        return text


def test_a_node_that_comes_online_meanwhile_is_read_in_a_second_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Distances and nodes of the answer are of one moment."""
    plant_nodes(tmp_path, {"online": "0", "node0/cpulist": "0", "node0/distance": "10"})
    meddler = Meddler(tmp_path, monkeypatch)
    meddler.changes = [
        (
            "node0/cpulist",
            {
                "online": "0-1",
                "node0/distance": "10 20",
                "node1/cpulist": "1",
                "node1/distance": "20 10",
            },
        )
    ]
    machine = read_machine(tmp_path)
    assert cpulists(machine) == {0: "0", 1: "1"}
    assert distances(machine) == {0: {0: 10, 1: 20}, 1: {0: 20, 1: 10}}
    assert machine.remarks == ()


def test_nodes_that_never_come_to_rest_are_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some looks the last one counts: reading always ends."""
    plant_nodes(tmp_path, {"online": "0", "node0/cpulist": "0", "node1/cpulist": "1"})
    meddler = Meddler(tmp_path, monkeypatch)
    meddler.changes = [("node0/cpulist", {"online": online}) for online in ["0-1", "0"] * 5]
    machine = read_machine(tmp_path)
    assert machine.nodes[0] == NumaNode(0, frozenset({0}))
    assert len(meddler.changes) == 7


def test_a_node_whose_files_vanish_while_they_are_read_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read from a device that is gone fails with ENODEV, which is no error of ours."""
    plant_nodes(tmp_path, {"online": "0-1", "node0/cpulist": "0", "node1/cpulist": "1"})
    content = sysfs.read_regular

    def content_of_gone_node(path: Path, at_most: int) -> bytes:
        if path.match("node1/*"):
            (path.parent / "cpulist").unlink(missing_ok=True)
            if path.parent.exists():
                path.parent.rmdir()
            plant_nodes(tmp_path, {"online": "0"})
            raise OSError(19, "No such device")
        return content(path, at_most)

    monkeypatch.setattr(sysfs, "read_regular", content_of_gone_node)
    assert read_machine(tmp_path) == Machine((NumaNode(0, frozenset({0})),))


texts = st.text(alphabet="0123456789,- \nxkB:f", max_size=12) | st.sampled_from(
    ["0", "0-1", "10 20", "Node 0 MemTotal: 8 kB", "00000003", ""]
)
odd_files = st.dictionaries(
    st.sampled_from(
        [
            "devices/system/node/online",
            "devices/system/node/possible",
            "devices/system/node/node0/cpulist",
            "devices/system/node/node0/cpumap",
            "devices/system/node/node0/distance",
            "devices/system/node/node0/meminfo",
            "devices/system/node/node1/cpumap",
            "devices/system/node/node1/hugepages/hugepages-4kB/nr_hugepages",
            "devices/system/node/node1/hugepages/hugepages-4kB/free_hugepages",
            "devices/system/cpu/online",
            "devices/system/cpu/cpu0/online",
        ]
    ),
    texts.map(str.encode) | st.binary(max_size=8),
)


@given(files=odd_files)
def test_any_tree_is_a_machine_or_a_sysfs_error(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the files hold, the reader gives a machine with nodes or one of its own errors."""
    root = plant(tmp_path_factory.mktemp("sys"), files)
    try:
        machine = read_machine(root)
    except SysfsError:
        return
    ids = [node.id for node in machine.nodes]
    assert ids
    assert ids == sorted(set(ids))
    assert all(not node.distances or node.id in node.distances for node in machine.nodes)
