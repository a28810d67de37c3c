"""A thousand kubelet restarts and a hundred thousand Allocates: nothing lost, nothing grows.

`just soak` runs it; its figures are in docs/reliability.md.
"""

import urllib.request
from pathlib import Path

import pytest
from attrs import frozen
from prometheus_client.parser import text_string_to_metric_families

from agent_process import AgentProcess
from grpcio_kubelet import GrpcioKubelet
from numa_trio.simulator.sysfs_tree import write_sysfs
from simulated import machine

RESTARTS = 1_000
ALLOCATES_A_RESTART = 100
SETTLED = 100  # restarts until caches are full

# The allocator's pages come and go; a leak of one connection a restart would take far more.
MEMORY_TOLERANCE = 1 << 20
DESCRIPTOR_TOLERANCE = 2  # connections on their way out
TASK_TOLERANCE = 6


@frozen
class Footprint:
    """What the agent holds: descriptors, Trio tasks, and resident memory in bytes."""

    descriptors: int
    tasks: int
    resident: int


def footprint(agent: AgentProcess) -> Footprint:
    address = agent.wait_for_log("HTTP on ")["message"].removeprefix("HTTP on ")
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        values = {sample.name: sample.value for family in families for sample in family.samples}
    return Footprint(
        agent.descriptors(),
        int(values["numa_trio_tasks"]),
        int(values["process_resident_memory_bytes"]),
    )


@pytest.mark.soak
def test_nothing_is_lost_and_nothing_grows(tmp_path: Path) -> None:
    """Every restart brings every resource back; descriptors, tasks and memory stay flat."""
    write_sysfs(tmp_path / "sys", machine((0, 1), (2, 3)))
    (tmp_path / "plugins").mkdir()
    kubelet = GrpcioKubelet(tmp_path / "plugins")
    expected = {"numa-align/numa-0": 100, "numa-align/numa-1": 100}
    history: dict[int, Footprint] = {}
    settings = {"NUMA_SYSFS_ROOT": str(tmp_path / "sys"), "NUMA_HTTP_ADDR": "127.0.0.1:0"}
    with AgentProcess(kubelet.directory, **settings) as agent:
        for restart in range(RESTARTS + 1):
            kubelet.start()
            kubelet.wait_allocatable(expected)
            for number in range(ALLOCATES_A_RESTART):
                node = number % 2
                answer = kubelet.plugins[f"numa-align/numa-{node}"].allocate(
                    [f"numa-{node}-{number}"]
                )
                assert dict(answer.container_responses[0].envs) == {"NUMA_NODE": str(node)}
            if restart % SETTLED == 0:
                history[restart] = footprint(agent)
                print(restart, history[restart])
            kubelet.stop()
        assert agent.terminate() == 0
    settled = history[SETTLED]
    for restart, later in history.items():
        if restart > SETTLED:
            assert later.descriptors <= settled.descriptors + DESCRIPTOR_TOLERANCE, history
            assert later.tasks <= settled.tasks + TASK_TOLERANCE, history
            assert later.resident <= settled.resident + MEMORY_TOLERANCE, history
