"""Machines: those that ship, files of one's own, and the host's."""

import time
from pathlib import Path

import pytest
from attrs import evolve

from numa_trio.simulator import sysfs_tree
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.hints import Policy
from numa_trio.simulator.kubelet_config import KubeletConfig, KubeletWillNotStart
from numa_trio.simulator.machine_file import load_machine, shipped_machines
from numa_trio.simulator.node import Node
from numa_trio.simulator.sysfs_tree import read_simulated_machine, write_sysfs
from numa_trio.workloads.fields import BadFile
from simulated import machine

SMALL = """
threads_per_core: 2
nodes:
  - {id: 0, cpus: "0-1,4-5", memory: 4Gi, huge_pages: {2Mi: 512, 1Gi: 1}}
  - {id: 3, cpus: "2-3,6-7", socket: 0}
  - {id: 9, memory: 1Gi}
"""


def load(directory: Path, text: str) -> SimulatedMachine:
    file = directory / "own.yaml"
    file.write_text(text)
    return load_machine(file)


def test_five_kinds_of_machine_ship() -> None:
    """There is a plain server, one with many nodes, with GPU memory, with gaps, a tiny one."""
    assert list(shipped_machines()) == [
        "eight-node-epyc",
        "gpu-memory",
        "sparse",
        "two-by-two",
        "two-node-server",
    ]


@pytest.mark.parametrize("name", shipped_machines())
def test_shipped_machine_reads_the_same_from_sysfs(name: str, tmp_path: Path) -> None:
    """Written as Linux would show it, a machine reads the same: nodes, cores and sockets."""
    shipped = load_machine(shipped_machines()[name])

    write_sysfs(tmp_path, shipped)

    assert read_simulated_machine(tmp_path, name) == evolve(shipped, wiring=())


@pytest.mark.parametrize("name", shipped_machines())
def test_kubelet_runs_on_shipped_machines(name: str) -> None:
    """No shipped machine has more or other NUMA nodes than kubelet can align."""
    Node.create(load_machine(shipped_machines()[name]), KubeletConfig())


def test_own_machine(tmp_path: Path) -> None:
    """Everything that a file says is there, and the rest has the kernel's defaults."""
    own = load(tmp_path, SMALL)

    first, second, third = own.machine.nodes
    assert own.name == "own"
    assert first.distances == {0: 10, 3: 20, 9: 20}
    assert [(pages.size_bytes, pages.total) for pages in first.huge_pages] == [
        (2 << 20, 512),
        (1 << 30, 1),
    ]
    assert (second.memory_bytes, third.cpus) == (None, frozenset())
    assert {cpu.id: cpu.core for cpu in own.cpus if cpu.node == 0} == {0: 0, 4: 0, 1: 1, 5: 1}
    assert {cpu.socket for cpu in own.cpus} == {0}


def test_own_machine_reads_the_same_from_sysfs(tmp_path: Path) -> None:
    """Huge pages, missing memory and shared sockets survive the way through sysfs."""
    own = load(tmp_path, SMALL)

    write_sysfs(tmp_path / "sys", own)

    assert read_simulated_machine(tmp_path / "sys", "own") == own


def test_huge_pages_and_reserved_memory_are_not_for_pods(tmp_path: Path) -> None:
    """Pods get what is left of a node's memory, and huge pages under their own name."""
    node = Node.create(load(tmp_path, SMALL), KubeletConfig())

    assert node.memory.nodes[0].allocatable == {
        "memory": (4 << 30) - (512 << 20) - (2 << 30),
        "hugepages-2Mi": 1 << 30,
        "hugepages-1Gi": 1 << 30,
    }
    assert node.allocatable()["hugepages-2Mi"] == 1 << 30


