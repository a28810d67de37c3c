"""The agent, as a process of its own, beside a kubelet of the official grpcio."""

import os
import re
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from agent_process import AgentProcess, prompt_end
from grpcio_kubelet import (
    DevicePluginOptions,
    Empty,
    GrpcioKubelet,
    PreferredAllocationRequest,
    PreferredAllocationResponse,
    PreStartContainerRequest,
    PreStartContainerResponse,
    dead_socket,
)
from numa_trio.plugin.advertising import CpulessNodes, advertise
from numa_trio.simulator.sysfs_tree import write_sysfs
from numa_trio.topology.sysfs import read_machine
from simulated import machine


def real_nodes() -> list[int]:
    machine = read_machine(Path("/sys"))
    return [one.node.id for one in advertise(machine, CpulessNodes.SKIP) if one.advertised]


EVERY_NODE = {f"numa-align/numa-{node}": 100 for node in real_nodes()}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def kubelet(directory: Path) -> Iterator[GrpcioKubelet]:
    kubelet = GrpcioKubelet(directory)
    yield kubelet
    kubelet.stop()


def two_node_sysfs(root: Path) -> Path:
    """A machine with nodes 0 and 1, of two CPUs each."""
    write_sysfs(root, machine((0, 1), (2, 3)))
    return root


def test_registers_every_node_of_the_real_machine(directory: Path, kubelet: GrpcioKubelet) -> None:
    """Each node of /sys becomes a resource of 100 healthy slots with its TopologyInfo."""
    kubelet.start()
    with AgentProcess(directory) as agent:
        kubelet.wait_allocatable(EVERY_NODE)
        for name, plugin in kubelet.plugins.items():
            node = int(name.rpartition("-")[2])
            assert plugin.devices is not None
            assert [one.ID for one in plugin.devices] == [f"numa-{node}-{i}" for i in range(100)]
            assert {tuple(at.ID for at in one.topology.nodes) for one in plugin.devices} == {
                (node,)
            }
        discovered = agent.wait_for_log("Discovered")
        assert discovered["nodes"] == [node.id for node in read_machine(Path("/sys")).nodes]


def test_sockets_are_of_root_alone_and_have_the_promised_names(
    directory: Path, kubelet: GrpcioKubelet
) -> None:
    """`numa-<N>.sock`, mode 0600."""
    kubelet.start()
    with AgentProcess(directory, NUMA_SYSFS_ROOT=str(two_node_sysfs(directory / "sys"))):
        kubelet.wait_allocatable({"numa-align/numa-0": 100, "numa-align/numa-1": 100})
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.glob("numa-*")}
    assert modes == {"numa-0.sock": 0o600, "numa-1.sock": 0o600}


def test_every_setting_of_the_offer_is_honoured(directory: Path, kubelet: GrpcioKubelet) -> None:
    """Capacity, domain and instance show in what kubelet sees."""
    kubelet.start()
    sysfs = two_node_sysfs(directory / "sys")
    with AgentProcess(
        directory,
        NUMA_SYSFS_ROOT=str(sysfs),
        NUMA_CAPACITY="7",
        NUMA_RESOURCE_DOMAIN="example.com",
        NUMA_INSTANCE="a1b2",
    ):
        kubelet.wait_allocatable({"example.com/numa-0": 7, "example.com/numa-1": 7})
        assert sorted(path.name for path in directory.glob("numa-*")) == [
            "numa-0-a1b2.sock",
            "numa-1-a1b2.sock",
        ]


