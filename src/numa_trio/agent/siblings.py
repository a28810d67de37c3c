"""Other instances that offer the same resources: when one ends, kubelet may have nobody left.

Kubelet listens to whoever registered a resource last. If that instance ends, the resource is
unhealthy, although kubelet still holds our own, earlier stream, which shows us nothing of it. So we
hold a connection to each sibling's socket: it ends when the sibling does, however that ends.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import trio

from numa_trio.agent.advertised import AdvertisedResources
from numa_trio.agent.backoff import Backoff
from numa_trio.kubelet.plugin_socket import plugin_sockets
from numa_trio.kubelet.socket_file import SocketIdentity, connect_to_listener, listener_at
from numa_trio.kubelet.watch import DirectoryWatch

# A sibling drops a connection that calls nothing when it needs the room. One that lasted for so
# long, in seconds, is made again at once.
_LASTED = 10.0

# Between bind() and listen() a socket refuses connections, as if its process had ended.
_BINDING = 0.05


async def follow_siblings(
    resources: AdvertisedResources,
    endpoint_of: Callable[[str], str],
    watch: DirectoryWatch,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Tell a resource's status of each sibling that ends, until cancelled.

    `endpoint_of` gives the file name of our own socket for a resource, by its local name.
    Has started when the siblings that are there have been noted: who is dead by then cannot have
    registered after us.
    """

    async def follow(sibling: Path, local_name: str, identity: SocketIdentity, alive: bool) -> None:
        def ended() -> None:
            if advertised := resources.get(local_name):
                advertised.status.sibling_ended(f"the instance that served {sibling} has ended")

        await _follow(sibling, identity, watch, ended, alive=alive)

    met: dict[Path, tuple[str, SocketIdentity]] = {}
    started = False
    async with trio.open_nursery() as nursery:
        while True:
            change = watch.next_change()
            with suppress(OSError):
                known, met = met, plugin_sockets(watch.directory)
                for path, (local_name, identity) in met.items():
                    known_already = known.get(path) == (local_name, identity)
                    if not known_already and path.name != endpoint_of(local_name):
                        alive = started or _is_served(path)
                        nursery.start_soon(follow, path, local_name, identity, alive)
            if not started:
                started = True
                task_status.started()
            await change.wait()


def _is_served(path: Path) -> bool:
    try:
        return listener_at(path) is not None
    except OSError:  # nobody knows
        return True


async def _follow(
    path: Path,
    identity: SocketIdentity,
    watch: DirectoryWatch,
    ended: Callable[[], None],
    *,
    alive: bool,
) -> None:
    """Call `ended` whenever nobody listens any more; return when the socket's file is another.

    `alive` says whether somebody may have listened before.
    """
    backoff = Backoff(first=0.01, longest=5.0)
    met = trio.current_time()
    while True:
        change = watch.next_change()
        try:
            if SocketIdentity.at(path) != identity:
                break
            connection = connect_to_listener(path)
        except OSError:  # its queue is full, or we may not connect: then its file tells
            connection = None
        else:
            if connection is None and alive and trio.current_time() - met >= _BINDING:
                alive = False
                ended()
        if connection is not None:
            alive = True
            began = trio.current_time()
            with trio.socket.from_stdlib_socket(connection) as held:
                await _closed(held)
            if trio.current_time() - began >= _LASTED:
                backoff.reset()
                continue
        with trio.move_on_after(backoff.next_delay()):
            await change.wait()
    if alive:
        ended()


async def _closed(connection: trio.socket.SocketType) -> None:
    """Return when the other end has closed the connection; what it says meanwhile is ignored."""
    try:
        while await connection.recv(4096):
            pass
    except OSError:
        pass
