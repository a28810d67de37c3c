"""The HTTP conversation with clients of every kind, in virtual time."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from numa_trio.agent.monitor.http import (
    FAREWELL_LIMIT,
    MAX_CONNECTIONS,
    MAX_HEAD_BYTES,
    MAX_HEAD_LINES,
    READ_PAUSE,
    REQUEST_LIMIT,
    RESPONSE_LIMIT,
    HttpServer,
    Response,
)
from numa_trio.agent.monitor.http_counts import HttpDrop

GET = b"GET /it HTTP/1.1\r\nHost: here\r\n\r\n"
BODY = b"what was asked for\n"


@define(eq=False)
class Served:
    """A server that answers with `BODY`; remembers the requests and the drops."""

    requests: list[tuple[str, str]] = field(factory=list)
    drops: list[HttpDrop] = field(factory=list)
    server: HttpServer = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.server = HttpServer(self.respond, self.drops.append)

    def respond(self, method: str, target: str) -> Response:
        self.requests.append((method, target))
        return Response(200, BODY, headers=(("X-Test", "yes"),))

    async def talk(self, *pieces: bytes) -> bytes:
        """Everything that a client gets who sends these and then waits."""
        client, ours = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.server.answer, ours)
            for piece in pieces:
                await client.send_all(piece)
                await trio.testing.wait_all_tasks_blocked()
            return await drain(client)


async def drain(stream: trio.abc.ReceiveStream) -> bytes:
    received = bytearray()
    while data := await stream.receive_some(65536):
        received += data
    return bytes(received)


def split(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


@pytest.fixture
def served() -> Served:
    return Served()


async def test_answers_and_closes(served: Served, autojump_clock: MockClock) -> None:
    """An answer tells its length and type, is not to be stored, and ends the connection."""
    status, headers, body = split(await served.talk(GET))
    assert (status, body) == (200, BODY)
    assert served.requests == [("GET", "/it")]
    assert headers.pop("Date").endswith(" GMT")
    assert headers == {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(BODY)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Test": "yes",
        "Connection": "close",
    }
    assert served.drops == []


async def test_head_gets_the_headers_alone(served: Served, autojump_clock: MockClock) -> None:
    """HEAD is answered like GET, without the body."""
    status, headers, body = split(await served.talk(GET.replace(b"GET", b"HEAD")))
    assert (status, headers["Content-Length"], body) == (200, str(len(BODY)), b"")


async def test_a_request_may_come_in_pieces(served: Served, autojump_clock: MockClock) -> None:
    """TCP may cut a request anywhere."""
    status, _headers, body = split(await served.talk(*(bytes([byte]) for byte in GET)))
    assert (status, body) == (200, BODY)


async def test_an_old_client_is_answered(served: Served, autojump_clock: MockClock) -> None:
    """HTTP/1.0 needs no Host."""
    status, _headers, body = split(await served.talk(b"GET /it HTTP/1.0\r\n\r\n"))
    assert (status, body) == (200, BODY)


async def test_of_pipelined_requests_the_first_is_answered(
    served: Served, autojump_clock: MockClock
) -> None:
    """The answer says that the connection closes, so the client asks the rest again."""
    answer = await served.talk(GET + GET + GET)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert len(served.requests) == 1
    assert served.drops == []


async def test_a_body_is_ignored(served: Served, autojump_clock: MockClock) -> None:
    """A request with a body is answered before the body has come."""
    head = b"GET /it HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000\r\n\r\n"
    status, _headers, body = split(await served.talk(head, b"x" * 100_000))
    assert (status, body) == (200, BODY)
    assert served.drops == []


async def test_a_client_without_end_is_left(served: Served, autojump_clock: MockClock) -> None:
    """A client that goes on sending after its answer is listened to for a bounded time."""
    client, ours = lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.server.answer, ours)
        await client.send_all(GET)
        await drain(client)
        began = trio.current_time()
        with suppress(trio.BrokenResourceError), trio.fail_after(60):
            while True:
                await client.send_all(b"more")
                await trio.sleep(0.1)
        assert trio.current_time() - began <= FAREWELL_LIMIT + 0.2


async def test_a_client_that_sends_much_is_left(served: Served, autojump_clock: MockClock) -> None:
    """A client that sends fast after its answer is listened to for a bounded amount, at leisure."""
    client, ours = lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.server.answer, ours)
        await client.send_all(GET)
        await drain(client)
        began = trio.current_time()
        with pytest.raises(trio.BrokenResourceError):
            await client.send_all(b"x" * 10_000_000)
        assert trio.current_time() - began < FAREWELL_LIMIT / 2


async def test_clients_that_have_gone_count_no_more(
    served: Served, autojump_clock: MockClock
) -> None:
    """Any number of clients, one after the other, crowd nobody out."""
    for _ in range(2 * MAX_CONNECTIONS):
        client, ours = memory_stream_pair()
        await client.aclose()
        await served.server.answer(ours)
    assert served.drops == []


@pytest.mark.parametrize(
    ("garbage", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET\r\n\r\n", 400),
        (b"GET /it HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET /it HTTP/1.1\r\nHost: here\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /it HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET /\xff HTTP/1.1\r\nHost: here\r\n\r\n", 400),
        (b"GET /" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n", 431),
        (b"GET /it HTTP/1.1\r\nHost: here\r\n" + b"A: b\r\n" * MAX_HEAD_LINES + b"\r\n", 431),
        (b"GET /it HTTP/1.1\nHost: here\n" + b"A: b\n" * MAX_HEAD_LINES + b"\n", 431),
        (b"GET /it HTTP/1.1\r\nHost: here\r\nA: " + b"b" * MAX_HEAD_BYTES, 431),
    ],
    ids=[
        *("TLS", "HTTP/2", "words", "no host", "length", "coding", "bytes", "target", "lines"),
        *("bare lines", "header"),
    ],
)
async def test_garbage_is_refused(
    served: Served, autojump_clock: MockClock, garbage: bytes, status: int
) -> None:
    """What is no HTTP/1.1 request, or has too large a head, gets an error and is counted."""
    found, _headers, _body = split(await served.talk(garbage))
    assert found == status
    assert served.requests == []
    assert served.drops == [HttpDrop.BAD_REQUEST]


async def test_a_client_that_closes_at_once_is_nothing_special(
    served: Served, autojump_clock: MockClock
) -> None:
    """A probe that only connects is neither answered nor counted."""
    client, ours = memory_stream_pair()
    await client.aclose()
    await served.server.answer(ours)
    assert served.requests == []
    assert served.drops == []


async def test_a_client_that_closes_in_mid_request_is_answered(
    served: Served, autojump_clock: MockClock
) -> None:
    """Half a request is garbage."""
    client, ours = memory_stream_pair()
    await client.send_all(GET[:10])
    await client.send_eof()
    await served.server.answer(ours)
    assert split(await drain(client))[0] == 400
    assert served.drops == [HttpDrop.BAD_REQUEST]


async def test_a_client_that_resets_is_nothing_special(
    served: Served, autojump_clock: MockClock
) -> None:
    """A client that goes away before its answer harms nobody."""
    client, ours = lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.server.answer, ours)
        await client.send_all(GET)
        await client.aclose()
    assert served.drops == []


async def takes(action: Callable[[], Awaitable[object]]) -> float:
    began = trio.current_time()
    await action()
    return trio.current_time() - began


async def test_a_client_that_sends_nothing_is_cut_off(
    served: Served, autojump_clock: MockClock
) -> None:
    """A silent client has its connection for a bounded time."""
    assert await takes(served.talk) == pytest.approx(REQUEST_LIMIT)
    assert served.drops == [HttpDrop.SLOW_REQUEST]


async def test_a_client_that_trickles_is_cut_off(served: Served, autojump_clock: MockClock) -> None:
    """The time is for the whole request, not for each byte of it."""
    client, ours = memory_stream_pair()

    async def trickle() -> None:
        with suppress(trio.BrokenResourceError):
            for byte in GET * 100:
                await client.send_all(bytes([byte]))
                await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trickle)
        assert await takes(lambda: served.server.answer(ours)) == pytest.approx(REQUEST_LIMIT)
    assert served.drops == [HttpDrop.SLOW_REQUEST]


async def test_a_head_of_many_lines_is_answered(served: Served, autojump_clock: MockClock) -> None:
    """Proxies and browsers add far fewer lines than the limit; those of a body do not count."""
    headers = b"".join(b"X-%d: y\r\n" % number for number in range(MAX_HEAD_LINES - 3))
    request = b"POST /it HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n" + headers + b"\r\n"
    status, _headers, _body = split(await served.talk(request + b"\n" * MAX_HEAD_LINES))
    assert status == 200


async def test_bytes_that_trickle_are_read_in_few_pieces(
    served: Served, autojump_clock: MockClock
) -> None:
    """A client that sends byte by byte, before and after its answer, wakes the agent rarely."""
    client, ours = memory_stream_pair()
    reads_at: list[float] = []
    receive_some = ours.receive_some

    async def receive_and_note(max_bytes: int | None = None) -> bytes | bytearray:
        reads_at.append(trio.current_time())
        return await receive_some(max_bytes)

    ours.receive_some = receive_and_note

    async def trickle() -> None:
        with suppress(trio.BrokenResourceError):
            for byte in b"G" * 2000 + GET + b"more" * 1000:
                await client.send_all(bytes([byte]))
                await trio.sleep(0.001)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trickle)
        await served.server.answer(ours)
    assert split(await drain(client))[0] == 200
    took = reads_at[-1] - reads_at[0]
    assert took > 1
    assert len(reads_at) <= took / READ_PAUSE + 2


async def test_a_client_that_never_reads_is_cut_off(
    served: Served, autojump_clock: MockClock
) -> None:
    """An answer that nobody takes is given up after a bounded time."""
    client, ours = lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, GET)
        assert await takes(lambda: served.server.answer(ours)) == pytest.approx(RESPONSE_LIMIT)
    assert served.drops == [HttpDrop.SLOW_RESPONSE]


async def test_clients_that_dawdle_make_way(served: Served, autojump_clock: MockClock) -> None:
    """However many clients hold connections, the next one is answered at once."""
    dawdlers = []
    async with trio.open_nursery() as nursery:
        for _ in range(MAX_CONNECTIONS):
            client, ours = memory_stream_pair()
            dawdlers.append(client)
            nursery.start_soon(served.server.answer, ours)
            await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        status, _headers, _body = split(await served.talk(GET))
        assert status == 200
        assert await drain(dawdlers[0]) == b""  # the oldest was closed
        assert trio.current_time() - began <= FAREWELL_LIMIT
        assert served.drops == [HttpDrop.CROWDED_OUT]
        await drain(dawdlers[1])  # the others have their full time
    assert served.drops == [HttpDrop.CROWDED_OUT] + [HttpDrop.SLOW_REQUEST] * (MAX_CONNECTIONS - 1)


async def test_a_defect_ends_one_connection(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of ours is logged, closes its connection and goes no further."""

    def respond(_method: str, _target: str) -> Response:
        raise ZeroDivisionError

    client, ours = memory_stream_pair()
    await client.send_all(GET)
    await HttpServer(respond, lambda _reason: None).answer(ours)
    assert await drain(client) == b""
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "defect" in record.getMessage()
