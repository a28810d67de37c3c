"""What a process must say until it counts as ready, over a real socket."""

import socket
from pathlib import Path

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from numa_trio.simulator.readiness import open_readiness


async def test_ready_when_it_says_so(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Nothing else that it says is taken for that."""
    path = tmp_path / "notify"
    ready = trio.Event()
    with open_readiness(path) as readiness, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        assert readiness.variables == {"NOTIFY_SOCKET": str(path)}
        one.connect(str(path))

        async def wait() -> None:
            await readiness.wait()
            ready.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            for words in (b"STATUS=READY=1", b"READY=0", b"", b"WATCHDOG=1\nREADY=10"):
                one.send(words)
                await wait_all_tasks_blocked()
                assert not ready.is_set()
            one.send(b"STATUS=up\nREADY=1")
            await ready.wait()
    assert not path.exists()