def test_answers_every_call_of_the_api(directory: Path, kubelet: GrpcioKubelet) -> None:
    """Allocate gives NUMA_NODE per container; options, preference and pre-start are answered."""
    kubelet.start()
    with AgentProcess(directory, NUMA_SYSFS_ROOT=str(two_node_sysfs(directory / "sys"))):
        kubelet.wait_allocatable({"numa-align/numa-0": 100, "numa-align/numa-1": 100})
        plugin = kubelet.plugins["numa-align/numa-1"]
        answer = plugin.allocate(["numa-1-3"], ["numa-1-0", "numa-1-99"])
        assert [dict(one.envs) for one in answer.container_responses] == [{"NUMA_NODE": "1"}] * 2
        options = plugin.call("GetDevicePluginOptions", Empty(), DevicePluginOptions)
        assert not options.pre_start_required
        assert not options.get_preferred_allocation_available
        preferred = plugin.call(
            "GetPreferredAllocation",
            PreferredAllocationRequest(
                container_requests=[
                    {
                        "available_deviceIDs": ["numa-1-10", "numa-1-9", "numa-1-40"],
                        "must_include_deviceIDs": ["numa-1-40"],
                        "allocation_size": 2,
                    }
                ]
            ),
            PreferredAllocationResponse,
        )
        chosen = [list(one.deviceIDs) for one in preferred.container_responses]
        assert chosen == [["numa-1-40", "numa-1-9"]]
        plugin.call(
            "PreStartContainer",
            PreStartContainerRequest(devices_ids=["numa-1-3"]),
            PreStartContainerResponse,
        )


@pytest.mark.parametrize("device_ids", [["numa-1-100"], ["numa-0-1"], []])
def test_allocate_of_what_is_not_ours_is_an_invalid_argument(
    directory: Path, kubelet: GrpcioKubelet, device_ids: list[str]
) -> None:
    """An unknown id, an id of another resource, and no id at all are refused by name."""
    kubelet.start()
    with AgentProcess(directory, NUMA_SYSFS_ROOT=str(two_node_sysfs(directory / "sys"))):
        kubelet.wait_allocatable({"numa-align/numa-0": 100, "numa-align/numa-1": 100})
        with pytest.raises(grpc.RpcError) as refused:
            kubelet.plugins["numa-align/numa-1"].allocate(device_ids)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (device_ids or ["numa-align/numa-1"])[0] in refused.value.details()


@pytest.mark.parametrize("wipe", [True, False])
def test_reregisters_when_kubelet_restarts(
    directory: Path, kubelet: GrpcioKubelet, wipe: bool
) -> None:
    """A new kubelet.sock, with or without our sockets deleted, gets every resource again."""
    kubelet.start()
    with AgentProcess(directory):
        kubelet.wait_allocatable(EVERY_NODE)
        kubelet.stop()
        kubelet.start(wipe=wipe)
        kubelet.wait_allocatable(EVERY_NODE)


def test_waits_out_a_dead_kubelet_socket(directory: Path, kubelet: GrpcioKubelet) -> None:
    """A dead kubelet.sock at the start is no end: the resources come with kubelet, at once."""
    dead_socket(directory / "kubelet.sock")
    with AgentProcess(directory) as agent:
        agent.wait_for_log("Connection refused")
        kubelet.start()
        started = time.monotonic()
        kubelet.wait_allocatable(EVERY_NODE)
        assert time.monotonic() - started < 5.0  # less than the longest backoff


def test_waits_for_the_directory_and_for_kubelet(tmp_path: Path) -> None:
    """The directory need not exist, nor its parent."""
    directory = tmp_path / "kubelet" / "device-plugins"
    with AgentProcess(directory) as agent:
        agent.wait_for_log("does not exist yet")
        directory.mkdir(parents=True)
        kubelet = GrpcioKubelet(directory)
        kubelet.start()
        try:
            kubelet.wait_allocatable(EVERY_NODE)
        finally:
            kubelet.stop()


def test_tries_again_when_registration_is_refused(directory: Path, kubelet: GrpcioKubelet) -> None:
    """A refusal is logged with kubelet's reason, once, and the next try counts."""
    kubelet.refusal = "not today"
    kubelet.start()
    with AgentProcess(directory) as agent:
        agent.wait_for_log("not today")
        kubelet.refusal = None
        kubelet.wait_allocatable(EVERY_NODE)
        assert sum("not today" in message for message in agent.messages()) == len(EVERY_NODE)


