"""Events of the kernel's about devices."""

import errno
import socket
from pathlib import Path
from typing import Self

import pytest
import trio
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from numa_trio.agent import uevents
from numa_trio.agent.uevents import follow_uevents, subsystem_of

ADDED = (
    b"add@/devices/pci0000:80/nvme/nvme1/nvme1n1\0ACTION=add\0"
    b"DEVPATH=/devices/pci0000:80/nvme/nvme1/nvme1n1\0SUBSYSTEM=block\0MAJOR=259\0SEQNUM=4711\0"
)


def test_subsystem_is_found() -> None:
    """Among the variables behind the head."""
    assert subsystem_of(ADDED) == b"block"


@pytest.mark.parametrize("message", [b"", b"libudev\0\xfe\xed", b"add@/x\0SUBSYSTEM", ADDED[:40]])
def test_other_messages_have_none(message: bytes) -> None:
    """Neither cut ones nor udev's."""
    assert subsystem_of(message) is None


@given(st.binary())
def test_any_message_is_survived(message: bytes) -> None:
    """Whatever it holds."""
    found = subsystem_of(message)
    assert found is None or b"SUBSYSTEM=" + found in message


def provoke(subsystem: str) -> bool:
    """Have the kernel send an event about a device of that class; False if it may not be had."""
    for device in sorted(Path("/sys/class", subsystem).glob("*")):
        try:
            (device / "uevent").write_text("change")
        except OSError:
            continue
        return True
    return False


async def test_the_kernel_tells() -> None:
    """A real event wakes; one of a class that says nothing of places does not."""
    heard = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow_uevents, heard.set)
        await wait_all_tasks_blocked()
        if not (provoke("block") or provoke("net")):
            pytest.skip("this machine does not let us provoke an event")
        with trio.move_on_after(5):
            await heard.wait()
        nursery.cancel_scope.cancel()
    if not heard.is_set() and not _hears():
        pytest.skip("events do not reach this machine's network namespace")
    assert heard.is_set()


def _hears() -> bool:
    """Whether a plain socket hears what the kernel tells."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15) as receiver:
        receiver.bind((0, 1))
        receiver.settimeout(1)
        provoke("block")
        try:
            return bool(receiver.recv(8192))
        except TimeoutError:
            return False


@define
class Flood:
    """A socket on which there is always one more message, and now and then some were lost."""

    lost_every: int = 10**9
    message: bytes = ADDED
    sent: int = 0
    _readable: socket.socket = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._readable, writer = socket.socketpair()
        writer.close()

    def __call__(self, *_arguments: object) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_arguments: object) -> None:
        self._readable.close()

    def setblocking(self, _flag: bool) -> None:
        pass

    def bind(self, _address: object) -> None:
        pass

    def fileno(self) -> int:
        return self._readable.fileno()

    def recvfrom(self, _size: int) -> tuple[bytes, tuple[int, int]]:
        self.sent += 1
        if self.sent % self.lost_every == 0:
            raise OSError(errno.ENOBUFS, "No buffer space available")
        return self.message, (0, 1)


@pytest.mark.parametrize(
    ("flood", "told"),
    [
        (Flood(), 11),
        (Flood(message=b"change@/x\0SUBSYSTEM=tty"), 0),
        (Flood(lost_every=5, message=b""), 11),
    ],
)
async def test_flood_of_events_costs_little(
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
    flood: Flood,
    told: int,
) -> None:
    """However many there are, a thousand a second are read; those lost are a reason to look."""
    heard = []
    flood = evolve(flood)
    monkeypatch.setattr(uevents.socket, "socket", flood)
    with trio.move_on_after(1.05):
        await follow_uevents(lambda: heard.append(1))
    assert len(heard) == told
    assert 1000 <= flood.sent <= 1100


async def test_socket_that_is_not_allowed_is_no_error(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Then the looks at intervals must do."""

    def refuse(*_arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(socket, "socket", refuse)
    with trio.move_on_after(3600) as waited:
        await follow_uevents(lambda: None)
    assert waited.cancelled_caught
