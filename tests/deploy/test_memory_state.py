"""The script that moves a memory_manager_state aside with which kubelet would not start."""

import shutil
from pathlib import Path

import pytest

from deploy.memory_host import AWKS, KIB, TWO_NODES, Host, Tools, recorded

BUSYBOX = ["busybox"] if shutil.which("busybox") else []
KUBELET = (
    "0000000000000000: 00000002 00000000 00010000 0001 01 21733 "
    "/var/lib/kubelet/device-plugins/kubelet.sock\n"
)


@pytest.fixture(params=[*AWKS, *BUSYBOX])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    """The machine of the state that `recorded` gives, with each awk that is installed."""
    (tmp_path / "bin").mkdir()
    return Host(tmp_path / "root", Tools.of(request.param, tmp_path / "bin")).make()


@pytest.fixture
def plain(tmp_path: Path) -> Host:
    """The same with the commands of the system."""
    return Host(tmp_path / "root").make()


def test_equal_totals_are_left_alone(host: Host) -> None:
    """Kubelet starts with the file, which stays."""
    host.remember(recorded())
    host.assert_left("its totals are those of the machine")


def test_a_page_less_is_said_and_the_file_moved(host: Host) -> None:
    """One NUMA node has another total: node, kind, both figures and the difference are named."""
    host.remember(recorded())
    host.set_memory(0, TWO_NODES[0] | {"memory": 3_029_092})
    host.assert_moved(
        "NUMA node 0, memory: recorded 3101794304 bytes, now 3101790208 bytes (-4096)"
    )


def test_more_memory_is_a_difference_too(plain: Host) -> None:
    """Kubelet asks for equality, so one KiB more counts."""
    plain.remember(recorded())
    plain.set_memory(1, TWO_NODES[1] | {"memory": TWO_NODES[1]["memory"] + 1})
    plain.assert_moved(
        "NUMA node 1, memory: recorded 3062452224 bytes, now 3062453248 bytes (+1024)"
    )


def test_huge_pages_are_compared_by_size(plain: Host) -> None:
    """Each size of each node is a kind of memory of its own."""
    plain.remember(recorded())
    plain.set_memory(0, TWO_NODES[0] | {"hugepages-2Mi": 2048})
    plain.set_memory(1, TWO_NODES[1] | {"hugepages-1Gi": 0})
    plain.assert_moved(
        "NUMA node 0, hugepages-2Mi: recorded 8388608 bytes, now 2097152 bytes (-6291456)",
        "NUMA node 1, hugepages-1Gi: recorded 1073741824 bytes, now 0 bytes (-1073741824)",
    )


@pytest.mark.parametrize(
    ("kib", "name"),
    [(64, "64Ki"), (2048, "2Mi"), (32768, "32Mi"), (524288, "512Mi"), (16777216, "16Gi")],
)
def test_kinds_of_huge_pages_are_named_as_kubernetes_does(plain: Host, kib: int, name: str) -> None:
    """With the largest unit that gives a whole number; a kind that is not recorded differs."""
    plain.remember(recorded())
    plain.write(f"sys/devices/system/node/node1/hugepages/hugepages-{kib}kB/nr_hugepages", "3\n")
    if name == "2Mi":
        size = f"recorded 0 bytes, now {3 * kib * KIB} bytes (+{3 * kib * KIB})"
    else:
        size = f"recorded nothing, now {3 * kib * KIB} bytes"
    plain.assert_moved(f"NUMA node 1, hugepages-{name}: {size}")


def test_a_node_that_is_gone_is_a_difference(host: Host) -> None:
    """All that is recorded of it is named."""
    host.remember(recorded(TWO_NODES | {2: {"memory": 1024, "hugepages-2Mi": 0}}))
    host.assert_moved(
        "NUMA node 2, hugepages-2Mi: recorded 0 bytes, now nothing",
        "NUMA node 2, memory: recorded 1048576 bytes, now nothing",
    )


def test_a_node_that_is_new_is_a_difference(plain: Host) -> None:
    """Kubelet compares the sets of nodes as well; one without meminfo has 0 bytes for it."""
    plain.remember(recorded())
    (plain.root / "sys/devices/system/node/node12").mkdir()
    plain.assert_moved("NUMA node 12, memory: recorded nothing, now 0 bytes")


