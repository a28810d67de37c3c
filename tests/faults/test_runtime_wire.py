"""The container runtime sends what it should not, or reads nothing: the next connection is good.

Every test is a row of the fault matrix in docs/reliability.md. In virtual time.
"""

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from fault_rig import AT_ONCE
from nri_runtime import faults, mux
from nri_runtime.connection import Connection
from runtime_rig import RuntimeRig

Fault = Callable[[Connection], Awaitable[None]]

SENT = {
    "garbage as a call": lambda wire: faults.garbage_on(wire, mux.PLUGIN, b"HTTP/1.1 400 Bad\r\n"),
    "garbage as an answer": lambda wire: faults.garbage_on(wire, mux.RUNTIME, b"\xff" * 20),
    "garbage that is no frame": lambda wire: faults.garbage_instead_of_frames(wire, b"\r\n" * 9),
    "half a frame": faults.half_a_frame,
    "an answer to nothing": lambda wire: faults.answer_nothing_that_was_asked(wire, 77),
}


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT.keys())
async def test_container_runtime_sends_garbage(
    autojump_clock: MockClock, node: RuntimeRig, sent: Fault, back: float
) -> None:
    """The connection ends at once; the next one is as good as new."""
    await node.settle()
    [peer] = node.runtime.plugins
    await sent(peer.connection)
    await node.runtime.wait_plugins(0)
    missed = await node.create()
    await node.pinned(missed, within=back)
    await node.create_pinned()
    await node.slots_are_offered()


UNKNOWN = {
    "Shutdown": lambda wire: faults.call_by_number(wire, 101, "Shutdown"),
    "an event that was not asked for": lambda wire: faults.call_by_number(wire, 101, "StateChange"),
    "an even stream": lambda wire: faults.call_by_number(wire, 2, "CreateContainer"),
    "a stream once more": lambda wire: faults.call_by_number(wire, 1, "CreateContainer"),
    "a huge message": lambda wire: faults.huge_message(wire, 9 << 20),
    "a flood": lambda wire: faults.flood(wire, 2000, "CreateContainer"),
}


@pytest.mark.parametrize("sent", UNKNOWN.values(), ids=UNKNOWN.keys())
async def test_container_runtime_sends_what_is_unknown(
    autojump_clock: MockClock, node: RuntimeRig, sent: Fault
) -> None:
    """It is answered, and the connection goes on."""
    await node.settle()
    [peer] = node.runtime.plugins
    await sent(peer.connection)
    peer.connection.next_stream = max(103, peer.connection.next_stream)
    await node.create_pinned()
    await node.connected(within=AT_ONCE)
    assert node.runtime.plugins == [peer]
    await node.slots_are_offered()


async def test_container_runtime_reads_nothing(
    autojump_clock: MockClock, node: RuntimeRig, back: float
) -> None:
    """The agent's answers go nowhere: it hangs up after five seconds, and connects anew."""
    await node.settle()
    [peer] = node.runtime.plugins
    faults.stop_reading(peer.connection)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(faults.flood, peer.connection, 20_000)
        with trio.fail_after(6):
            await node.runtime.wait_plugins(0)
    missed = await node.create()
    await node.pinned(missed, within=back)
    await node.create_pinned()
    await node.slots_are_offered()
