"""When another instance that offered a resource ends, the resource's status learns of it."""

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.kubelet_fakes import HandWatch, advertise, offer
from numa_trio.agent.advertised import AdvertisedResources
from numa_trio.agent.siblings import follow_siblings
from numa_trio.agent.status import ResourceStatus
from numa_trio.kubelet.plugin_socket import PluginSocket, socket_name
from numa_trio.plugin.resource import NumaResource


class Followed:
    """Resources 0 and 1 of an instance `ours`, beside whatever a test binds."""

    def __init__(self, directory: Path) -> None:
        self.watch = HandWatch(directory)
        self.resources = AdvertisedResources()
        for node in (0, 1):
            self.resources.add(advertise(node))

    async def start(self, nursery: trio.Nursery) -> None:
        await nursery.start(
            follow_siblings, self.resources, lambda name: socket_name(name, "ours"), self.watch
        )

    def bind(self, name: str) -> PluginSocket:
        bound = PluginSocket.bind(self.watch.directory / name)
        self.watch.wake()
        return bound

    def status(self, node: int) -> ResourceStatus:
        advertised = self.resources.get(f"numa-{node}")
        assert advertised is not None
        return advertised.status

    @property
    def departures(self) -> list[int]:
        return [self.status(node).departures for node in (0, 1)]


@pytest.fixture
async def followed(tmp_path: Path) -> Followed:
    return Followed(tmp_path)


def leave_dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(str(path))


@pytest.mark.parametrize("end", [PluginSocket.close, lambda bound: bound.listener.close()])
@pytest.mark.parametrize("name", ["numa-1-theirs.sock", "numa-1.sock"])
async def test_a_sibling_that_ends_is_told_once(
    followed: Followed,
    autojump_clock: MockClock,
    nursery: trio.Nursery,
    end: Callable[[PluginSocket], None],
    name: str,
) -> None:
    """At once and without an event in the directory, whether or not its file stays."""
    await followed.start(nursery)
    bound = followed.bind(name)
    await trio.sleep(3600)
    assert followed.departures == [0, 0]
    ended = trio.current_time()
    end(bound)
    with trio.fail_after(0.05):
        await followed.status(1).until(lambda: followed.departures == [0, 1])
    assert trio.current_time() - ended <= 0.05
    followed.watch.wake()
    await trio.sleep(3600)
    assert followed.departures == [0, 1]


async def test_one_that_was_there_first_is_followed_too(
    followed: Followed, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """It may register again after us, whenever it loses its stream."""
    bound = followed.bind("numa-0-older.sock")
    await followed.start(nursery)
    await trio.sleep(60)
    bound.close()
    await trio.sleep(0.05)
    assert followed.departures == [1, 0]


async def test_one_that_was_dead_before_does_not_count(
    followed: Followed, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Kubelet let go of it long ago. One that comes and dies before we look does count."""
    leave_dead_socket(followed.watch.directory / "numa-0-dead.sock")
    await followed.start(nursery)
    await trio.sleep(60)
    assert followed.departures == [0, 0]
    leave_dead_socket(followed.watch.directory / "numa-0-short.sock")
    followed.watch.wake()
    await trio.sleep(0.2)
    assert followed.departures == [1, 0]


async def test_one_that_is_seen_while_it_binds_is_followed(
    followed: Followed, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Until it listens it refuses connections, which is not its end; its end comes later."""
    await followed.start(nursery)
    with socket.socket(socket.AF_UNIX) as binding:
        binding.bind(str(followed.watch.directory / "numa-0-new.sock"))
        followed.watch.wake()
        await trio.sleep(0.02)
        binding.listen()
        await trio.sleep(3600)
        assert followed.departures == [0, 0]
    await trio.sleep(0.05)
    assert followed.departures == [1, 0]


async def test_one_that_listens_late_is_followed_nevertheless(
    followed: Followed, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """It was taken for dead, at our start or later, and is told again when it really ends."""
    with ExitStack() as ends:
        late = [ends.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2)]
        late[0].bind(str(followed.watch.directory / "numa-0-early.sock"))
        await followed.start(nursery)
        late[1].bind(str(followed.watch.directory / "numa-1-new.sock"))
        followed.watch.wake()
        await trio.sleep(60)
        assert followed.departures == [0, 1]
        for each in late:
            each.listen()
        await trio.sleep(3600)
    await trio.sleep(0.05)
    assert followed.departures == [1, 2]


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("numa-0-cpu+.sock", "numa-0-cpu"),
        ("numa-0-cpu+theirs.sock", "numa-0-cpu"),
        ("numa-0-cpu.sock", "numa-0"),  # an instance named cpu
        ("numa-near-data+theirs.sock", "near-data"),
    ],
)
async def test_siblings_of_other_resources_are_told_apart(
    followed: Followed, autojump_clock: MockClock, nursery: trio.Nursery, name: str, resource: str
) -> None:
    """The status that learns of it is that of the resource which the sibling served."""
    for other in (NumaResource("numa-0-cpu", (0,), 3), NumaResource("near-data", (0, 1), 3)):
        followed.resources.add(offer(other))
    await followed.start(nursery)
    ours = [followed.bind(own) for own in ("numa-0-cpu+ours.sock", "numa-near-data+ours.sock")]
    bound = followed.bind(name)
    await trio.sleep(60)
    for one in (bound, *ours):
        one.close()
        followed.watch.wake()
    await trio.sleep(60)
    departures = {one.resource.local_name: one.status.departures for one in followed.resources}
    assert departures == {**dict.fromkeys(departures, 0), resource: 1}