def test_little_memory_is_reserved_of_little(tmp_path: Path) -> None:
    """Of a small node an eighth is reserved, and nothing of a node without CPUs."""
    text = "nodes: [{id: 0, cpus: 0-1, memory: 1Gi}, {id: 1, memory: 1Gi}]"

    node = Node.create(load(tmp_path, text), KubeletConfig())

    assert [node.memory.nodes[n].allocatable["memory"] for n in (0, 1)] == [7 << 27, 1 << 30]


def test_usual_sizes_of_huge_pages_are_known(tmp_path: Path) -> None:
    """A machine without huge pages still has the sizes 2Mi and 1Gi, as Linux on x86 shows them."""
    node = Node.create(load(tmp_path, "nodes: [{id: 0, cpus: 0-1, memory: 4Gi}]"), KubeletConfig())

    assert node.allocatable().items() >= {"hugepages-2Mi": 0, "hugepages-1Gi": 0}.items()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (KubeletConfig(reserved_cpus=3), "3 CPUs are reserved of the 2"),
        (KubeletConfig(reserved_cpus=frozenset({1, 7})), "CPU 7 is reserved, but own has only"),
        (KubeletConfig(max_allowable_numa_nodes=7), "is 7: kubelet allows no less than 8"),
    ],
)
def test_kubelet_does_not_start_with_a_configuration(
    tmp_path: Path, config: KubeletConfig, message: str
) -> None:
    """What a real kubelet refuses at its start is refused, and the message says why."""
    with pytest.raises(KubeletWillNotStart, match=message):
        Node.create(load(tmp_path, "nodes: [{id: 0, cpus: 0-1, memory: 4Gi}]"), config)


def test_kubelet_does_not_start_without_memory_where_the_cpus_are(tmp_path: Path) -> None:
    """Without memory on a node with CPUs none can be reserved, which the Memory Manager needs."""
    text = "nodes: [{id: 0, cpus: 0-1}, {id: 1, memory: 8Gi}]"

    with pytest.raises(KubeletWillNotStart, match="no memory is reserved on own"):
        Node.create(load(tmp_path, text), KubeletConfig())


def test_more_numa_nodes_with_the_policy_option(tmp_path: Path) -> None:
    """`max-allowable-numa-nodes` lets kubelet start on nine NUMA nodes."""
    nodes = ", ".join(f"{{id: {n}, cpus: {n}, memory: 1Gi}}" for n in range(9))
    nine = load(tmp_path, f"nodes: [{nodes}]")

    with pytest.raises(KubeletWillNotStart, match="on at most 8"):
        Node.create(nine, KubeletConfig())
    assert Node.create(nine, KubeletConfig(max_allowable_numa_nodes=9)).numa_nodes == set(range(9))