def test_twenty_restarts_lose_nothing_and_leak_no_descriptor(
    directory: Path, kubelet: GrpcioKubelet
) -> None:
    """After each restart in a row every resource is back, with as many descriptors open."""
    sysfs = two_node_sysfs(directory / "sys")
    expected = {"numa-align/numa-0": 100, "numa-align/numa-1": 100}
    kubelet.start()
    with AgentProcess(directory, NUMA_SYSFS_ROOT=str(sysfs)) as agent:
        kubelet.wait_allocatable(expected)
        before = agent.descriptors()
        for _ in range(20):
            kubelet.stop()
            kubelet.start()
            kubelet.wait_allocatable(expected)
        assert agent.descriptors() <= before + 2  # a connection may be on its way out
        assert not [one for one in agent.log if one.get("level") == "error"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_cleanly_within_two_seconds_while_kubelet_is_connected(
    directory: Path, kubelet: GrpcioKubelet, number: signal.Signals
) -> None:
    """The stream ends without an error, the sockets go, and the exit status is 0."""
    kubelet.opens_streams = True
    kubelet.start()
    with AgentProcess(directory) as agent:
        kubelet.wait_allocatable(EVERY_NODE)
        streams = [plugin.stream for plugin in kubelet.plugins.values()]
        started = time.monotonic()
        assert agent.terminate(number) == 0
        assert time.monotonic() - started < prompt_end()
        assert {stream.code() for stream in streams} == {grpc.StatusCode.OK}
    assert list(directory.glob("numa-*")) == []


def test_ends_cleanly_while_it_waits_for_kubelet(directory: Path) -> None:
    """SIGTERM without any kubelet."""
    with AgentProcess(directory) as agent:
        agent.wait_for_log("Waiting for kubelet")
        assert agent.terminate() == 0


def test_replaces_a_stale_socket(directory: Path, kubelet: GrpcioKubelet) -> None:
    """What a killed agent left behind is no hindrance."""
    kubelet.start()
    with AgentProcess(directory) as killed:
        kubelet.wait_allocatable(EVERY_NODE)
        killed.terminate(signal.SIGKILL)
    assert list(directory.glob("numa-*.sock"))
    kubelet.wait_allocatable({})
    with AgentProcess(directory):
        kubelet.wait_allocatable(EVERY_NODE)


def test_does_not_take_a_socket_over_from_a_live_process(
    directory: Path, kubelet: GrpcioKubelet
) -> None:
    """It names the process and waits; when that has ended, the resource is served."""
    name = f"numa-{real_nodes()[0]}.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(directory / name))
        other.listen()
        inode = (directory / name).stat().st_ino
        kubelet.start(wipe=False)
        with AgentProcess(directory) as agent:
            line = agent.wait_for_log("listens on")
            assert re.search(rf"process {os.getpid()} listens on .*{name}", line["message"])
            assert (directory / name).stat().st_ino == inode
            other.close()
            kubelet.wait_allocatable(EVERY_NODE)


def test_a_malformed_frame_ends_only_the_connection_that_sent_it(
    directory: Path, kubelet: GrpcioKubelet
) -> None:
    """Kubelet's stream on the same socket goes on, and so does Allocate."""
    node = real_nodes()[0]
    kubelet.start()
    with AgentProcess(directory) as agent:
        kubelet.wait_allocatable(EVERY_NODE)
        with socket.socket(socket.AF_UNIX) as bad:
            bad.settimeout(30)
            bad.connect(str(directory / f"numa-{node}.sock"))
            bad.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x04\x99\x00" + b"\0" * 8)
            while bad.recv(65536):
                pass
        agent.wait_for_log("Dropped a connection")
        plugin = kubelet.plugins[f"numa-align/numa-{node}"]
        answer = plugin.allocate([f"numa-{node}-0"])
        assert dict(answer.container_responses[0].envs) == {"NUMA_NODE": str(node)}
        assert kubelet.registrations == list(dict.fromkeys(kubelet.registrations))
        assert kubelet.allocatable() == EVERY_NODE