def test_totals_too_large_for_a_float_are_compared_exactly(host: Host) -> None:
    """2^60 + 1024 and 2^60 + 1025 bytes differ, which they do not as floating-point numbers."""
    memory = {"memory": 2**50 + 1, "hugepages-2Mi": 0, "hugepages-1Gi": 0}
    host.set_memory(0, memory)
    state = recorded({0: memory, 1: TWO_NODES[1]})
    host.remember(state)
    host.assert_left()
    state["machineState"]["0"]["memoryMap"]["memory"]["total"] += 1
    host.remember(state)
    host.assert_moved(
        "NUMA node 0, memory: "
        "recorded 1152921504606848001 bytes, now 1152921504606848000 bytes (+0)"
    )


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"policyName": "None", "machineState": {}, "checksum": 1}, "policy None, no totals"),
        ({"policyName": "Static", "machineState": {}, "checksum": 1}, "no NUMA nodes in it yet"),
        ({"policyName": "Static", "machineState": None, "entries": {}}, "no NUMA nodes in it yet"),
    ],
)
def test_a_state_without_totals_is_left_alone(host: Host, state: object, said: str) -> None:
    """Kubelet starts with it, whatever the machine has."""
    host.remember(state)
    host.assert_left(said)


def test_assignments_without_totals_keep_kubelet_from_starting(plain: Host) -> None:
    """`machine state can not be empty when it has memory assignments`, says kubelet."""
    plain.remember(recorded({}))
    done = plain.run()
    assert "NUMA node 0, memory: recorded nothing, now 3101794304 bytes" in done.stdout
    assert len(plain.asides()) == 1


WHOLE = (
    b'{"policyName":"Static","machineState":{"0":{"memoryMap":{"memory":{"total":1}}}},'
    b'"entries":{}}'
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "it ends too early"),
        (b"\0" * 512, "no JSON: " + 51 * "?"),
        (WHOLE[:-1], "it ends too early"),
        (WHOLE[:30], "it ends too early"),
        (WHOLE + b"}", "} instead of end"),
        (WHOLE + b"\0", "no JSON: ?"),
        (WHOLE.replace(b":1}", b":01}"), "1 instead of , or end"),
        (WHOLE.replace(b":1}", b":1,}"), "} instead of key"),
        (WHOLE.replace(b":1}", b':"1"}'), "a total of 1"),
        (WHOLE.replace(b":1}", b":1.5}"), "a total of 1.5"),
        (WHOLE.replace(b"Static", b"Sta\\xtic"), "no string: Sta\\xtic"),
        (WHOLE.replace(b"Static", b"Sta\ttic"), "no string: Sta?tic"),
        (WHOLE.replace(b"{}", b"[}"), "} instead of value or end"),
        (WHOLE.replace(b"policyName", b"policy"), "no policyName"),
        (b"[]", "no policyName"),
        (b'{"policyName":"Static","machineState":[]}', "a machineState of ["),
    ],
)
def test_what_kubelet_cannot_read_is_moved(host: Host, text: bytes, why: str) -> None:
    """Kubelet does not start with such a file: it asks to delete it."""
    host.state.write_bytes(text)
    host.assert_moved(f"this is not what kubelet writes: {why}")


def test_no_file_is_nothing_to_do(host: Host) -> None:
    """Kubelet begins anew by itself; the machine is not even looked at."""
    shutil.rmtree(host.root / "sys/devices")
    done = host.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{host.state}: there is none, nothing to do\n"


@pytest.mark.parametrize(
    "files",
    [
        {"kubepods.slice/cgroup.events": "populated 1\nfrozen 0\n"},
        {"kubepods/cgroup.events": "populated 1\nfrozen 0\n"},
        {"kubelet.slice/kubelet-kubepods.slice/cgroup.events": "populated 1\nfrozen 0\n"},
        {"memory/kubepods/pod1/app/cgroup.procs": "4711\n", "cpu/kubepods/cgroup.procs": ""},
        {"pids/root/kubepods.slice/kubepods-pod1.slice/app.scope/cgroup.procs": "4711\n"},
    ],
)
def test_nothing_is_moved_while_containers_run(host: Host, files: dict[str, str]) -> None:
    """Of either cgroup driver and version, below another cgroup too: the file is theirs."""
    host.remember(recorded())
    host.set_memory(0, TWO_NODES[0] | {"memory": 1})
    for file, text in files.items():
        host.write(f"sys/fs/cgroup/{file}", text)
    host.assert_left("because containers of pods run", "NUMA node 0, memory", status=1)


def test_cgroups_without_a_process_are_no_containers(host: Host) -> None:
    """What is left of pods, or was made for pods to come, keeps nothing from being moved."""
    host.remember(recorded({}))
    host.write("sys/fs/cgroup/kubepods.slice/cgroup.events", "populated 0\nfrozen 0\n")
    host.write("sys/fs/cgroup/memory/kubepods/pod1/cgroup.procs", "")
    host.write("sys/fs/cgroup/system.slice/cgroup.events", "populated 1\nfrozen 0\n")
    assert host.run().returncode == 0
    assert not host.state.exists()


