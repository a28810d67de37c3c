"""What the benchmarks measure with: synthetic machines, and the kernel's figures of a process."""

import os
import sys
import time
from pathlib import Path

from benchmarks.machine import write_sysfs
from benchmarks.scenarios import BRIEF, FULL, TARGETS, scenarios
from benchmarks.subject import Process, Subject

from numa_trio.topology.sysfs import read_machine


def test_the_agent_reads_the_synthetic_machine(tmp_path: Path) -> None:
    """Every node has CPUs and memory, so both plugins advertise all of them."""
    write_sysfs(tmp_path, 64)
    nodes = read_machine(tmp_path).nodes
    assert [node.id for node in nodes] == list(range(64))
    assert all(node.has_cpus and node.has_memory for node in nodes)


def test_cpu_time_grows_while_a_process_computes() -> None:
    """A tick is 10 ms; what took 2 ms is seen."""
    process = Process(os.getpid())
    before = process.cpu_seconds()
    busy_until = time.process_time() + 0.002
    while time.process_time() < busy_until:
        pass
    assert process.cpu_seconds() - before >= 0.002


def test_memory_is_in_bytes_and_ordered() -> None:
    """Shared pages count in part, and the peak is no less than what is resident."""
    memory = Process(os.getpid()).memory()
    assert 1024**2 < memory.proportional <= memory.resident
    assert memory.peak > 1024**2


def test_a_sleep_is_a_voluntary_switch() -> None:
    """What wakes an idle process is counted."""
    process = Process(os.getpid())
    before = process.voluntary_switches()
    time.sleep(0.001)
    assert process.voluntary_switches() > before


def test_a_subject_gets_its_environment_and_no_other(tmp_path: Path) -> None:
    """A NUMA_ variable of the person who measures does not reach what is measured."""
    program = "import os, signal; print(sorted(os.environ), flush=True); signal.pause()"
    stopping = "import signal, sys; signal.signal(15, lambda *_: sys.exit()); "
    log = tmp_path / "log"
    with Subject("env", (sys.executable, "-c", stopping + program)).running({"NUMA_X": "1"}, log):
        while not log.read_text():
            time.sleep(0.001)
    assert "NUMA_X" in log.read_text()
    assert "HOME" not in log.read_text()


def test_every_scenario_has_a_name_of_its_own() -> None:
    """`--only` can choose each."""
    for load in (BRIEF, FULL):
        names = [scenario.name for scenario in scenarios(load)]
        assert len(names) == len(set(names))


def test_the_full_run_restarts_kubelet_as_often_as_promised() -> None:
    """At least 50 restarts on each machine, and 1,000 to look for losses."""
    totals = {nodes: FULL.rounds * restarts for nodes, restarts in FULL.restarts.items()}
    assert set(totals) == {1, 2, 8, 64}
    assert min(totals.values()) >= 50
    assert max(totals.values()) >= 1000
    assert all(f"{nodes} nodes" in {case for _, case in TARGETS} for nodes in (2, 8, 64))
