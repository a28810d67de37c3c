"""The HTTP server on real sockets, and what the kernel may refuse it."""

import errno
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from numa_trio.agent.monitor.http import (
    ACCEPT_PERIOD,
    ACCEPTS,
    HttpServer,
    Response,
    open_listeners,
    serve_http,
)
from numa_trio.agent.monitor.http_counts import HttpDrop
from numa_trio.agent.monitor.pace import Pace
from numa_trio.setting_values import HttpAddress

LOOPBACK = HttpAddress("127.0.0.1", 0)
GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
PATIENCE = 60.0  # seconds; only a slow machine ever needs more than one


def respond(_method: str, _target: str) -> Response:
    return Response(200, b"well\n")


def ignore(_reason: HttpDrop) -> None:
    pass


async def ask(port: int, host: str = "127.0.0.1") -> bytes:
    with trio.fail_after(PATIENCE):
        async with await trio.open_tcp_stream(host, port) as stream:
            await stream.send_all(GET)
            return b"".join([part async for part in stream])


def port_of(listener: trio.SocketListener) -> int:
    port: int = listener.socket.getsockname()[1]
    return port


@asynccontextmanager
async def serving(address: HttpAddress = LOOPBACK) -> AsyncIterator[list[trio.SocketListener]]:
    async with trio.open_nursery() as nursery:
        yield await nursery.start(serve_http, address, respond, ignore)
        nursery.cancel_scope.cancel()


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_answers_over_tcp() -> None:
    """A client on loopback gets its answer and then the end of the connection."""
    async with serving() as (listener,):
        answer = await ask(port_of(listener))
    assert answer.startswith(b"HTTP/1.1 200 \r\n")
    assert answer.endswith(b"\r\n\r\nwell\n")


