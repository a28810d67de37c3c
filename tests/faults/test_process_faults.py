"""The agent as a process: signals, descriptors, and being killed, beside a grpcio kubelet.

Every test is a row of the fault matrix in docs/reliability.md.
"""

import resource
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trio

from agent_process import PATIENCE, AgentProcess, prompt_end
from fault_rig import RESOURCES, open_rig
from grpcio_kubelet import GrpcioKubelet, dead_socket
from numa_trio.simulator.sysfs_tree import write_sysfs
from simulated import machine

EVERYTHING = {"numa-align/numa-0": 100, "numa-align/numa-1": 100}


@pytest.fixture
def sysfs(tmp_path: Path) -> str:
    write_sysfs(tmp_path / "sys", machine((0, 1), (2, 3)))
    return str(tmp_path / "sys")


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[GrpcioKubelet]:
    (tmp_path / "plugins").mkdir()
    kubelet = GrpcioKubelet(tmp_path / "plugins")
    yield kubelet
    kubelet.stop()


class HangingKubelet(GrpcioKubelet):
    """Takes a registration and refuses it only when it is released."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.asked = threading.Event()
        self.released = threading.Event()

    def _register(self, request: Any, context: Any) -> Any:
        self.asked.set()
        self.released.wait(timeout=60)
        context.abort(grpc.StatusCode.UNAVAILABLE, "released")


def terminate_within_two_seconds(agent: AgentProcess, number: int = signal.SIGTERM) -> None:
    began = time.monotonic()
    assert agent.terminate(number) == 0
    assert time.monotonic() - began < prompt_end()


STATES = ["no directory", "no kubelet", "dead kubelet", "registering", "no stream", "streaming"]


@pytest.mark.parametrize(
    ("state", "number"),
    [*((state, signal.SIGTERM) for state in STATES), ("streaming", signal.SIGINT)],
)
def test_sigterm_in_every_state(
    tmp_path: Path, sysfs: str, kubelet: GrpcioKubelet, state: str, number: int
) -> None:
    """Exit status 0 within two seconds, and no socket is left."""
    directory = kubelet.directory
    hanging = HangingKubelet(directory)
    match state:
        case "no directory":
            directory.rmdir()
        case "dead kubelet":
            dead_socket(kubelet.socket)
        case "registering":
            hanging.start()
        case "no stream":
            kubelet.opens_streams = False
            kubelet.start()
        case "streaming":
            kubelet.start()
    with AgentProcess(directory, NUMA_SYSFS_ROOT=sysfs) as agent:
        match state:
            case "no directory" | "no kubelet":
                agent.wait_for_log("does not exist yet")
            case "dead kubelet":
                agent.wait_for_log("Connection refused")
            case "registering":
                assert hanging.asked.wait(timeout=60)
            case "no stream":
                kubelet.wait_for(lambda: len(kubelet.registrations) == 2, "two registrations")
            case "streaming":
                kubelet.wait_allocatable(EVERYTHING)
        terminate_within_two_seconds(agent, number)
    assert list(tmp_path.rglob("numa-*.sock")) == []
    hanging.released.set()
    hanging.stop()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_signals_in_a_row(sysfs: str, kubelet: GrpcioKubelet, second: int) -> None:
    """What comes after the first does not end the agent in the middle of its end."""
    kubelet.start()
    with AgentProcess(kubelet.directory, NUMA_SYSFS_ROOT=sysfs) as agent:
        kubelet.wait_allocatable(EVERYTHING)
        agent.process.send_signal(signal.SIGTERM)
        agent.wait_for_log("SIGTERM: stopping")
        agent.process.send_signal(second)
        assert agent.terminate(second) == 0
        assert "Traceback" not in "".join(agent.messages())
    assert list(kubelet.directory.glob("numa-*")) == []


def test_sigkill_and_start_again(sysfs: str, kubelet: GrpcioKubelet) -> None:
    """What a killed agent left behind keeps the next one from nothing."""
    kubelet.start()
    for _ in range(3):
        with AgentProcess(kubelet.directory, NUMA_SYSFS_ROOT=sysfs) as agent:
            kubelet.wait_allocatable(EVERYTHING)
            agent.terminate(signal.SIGKILL)
        kubelet.wait_allocatable({})
        assert len(list(kubelet.directory.glob("numa-*.sock"))) == 2


async def test_newer_instance_killed(tmp_path: Path) -> None:
    """Its sockets stay behind and nothing happens in the directory: the older one notices."""
    async with open_rig(tmp_path) as rig:
        await rig.kubelet.start()
        await rig.start_agent()
        await rig.everything_allocatable(within=PATIENCE)
        settings = {"NUMA_SYSFS_ROOT": str(rig.sysfs), "NUMA_CAPACITY": "9"}
        with AgentProcess(rig.directory, NUMA_INSTANCE="new", **settings) as newer:
            with trio.fail_after(PATIENCE):
                for name in RESOURCES:
                    await rig.kubelet.wait_allocatable(name, 9)
            newer.process.kill()
            await rig.everything_allocatable(within=PATIENCE)
        assert len(list(rig.directory.glob("numa-?-new.sock"))) == len(RESOURCES)


def test_out_of_file_descriptors(sysfs: str, kubelet: GrpcioKubelet) -> None:
    """None is left while kubelet restarts; it goes on as soon as there are some again."""
    kubelet.start()
    with AgentProcess(kubelet.directory, NUMA_SYSFS_ROOT=sysfs) as agent:
        kubelet.wait_allocatable(EVERYTHING)
        kubelet.stop()
        limits = resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (5, limits[1]))
        kubelet.start()
        agent.wait_for_log("Too many open files")
        assert agent.process.poll() is None
        resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, limits)
        kubelet.wait_allocatable(EVERYTHING)
        terminate_within_two_seconds(agent)


def test_killed_in_a_restart_storm_of_its_own(sysfs: str, kubelet: GrpcioKubelet) -> None:
    """An agent that starts while kubelet keeps restarting ends up registered."""
    kubelet.start()
    with AgentProcess(kubelet.directory, NUMA_SYSFS_ROOT=sysfs) as agent:
        for _ in range(10):
            kubelet.stop()
            kubelet.start()
        kubelet.wait_allocatable(EVERYTHING)
        assert agent.process.poll() is None