def test_nothing_is_moved_while_a_kubelet_runs(host: Host) -> None:
    """A kubelet that listens has read the file, and writes it."""
    host.remember(recorded())
    host.set_memory(0, TWO_NODES[0] | {"memory": 1})
    host.write("proc/net/unix", KUBELET)
    host.assert_left("because a kubelet runs", status=1)


def test_a_client_of_kubelet_is_no_kubelet(plain: Host) -> None:
    """Only a socket that listens counts, and only kubelet's own."""
    plain.remember(recorded({}))
    connected = KUBELET.replace("00010000 0001 01", "00000000 0001 03")
    plain.write("proc/net/unix", connected + KUBELET.replace("/kubelet.sock", "/numa-0.sock"))
    assert plain.run().returncode == 0
    assert not plain.state.exists()


def test_the_second_run_has_nothing_to_do(plain: Host) -> None:
    """Kubelet's new file, of the machine as it is, stays; the one moved aside stays as well."""
    plain.remember(recorded())
    plain.set_memory(0, TWO_NODES[0] | {"memory": 7})
    assert plain.run().returncode == 0
    assert "there is none" in plain.run().stdout
    plain.remember(recorded(TWO_NODES | {0: TWO_NODES[0] | {"memory": 7}}))
    assert "is left alone" in plain.run().stdout
    assert len(plain.asides()) == 1


def test_no_file_that_was_moved_is_overwritten_and_five_stay(host: Host) -> None:
    """Seven in a second get names of their own; the last is always among those that are kept."""
    for number in range(7):
        host.state.write_text(f"broken {number}")
        done = host.run()
        assert (done.returncode, done.stderr) == (0, "")
        kept = {(host.state.parent / name).read_text() for name in host.asides()}
        assert f"broken {number}" in kept
        assert len(kept) == min(number + 1, 5)
        assert ("deleted" in done.stdout) == (number >= 5)


def test_a_move_that_fails_is_said(plain: Host, tmp_path: Path) -> None:
    """The status tells that kubelet will not start, and the file is still there."""
    (tmp_path / "bin").mkdir()
    mv = tmp_path / "bin/mv"
    mv.write_text("#!/bin/sh\necho 'mv: read-only file system' >&2\nexit 1\n")
    mv.chmod(0o755)
    host = Host(plain.root, Tools("/bin/sh", f"{mv.parent}:{plain.tools.path}"))
    host.state.write_text("broken")
    done = host.run()
    assert (done.returncode, done.stderr) == (1, "mv: read-only file system\n")
    assert host.state.read_text() == "broken"


def test_each_root_directory_is_looked_at(plain: Host) -> None:
    """Those in KUBELET_ROOT, each by itself."""
    roots = [plain.root / name for name in ("kubelet", "none", "other")]
    roots[2].mkdir()
    plain.remember(recorded())
    (roots[2] / "memory_manager_state").write_text("broken")
    done = plain.run(KUBELET_ROOT=" ".join(map(str, roots)))
    assert done.returncode == 0
    assert f"{roots[0]}/memory_manager_state is left alone" in done.stdout
    assert f"{roots[1]}/memory_manager_state: there is none" in done.stdout
    assert f"{roots[2]}/memory_manager_state is now" in done.stdout


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("sys/devices", "sys/devices/system/node has no NUMA node to compare with"),
        ("sys/devices/system/node/node0/meminfo", "no line like 'Node 0 MemTotal: 16384 kB'"),
        ("sys/devices/system/node/node0/hugepages/hugepages-2048kB", "cannot be read"),
        ("sys/fs", "sys/fs/cgroup is missing: do containers run?"),
        ("proc", "proc/net/unix cannot be read: does a kubelet run?"),
    ],
)
def test_what_cannot_be_found_out_is_no_reason_to_move(host: Host, broken: str, said: str) -> None:
    """Status 2, what is missing is named, and the file stays."""
    host.remember(recorded({}))
    path = host.root / broken
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.write_text("")
    if path.name == "hugepages-2048kB":
        path.mkdir()
    done = host.run()
    assert done.returncode == 2
    assert said in done.stderr
    assert host.state.exists()


def test_an_unknown_option_is_named() -> None:
    """Status 2, and what is allowed."""
    done = Host(Path("/nowhere")).run("--boot")
    assert done.returncode == 2
    assert "--boot is no option; allowed are --sysfs DIR, --proc DIR" in done.stderr