async def test_a_client_that_sends_too_much_still_gets_its_answer() -> None:
    """The kernel must not reset a connection on which the client sent what nobody reads."""
    body = b"x" * 100_000
    head = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with (
        serving() as (listener,),
        await trio.open_tcp_stream("127.0.0.1", port_of(listener)) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(client.send_all, head + body)
        with trio.fail_after(PATIENCE):
            answer = b"".join([part async for part in client])
    assert answer.endswith(b"well\n")


async def test_listens_on_both_families() -> None:
    """Without a host, the server listens on all addresses of IPv4 and, where it is on, IPv6."""
    expected = [socket.AF_INET, socket.AF_INET6] if has_ipv6() else [socket.AF_INET]
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    listeners = await open_listeners(HttpAddress("", port))
    try:
        assert {port_of(one) for one in listeners} == {port}
        assert sorted(one.socket.family for one in listeners) == expected
    finally:
        for listener in listeners:
            await listener.aclose()


@pytest.mark.parametrize("reason", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
async def test_listens_where_ipv6_is_off(monkeypatch: pytest.MonkeyPatch, reason: int) -> None:
    """A kernel without IPv6 leaves the server on IPv4."""
    make = trio.socket.socket

    def without_ipv6(family: int, *rest: int) -> trio.socket.SocketType:
        if family == socket.AF_INET6:
            raise OSError(reason, "no IPv6")
        return make(family, *rest)

    monkeypatch.setattr(trio.socket, "socket", without_ipv6)
    (listener,) = await open_listeners(HttpAddress("", 0))
    assert listener.socket.family == socket.AF_INET
    await listener.aclose()
    with pytest.raises(OSError, match="no IPv6"):
        await open_listeners(HttpAddress("::1", 0))


async def test_half_an_address_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """If one family is taken, the server holds none, and tries again with both."""
    make = trio.socket.socket

    def taken(family: int, *rest: int) -> trio.socket.SocketType:
        if family == socket.AF_INET6:
            raise OSError(errno.EADDRINUSE, "taken")
        return make(family, *rest)

    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    with monkeypatch.context() as patched:
        patched.setattr(trio.socket, "socket", taken)
        with pytest.raises(OSError, match="taken"):
            await open_listeners(HttpAddress("", port))
    (listener,) = await open_listeners(HttpAddress("0.0.0.0", port))
    await listener.aclose()


async def test_waits_for_a_taken_address(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A port in use is said once, tried again, and had as soon as it is free."""
    caplog.set_level(logging.INFO, "numa_trio")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = HttpAddress("127.0.0.1", taken.getsockname()[1])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_http, address, respond, ignore)
            await trio.sleep(60)
            (complaint,) = caplog.messages
            assert complaint.startswith(f"No HTTP on 127.0.0.1:{address.port}, trying again: ")
            taken.close()
            await trio.sleep(11)
            assert caplog.messages[1:] == [f"HTTP on 127.0.0.1:{address.port}"]
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("host", ["198.51.100.1", "a" * 64])
async def test_an_impossible_address_is_not_fatal(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    """An address that is not this machine's, or a name that is none, is tried for ever."""
    with trio.move_on_after(600):
        await serve_http(HttpAddress(host, 0), respond, ignore)
    assert len(caplog.records) == 1


@define(eq=False)
class FakeListener:
    """Accepts what `outcomes` say: an error number, or a connection; then nothing more."""

    outcomes: list[int | trio.abc.HalfCloseableStream]
    accepted_at: list[float] = field(factory=list)

    async def accept(self) -> trio.abc.HalfCloseableStream:
        await trio.lowlevel.checkpoint()
        if not self.outcomes:
            await trio.sleep_forever()
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, int):
            raise OSError(outcome, "the kernel refuses")
        self.accepted_at.append(trio.current_time())
        return outcome

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


async def test_a_shortage_that_lasts_is_said_once_a_minute(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The log neither fills nor falls silent."""
    listener = FakeListener([errno.EMFILE] * 1500)
    with trio.move_on_after(145):
        await HttpServer(respond, ignore).serve([listener])
    assert [record.getMessage() for record in caplog.records] == [
        "Cannot accept HTTP connections: Too many open files"
    ] * 3


@pytest.mark.parametrize("shortage", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_waits_out_a_shortage(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, shortage: int
) -> None:
    """Without descriptors the server neither ends nor spins, and says so once a minute at most."""
    client, ours = memory_stream_pair()
    listener = FakeListener([*[shortage] * 100, ours])
    await client.send_all(GET)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(HttpServer(respond, ignore).serve, [listener])
        assert (await client.receive_some(1000)).startswith(b"HTTP/1.1 200")
        nursery.cancel_scope.cancel()
    assert listener.accepted_at == [pytest.approx(began + 10)]
    assert len(caplog.records) == 1


async def test_a_flood_of_connections_is_paced(autojump_clock: MockClock) -> None:
    """However many connect, few are accepted in each period, and each gets its answer in turn."""
    pairs = [memory_stream_pair() for _ in range(10 * ACCEPTS)]
    for client, _ours in pairs:
        await client.send_all(GET)
        await client.send_eof()
    listener = FakeListener([ours for _client, ours in pairs])
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(HttpServer(respond, ignore).serve, [listener])
        for client, _ours in pairs:
            assert (await client.receive_some(1000)).startswith(b"HTTP/1.1 200")
        nursery.cancel_scope.cancel()
    assert [at - began for at in listener.accepted_at] == [
        pytest.approx(number // ACCEPTS * ACCEPT_PERIOD) for number in range(len(pairs))
    ]


async def test_after_a_flood_the_next_is_accepted_at_once(autojump_clock: MockClock) -> None:
    """A pause pays for the flood before it."""
    pace = Pace(ACCEPTS, ACCEPT_PERIOD)
    for _ in range(ACCEPTS - 1):
        await pace.step()
    began = trio.current_time()
    await pace.step()
    assert trio.current_time() - began == pytest.approx(ACCEPT_PERIOD)
    await trio.sleep(3600)
    began = trio.current_time()
    for _ in range(ACCEPTS - 1):
        await pace.step()
    assert trio.current_time() == began


async def test_in_a_shortage_those_who_dawdle_make_way(autojump_clock: MockClock) -> None:
    """HTTP clients keep no descriptors from each other, nor from kubelet."""
    client, ours = memory_stream_pair()
    drops: list[HttpDrop] = []
    server = HttpServer(respond, drops.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.answer, ours)
        await wait_all_tasks_blocked()
        nursery.start_soon(server.serve, [FakeListener([errno.EMFILE])])
        with trio.fail_after(0.5):
            assert await client.receive_some() == b""
        nursery.cancel_scope.cancel()
    assert drops == [HttpDrop.CROWDED_OUT]


async def test_opens_anew_when_a_listener_breaks(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever else accept() says, the server listens again."""
    listeners = [FakeListener([errno.EINVAL]), FakeListener([])]
    opened = []

    async def open_fake(_address: HttpAddress) -> list[FakeListener]:
        await trio.lowlevel.checkpoint()
        opened.append(listeners.pop(0))
        return opened[-1:]

    monkeypatch.setattr("numa_trio.agent.monitor.http.open_listeners", open_fake)
    monkeypatch.setattr("numa_trio.agent.monitor.http._where", lambda _listener: "fake")
    with trio.move_on_after(60):
        await serve_http(LOOPBACK, respond, ignore)
    assert len(opened) == 2
    assert len(caplog.records) == 1


async def test_a_defect_of_the_server_is_not_fatal(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of ours in the server leaves the rest of the agent alone."""

    async def defect(_address: HttpAddress) -> list[trio.SocketListener]:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    monkeypatch.setattr("numa_trio.agent.monitor.http.open_listeners", defect)
    with trio.move_on_after(5):
        await serve_http(LOOPBACK, respond, ignore)
    assert {record.message for record in caplog.records} == {
        "The HTTP server failed, which is a defect: starting it again"
    }


async def test_ends_at_once_with_clients_connected() -> None:
    """Clients that hold connections do not hold up the end."""
    async with serving() as (listener,):
        clients = [
            await trio.open_tcp_stream("127.0.0.1", port_of(listener)) for _ in range(ACCEPTS - 1)
        ]
        await wait_all_tasks_blocked()
        began = trio.current_time()
    assert trio.current_time() - began < 0.5
    with trio.fail_after(PATIENCE):
        for client in clients:
            assert await client.receive_some() == b""
            await client.aclose()
