"""The agent's HTTP from outside, as a person or a probe sees it, beside a grpcio kubelet."""

import re
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent_process import PATIENCE, AgentProcess, prompt_end
from grpcio_kubelet import GrpcioKubelet
from numa_trio.simulator.sysfs_tree import write_sysfs
from simulated import machine

EVERYTHING = {"numa-align/numa-0": 100, "numa-align/numa-1": 100}


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[GrpcioKubelet]:
    (tmp_path / "plugins").mkdir()
    kubelet = GrpcioKubelet(tmp_path / "plugins")
    yield kubelet
    kubelet.stop()


@pytest.fixture
def agent(tmp_path: Path, kubelet: GrpcioKubelet) -> Iterator[AgentProcess]:
    write_sysfs(tmp_path / "sys", machine((0, 1), (2, 3)))
    with AgentProcess(
        kubelet.directory, NUMA_SYSFS_ROOT=str(tmp_path / "sys"), NUMA_HTTP_ADDR="127.0.0.1:0"
    ) as agent:
        yield agent


def port_of(agent: AgentProcess) -> int:
    found = re.search(r":(\d+)$", agent.wait_for_log("HTTP on")["message"])
    assert found
    return int(found[1])


def get(agent: AgentProcess, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port_of(agent)}{path}", timeout=PATIENCE
        ) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as answer:
        with answer:
            return answer.code, answer.read().decode()


def wait_for(agent: AgentProcess, path: str, status: int) -> str:
    deadline = time.monotonic() + PATIENCE
    while True:
        found, text = get(agent, path)
        if found == status:
            return text
        assert time.monotonic() < deadline, f"{path} never answers {status}: {text}"
        time.sleep(0.02)


def samples(agent: AgentProcess) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels."""
    _status, text = get(agent, "/metrics")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_shows_fault_and_recovery_as_they_happen(
    agent: AgentProcess, kubelet: GrpcioKubelet
) -> None:
    """No kubelet, a kubelet, a dead one, a new one: /readyz and /metrics tell each."""
    text = wait_for(agent, "/readyz", 503)
    assert "kubelet.sock does not exist yet" in text
    kubelet.start()
    kubelet.wait_allocatable(EVERYTHING)
    text = wait_for(agent, "/readyz", 200)
    assert "numa-align/numa-1: streaming since 20" in text
    plugin = kubelet.plugins["numa-align/numa-0"]
    plugin.allocate(["numa-0-1"], ["numa-0-2", "numa-0-3"])
    kubelet.stop()
    text = wait_for(agent, "/readyz", 503)
    assert "not streaming since 20" in text
    kubelet.start()
    kubelet.wait_allocatable(EVERYTHING)
    wait_for(agent, "/readyz", 200)
    found = samples(agent)
    assert found["numa_trio_ready",] == 1
    assert found["numa_trio_kubelet_generations_total",] == 2
    assert found["numa_trio_streaming_delay_seconds_count",] == 4
    assert found["numa_trio_allocations_total", "numa-align/numa-0"] == 2
    assert found["numa_trio_allocations_total", "numa-align/numa-1"] == 0
    for resource in EVERYTHING:
        assert found["numa_trio_registrations_total", resource, "accepted"] == 2
        assert found["numa_trio_reregistrations_total", resource, "new_generation"] == 1
        assert found["numa_trio_resource_phase", resource, "streaming"] == 1


def test_the_other_paths(agent: AgentProcess) -> None:
    """The process lives, and draws its machine."""
    assert get(agent, "/livez")[0] == 200
    status, page = get(agent, "/")
    assert status == 200
    assert "Node 1" in page
    assert get(agent, "/favicon.ico")[0] == 404


def test_sigterm_with_clients_connected(agent: AgentProcess, kubelet: GrpcioKubelet) -> None:
    """Clients that hold HTTP connections do not delay the end, nor does kubelet's stream."""
    kubelet.start()
    kubelet.wait_allocatable(EVERYTHING)
    address = ("127.0.0.1", port_of(agent))
    clients = [socket.create_connection(address, PATIENCE) for _ in range(10)]
    try:
        assert get(agent, "/livez")[0] == 200  # so that the others have been accepted too
        began = time.monotonic()
        assert agent.terminate() == 0
        assert time.monotonic() - began < prompt_end()
        assert list(kubelet.directory.glob("numa-*")) == []
    finally:
        for client in clients:
            client.close()


def test_a_taken_port_takes_nothing_else(
    tmp_path: Path, agent: AgentProcess, kubelet: GrpcioKubelet
) -> None:
    """An agent whose port is taken serves kubelet all the same."""
    (tmp_path / "others").mkdir()
    other = GrpcioKubelet(tmp_path / "others")
    other.start()
    try:
        with AgentProcess(
            other.directory,
            NUMA_SYSFS_ROOT=str(tmp_path / "sys"),
            NUMA_HTTP_ADDR=f"127.0.0.1:{port_of(agent)}",
        ) as second:
            other.wait_allocatable(EVERYTHING)
            assert "Address already in use" in second.wait_for_log("No HTTP on")["message"]
            assert second.terminate() == 0
    finally:
        other.stop()