def test_largest_machine(tmp_path: Path) -> None:
    """As many CPUs as Linux numbers at most are read, written and reserved from in seconds."""
    largest = load(tmp_path, "threads_per_core: 2\nnodes: [{id: 0, cpus: 0-8191, memory: 4Gi}]")
    before = time.process_time()

    text = dict(sysfs_tree._files(largest))
    node = Node.create(largest, KubeletConfig())

    assert text[Path("devices/system/cpu/cpu0/topology/thread_siblings_list")] == "0,4096"
    assert node is not None
    assert time.process_time() - before < 8  # comparing each CPU with all took 60 s


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found 0 documents; expected one machine"),
        ("nodes: []\n---\nnodes: []", "found 2 documents"),
        ("- a", r"found a list; expected a mapping"),
        ("nodes: []", r"nodes: found an empty list; expected at least one node with CPUs"),
        ("nodes: 3", "nodes: found 3; expected a list"),
        ("cores: 3", "cores: unknown; expected threads_per_core, nodes"),
        ("nodes: [{id: 0, cpu: 1}]", r"nodes\[0\].cpu: unknown; expected id, cpus"),
        ("nodes: [{cpus: 0-3}]", r"nodes\[0\].id: found nothing; expected a whole number"),
        ("nodes: [{id: true, cpus: 0-3}]", "id: found True; expected a whole number"),
        (
            "nodes: [{id: 1024, cpus: 0-3}]",
            "id: found 1024; expected a whole number from 0",
        ),
        ("nodes: [{id: 1}, {id: 0, cpus: 0}]", r"the ids are \[1, 0\]; expected them in ascending"),
        ("nodes: [{id: 0, cpus: 3-0}]", "cpus: held '3-0', expected ranges that ascend"),
        ("nodes: [{id: 0, cpus: 0-65535}]", "expected CPUs from 0 to 8191, the most that Linux"),
        ("nodes: [{id: 0, cpus: 8192}]", "found 8192; expected a whole number from 0 to 8191"),
        ("nodes: [{id: 0, cpus: [0]}]", r"cpus: found a list; expected text"),
        ("nodes: [{id: 0, cpus: 0-3}, {id: 1, cpus: 3}]", "CPU 3 is on the nodes 0 and 1"),
        ("nodes: [{id: 0, cpus: 0-3, memory: 4GB}]", "memory: '4GB' is not a quantity"),
        ("nodes: [{id: 0, cpus: 0-3, distances: [10, 20]}]", "expected 1 distances"),
        ("nodes: [{id: 0, cpus: 0-3, distances: [9]}]", "found 9; expected a whole number from 10"),
        ("threads_per_core: 3\nnodes: [{id: 0, cpus: 0-3}]", "expected a multiple of 3 CPUs"),
        ("threads_per_core: 0\nnodes: [{id: 0, cpus: 0-3}]", "threads_per_core: found 0"),
        ("nodes: [{id: 0, cpus: 0-3, huge_pages: {2M: 1}}]", "found size 2M; expected one such as"),
        ("nodes: [{id: 0, cpus: 0-3, huge_pages: {2Mi: x}}]", "huge_pages.2Mi: found 'x'"),
    ],
)
def test_bad_machine(tmp_path: Path, text: str, message: str) -> None:
    """The message names the file, the field, what it holds and what is allowed."""
    with pytest.raises(BadFile, match=message) as caught:
        load(tmp_path, text)

    assert str(caught.value).startswith(str(tmp_path / "own.yaml"))


def test_kernel_that_tells_no_cores(tmp_path: Path) -> None:
    """Without the files about cores and sockets, each CPU is a core and each node a socket."""
    node = tmp_path / "devices/system/node"
    (node / "node2").mkdir(parents=True)
    (node / "online").write_text("2\n")
    (node / "node2/cpulist").write_text("4-5\n")

    read = read_simulated_machine(tmp_path, "host")

    assert [(cpu.id, cpu.core, cpu.socket) for cpu in read.cpus] == [(4, 4, 2), (5, 5, 2)]


@pytest.mark.parametrize(
    ("config", "simulated", "message"),
    [
        (KubeletConfig(), machine(*[[cpu] for cpu in range(9)]), "9 NUMA nodes: .* at most 8"),
        (
            KubeletConfig(Policy.NONE),
            machine(*[[cpu] for cpu in range(17)]),
            "17 NUMA nodes: .* every set of nodes",
        ),
        (KubeletConfig(reserved_cpus=0), machine([0, 1]), "0 CPUs are reserved of the 2"),
        (KubeletConfig(reserved_cpus=3), machine([0, 1]), "3 CPUs are reserved of the 2"),
    ],
)
def test_kubelet_will_not_start(
    config: KubeletConfig, simulated: SimulatedMachine, message: str
) -> None:
    """Where a real kubelet refuses to run, so does the stand-in, and says why."""
    with pytest.raises(KubeletWillNotStart, match=message):
        Node.create(simulated, config)


def test_numa_node_beyond_the_bit_mask(tmp_path: Path) -> None:
    """A node number that does not fit kubelet's 64-bit masks is refused."""
    far = load(tmp_path, "nodes: [{id: 64, cpus: 0-3, memory: 1Gi}]")

    with pytest.raises(KubeletWillNotStart, match=r"NUMA node 64: .* 0 to 63"):
        Node.create(far, KubeletConfig())
