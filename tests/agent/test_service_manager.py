"""What systemd hears of the agent, on a real datagram socket."""

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from agent.kubelet_fakes import advertise
from agent_process import AgentProcess
from fault_rig import AT_ONCE, open_rig
from numa_trio.agent.advertised import AdvertisedResources
from numa_trio.agent.service_manager import ServiceManager

PATIENCE = 60.0  # seconds


class Listener:
    """The end of the socket that systemd has."""

    def __init__(self, address: str) -> None:
        self.variables = {"NOTIFY_SOCKET": address.replace("\0", "@")}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)

    def heard(self) -> list[str]:
        """The messages that are there."""
        messages = []
        self.socket.setblocking(False)
        while True:
            try:
                messages.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def next(self) -> str:
        self.socket.settimeout(PATIENCE)
        return self.socket.recv(4096).decode()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(str(tmp_path / "notify"))
    with listener.socket:
        yield listener


def manager_of(variables: dict[str, str]) -> ServiceManager:
    manager = ServiceManager.of(variables)
    assert manager is not None
    return manager


def status(streaming: int, of: int) -> str:
    return f"STATUS=kubelet holds the stream of {streaming} of {of} resources"


async def test_ready_before_kubelet_is_there(
    tmp_path: Path, systemd: Listener, autojump_clock: MockClock
) -> None:
    """And then, in words, how many resources kubelet watches, each time that changes."""
    async with open_rig(tmp_path) as rig:
        await rig.start_agent(manager=manager_of(systemd.variables))
        await trio.sleep(5)
        assert systemd.heard() == ["READY=1", status(0, 2)]
        await rig.kubelet.start()
        await rig.everything_allocatable(within=AT_ONCE)
        await trio.sleep(1)
        assert systemd.heard()[-1] == status(2, 2)
        await rig.kubelet.stop()
        await trio.sleep(1)
        assert systemd.heard()[-1] == status(0, 2)
        await trio.sleep(3600)
        assert systemd.heard() == []


async def test_watchdog_is_fed_twice_in_its_time(
    systemd: Listener, autojump_clock: MockClock
) -> None:
    """By the event loop, so that it goes hungry as soon as that hangs."""
    variables = systemd.variables | {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(manager_of(variables).follow, AdvertisedResources())
        fed = 0
        for _ in range(10):
            await trio.sleep(59.9)
            fed += systemd.heard().count("WATCHDOG=1")
        nursery.cancel_scope.cancel()
    assert fed == 20


@pytest.mark.parametrize(
    "variables",
    [{}, {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": ""}],
    ids=["not asked for", "meant for another process", "empty"],
)
def test_no_watchdog(
    systemd: Listener, variables: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Then nothing is fed, and nothing is wrong."""
    assert manager_of(systemd.variables | variables).watchdog is None
    assert caplog.text == ""


@pytest.mark.parametrize("text", ["soon", "-1", "0", "99999", "1e9"])
def test_watchdog_that_cannot_be_meant(
    systemd: Listener, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named, and the agent runs."""
    assert manager_of(systemd.variables | {"WATCHDOG_USEC": text}).watchdog is None
    assert f"WATCHDOG_USEC={text!r}: expected a number of microseconds" in caplog.text


def test_without_a_service_manager(caplog: pytest.LogCaptureFixture) -> None:
    """In a container there is none."""
    assert ServiceManager.of({}) is None
    assert ServiceManager.of({"NOTIFY_SOCKET": ""}) is None
    assert caplog.text == ""


def test_socket_of_a_kind_that_systemd_does_not_make(caplog: pytest.LogCaptureFixture) -> None:
    """It is named, and the agent runs."""
    assert ServiceManager.of({"NOTIFY_SOCKET": "vsock:2:1234"}) is None
    assert "NOTIFY_SOCKET='vsock:2:1234': expected an absolute path" in caplog.text


def test_abstract_socket() -> None:
    """Systemd writes its leading NUL as @."""
    listener = Listener(f"\0numa-trio-{os.getpid()}")
    with listener.socket:
        manager_of(listener.variables).stopping()
        assert listener.heard() == ["STOPPING=1"]


async def test_service_manager_does_not_listen(
    tmp_path: Path, systemd: Listener, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its socket full, gone and back: warned of once, never waited for, and then told again."""
    caplog.set_level(logging.WARNING)
    manager = manager_of(systemd.variables | {"WATCHDOG_USEC": "2000000"})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(manager.follow, AdvertisedResources())
        await trio.sleep(3600.5)
        assert caplog.text.count("Cannot tell the service manager") == 1
        assert "WATCHDOG=1" in systemd.heard()
        await trio.sleep(2)
        assert systemd.heard() == ["WATCHDOG=1"] * 2
        systemd.socket.close()
        (tmp_path / "notify").unlink()
        await trio.sleep(3600)
        assert caplog.text.count("Cannot tell the service manager") == 2
        nursery.cancel_scope.cancel()


async def test_ready_is_told_until_it_is_heard(
    systemd: Listener, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Without it the service manager would end the agent."""
    manager = manager_of(systemd.variables)
    while "Cannot tell" not in caplog.text:
        manager.stopping()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(manager.follow, AdvertisedResources())
        await trio.sleep(5)
        assert "READY=1" not in systemd.heard()
        await trio.sleep(5)
        assert systemd.heard()[0] == "READY=1"
        nursery.cancel_scope.cancel()


async def test_many_resources_are_one_status(systemd: Listener, autojump_clock: MockClock) -> None:
    """What does not change the text is not told."""
    resources = AdvertisedResources()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(manager_of(systemd.variables).follow, resources)
        for node in range(3):
            resources.add(advertise(node))
        await trio.sleep(1)
        assert systemd.heard() == ["READY=1", status(0, 3)]
        for each in resources:
            each.status.serving_began()
            each.status.registration_accepted()
            each.status.streams_changed(1)
            await trio.sleep(1)
        assert systemd.heard() == [status(1, 3), status(2, 3), status(3, 3)]
        nursery.cancel_scope.cancel()


def test_agent_as_a_process(tmp_path: Path, systemd: Listener) -> None:
    """It is ready without a kubelet, fed at once, and says that it stops."""
    variables = systemd.variables | {"WATCHDOG_USEC": "60000000"}
    with AgentProcess(tmp_path, **variables) as agent:
        assert systemd.next() == "READY=1"
        assert {systemd.next(), systemd.next()} >= {"WATCHDOG=1"}
        assert agent.terminate() == 0
        assert systemd.heard()[-1] == "STOPPING=1"


def test_bad_settings_are_never_ready(tmp_path: Path, systemd: Listener) -> None:
    """The service manager sees the exit status, and kubelet need not wait for more."""
    with AgentProcess(tmp_path, NUMA_CAPACITY="many", **systemd.variables) as agent:
        assert agent.process.wait(timeout=PATIENCE) == 2
        assert systemd.heard() == []
