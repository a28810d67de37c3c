"""Which CPUs are a core, and which cores a socket, from files that may be missing or broken."""

from pathlib import Path

import pytest

from numa_trio.topology.cores import MOST_CPUS, Core, Cores, read_cores


def write(root: Path, cpu: int, **files: str) -> None:
    folder = root / f"devices/system/cpu/cpu{cpu}/topology"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def test_reads_threads_and_sockets(tmp_path: Path) -> None:
    """The files of one thread tell those of all."""
    write(tmp_path, 0, core_cpus_list="0,2\n", physical_package_id="0\n")
    write(tmp_path, 1, core_cpus_list="1,3\n", physical_package_id="1\n")
    cores = read_cores(tmp_path, frozenset(range(4)))
    assert cores.of(frozenset({0, 2, 3})) == (Core((0, 2), 0), Core((1, 3), 1))
    assert cores.sockets(frozenset({0, 2})) == (0,)
    assert cores.sockets(frozenset(range(4))) == (0, 1)


def test_older_kernels_have_another_name(tmp_path: Path) -> None:
    """Before Linux 5.3 the threads are in thread_siblings_list."""
    write(tmp_path, 0, thread_siblings_list="0-1\n", physical_package_id="0\n")
    assert read_cores(tmp_path, frozenset({0, 1})).of(frozenset({1})) == (Core((0, 1), 0),)


def test_threads_that_are_offline_are_left_out(tmp_path: Path) -> None:
    """A core consists of the CPUs that were asked about."""
    write(tmp_path, 0, core_cpus_list="0,9\n", physical_package_id="0\n")
    assert read_cores(tmp_path, frozenset({0})).of(frozenset({0})) == (Core((0,), 0),)


@pytest.mark.parametrize("text", ["", "-1\n", "zero", "\xff", "5\n"])
def test_what_tells_nothing_is_unknown(tmp_path: Path, text: str) -> None:
    """Of a CPU whose file is broken or has others only, nothing is known, nor of its node."""
    write(tmp_path, 0, core_cpus_list=text, physical_package_id="0")
    write(tmp_path, 1, core_cpus_list="1", physical_package_id="0")
    cores = read_cores(tmp_path, frozenset({0, 1}))
    assert cores.of(frozenset({0, 1})) == ()
    assert cores.sockets(frozenset({0, 1})) == ()
    assert cores.of(frozenset({1})) == (Core((1,), 0),)


@pytest.mark.parametrize("text", ["-1\n", None])
def test_a_core_may_have_no_socket(tmp_path: Path, text: str | None) -> None:
    """Then the socket of its node is unknown, and its threads are not."""
    files = {"core_cpus_list": "0-1"} | ({} if text is None else {"physical_package_id": text})
    write(tmp_path, 0, **files)
    cores = read_cores(tmp_path, frozenset({0, 1}))
    assert cores.of(frozenset({0, 1})) == (Core((0, 1), None),)
    assert cores.sockets(frozenset({0, 1})) == ()


def test_neither_missing_nor_too_many_cpus_are_read(tmp_path: Path) -> None:
    """The page draws so many CPUs only, and reading the files of more would take too long."""
    assert read_cores(tmp_path, frozenset({0})) == Cores()
    write(tmp_path, 0, core_cpus_list="0", physical_package_id="0")
    assert read_cores(tmp_path, frozenset(range(MOST_CPUS))).by_cpu.keys() == {0}
    assert read_cores(tmp_path, frozenset(range(MOST_CPUS + 1))) == Cores()