async def test_others_do_not_count(
    followed: Followed, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Our own sockets, other plugins', nodes that are not ours, and what is not a socket."""
    await followed.start(nursery)
    names = ("numa-0-ours.sock", "numa-10-theirs.sock", "gpu.sock", "numa-x.sock", "numa-0.sock.x")
    others = [followed.bind(name) for name in names]
    (followed.watch.directory / "numa-1-file.sock").touch()
    followed.watch.wake()
    await trio.sleep(60)
    for other in others:
        other.close()
        followed.watch.wake()
    (followed.watch.directory / "numa-1-file.sock").unlink()
    followed.watch.wake()
    await trio.sleep(60)
    assert followed.departures == [0, 0]


async def test_a_sibling_that_drops_the_connection_lives(
    followed: Followed, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """It needed the room: the connection is made again, ever more slowly, and nothing is told."""
    await followed.start(nursery)
    bound = followed.bind("numa-0-full.sock")
    drops = 0
    listener = trio.socket.from_stdlib_socket(bound.listener)
    with trio.move_on_after(600):
        while True:
            connection, _ = await listener.accept()
            drops += 1
            await connection.send(b"SETTINGS")
            connection.close()
    assert 120 <= drops <= 120 * 2 + 12
    assert followed.departures == [0, 0]
    with trio.fail_after(6):
        connection, _ = await listener.accept()
    await trio.sleep(3600)
    for _ in range(2):  # it lasted: what was before is forgotten
        connection.close()
        with trio.fail_after(0.02):
            connection, _ = await listener.accept()
    connection.close()
    bound.close()
    await trio.sleep(6)
    assert followed.departures == [1, 0]


async def test_one_that_cannot_be_connected_to_lives_as_long_as_its_socket(
    followed: Followed,
    autojump_clock: MockClock,
    nursery: trio.Nursery,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """We may not connect, or its queue is full: then the file at its path tells."""

    def refuse(_path: Path) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr("numa_trio.agent.siblings.connect_to_listener", refuse)
    await followed.start(nursery)
    bound = followed.bind("numa-0-theirs.sock")
    await trio.sleep(600)
    assert followed.departures == [0, 0]
    bound.close()
    followed.watch.wake()
    await wait_all_tasks_blocked()
    assert followed.departures == [1, 0]


async def test_a_directory_that_cannot_be_read_for_a_moment_changes_nothing(
    followed: Followed,
    autojump_clock: MockClock,
    nursery: trio.Nursery,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sibling is still followed once, not twice."""

    def refuse(_directory: Path) -> None:
        raise PermissionError(13, os.strerror(13))

    await followed.start(nursery)
    bound = followed.bind("numa-0-theirs.sock")
    await wait_all_tasks_blocked()
    with monkeypatch.context() as unreadable:
        unreadable.setattr("numa_trio.agent.siblings.plugin_sockets", refuse)
        followed.watch.wake()
        await wait_all_tasks_blocked()
    followed.watch.wake()
    await trio.sleep(60)
    bound.close()
    await trio.sleep(60)
    assert followed.departures == [1, 0]


async def test_cancelled_it_keeps_no_connection(
    followed: Followed, autojump_clock: MockClock
) -> None:
    """The descriptors are given back."""
    bound = followed.bind("numa-0-theirs.sock")
    before = len(list(Path("/proc/self/fd").iterdir()))
    async with trio.open_nursery() as nursery:
        await followed.start(nursery)
        await wait_all_tasks_blocked()
        assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
        nursery.cancel_scope.cancel()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    bound.close()
