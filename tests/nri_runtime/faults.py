"""How the runtime misbehaves, when it is told to."""

import trio
from attrs import define, field

from nri_runtime import mux, ttrpc
from nri_runtime.connection import Connection


@define(eq=False)
class Faults:
    """By the names of methods: what is never asked or answered, and what late, in seconds.

    Of the plugin's own methods it is the answer. May be changed at any time.
    """

    silent: set[str] = field(factory=set)
    delays: dict[str, float] = field(factory=dict)

    async def before(self, method: str) -> None:
        """Wait as long as it is to be late; without end if it is silent."""
        if method in self.silent:
            await trio.sleep_forever()
        await trio.sleep(self.delays.get(method, 0))


async def garbage_on(connection: Connection, logical: int, data: bytes) -> None:
    """Send bytes that are no ttrpc on one of the logical connections."""
    connection.post(logical, data)
    await connection.wait_sent()


async def garbage_instead_of_frames(connection: Connection, data: bytes) -> None:
    """Send bytes on the socket that are no frames of the mux."""
    connection.post_as_it_is(data)
    await connection.wait_sent()


async def half_a_frame(connection: Connection) -> None:
    """Begin a call, and hang up within its frame."""
    call = ttrpc.request(connection.next_stream, connection.calls, "StateChange", bytes(100))
    connection.post_as_it_is(mux.frame(connection.calls_on, call)[:-50])
    await connection.wait_sent()
    connection.close("hung up within a frame")


async def call_by_number(connection: Connection, stream: int, method: str) -> None:
    """Call on a stream of that number, as 2 or one that was used before; wait for no answer."""
    connection.post(connection.calls_on, ttrpc.request(stream, connection.calls, method, b""))
    await connection.wait_sent()


async def answer_nothing_that_was_asked(connection: Connection, stream: int) -> None:
    """Send an answer to a call that the plugin has not made."""
    connection.post(connection.answers_on, ttrpc.response(stream))
    await connection.wait_sent()


async def huge_message(connection: Connection, size: int) -> None:
    """Call with so many bytes of data; wait for no answer."""
    connection.post(
        connection.calls_on, ttrpc.frame(connection.next_stream, ttrpc.REQUEST, bytes(size))
    )
    connection.next_stream += 2
    await connection.wait_sent()


def stop_reading(connection: Connection) -> None:
    """Read nothing more; what is under way may still be read."""
    connection.may_read = trio.Event()


async def flood(connection: Connection, calls: int, method: str = "StateChange") -> None:
    """Call so many times at once, waiting for no answer; or until the plugin hangs up."""
    for _ in range(calls):
        number, connection.next_stream = connection.next_stream, connection.next_stream + 2
        connection.post(connection.calls_on, ttrpc.request(number, connection.calls, method, b""))
    await connection.wait_sent()
