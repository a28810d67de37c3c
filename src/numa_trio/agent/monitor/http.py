"""The HTTP server: one request a connection, few connections, each with little time.

Nothing that a client does, and nothing that the kernel refuses, reaches the rest of the agent. How
much processor time all clients together can take is bounded too.
"""

import errno
import logging
import os
import socket
import time
from collections.abc import Callable
from typing import NoReturn

import h11
import trio
from attrs import define, field, frozen

from numa_trio.agent.backoff import Backoff
from numa_trio.agent.monitor.http_counts import HttpDrop
from numa_trio.agent.monitor.pace import Pace
from numa_trio.setting_values import HttpAddress

log = logging.getLogger(__name__)

# In seconds: until the head of the request is there, until the client has read the answer, and
# until it has closed in its turn.
REQUEST_LIMIT = 5.0
RESPONSE_LIMIT = 10.0
FAREWELL_LIMIT = 1.0

# For one more the oldest is closed, so that slow clients cannot keep a probe waiting.
MAX_CONNECTIONS = 32

MAX_HEAD_BYTES = 16 * 1024

# What h11 needs for a head grows with its lines: 0.1 ms for these, 4 ms for 16 KiB of short ones.
MAX_HEAD_LINES = 64

# So many connections are accepted in each period, in seconds: 200 a second, which take less than a
# tenth of a core. The others wait in the kernel's queue, 1.3 s if it is full; a probe has 5 s.
ACCEPTS = 20
ACCEPT_PERIOD = 0.1
_BACKLOG = 256

# Seconds between two reads from one connection: what comes byte by byte is read in few pieces.
READ_PAUSE = 0.05

# What a client may still send once it has its answer, such as a body that nobody asked for.
_MAX_IGNORED_BYTES = 256 * 1024
_IGNORED_READ = 64 * 1024

# The kernel has no descriptor or memory for another connection at the moment.
_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

# A family of addresses that the kernel was built without, or that is turned off.
_NO_SUCH_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@frozen
class Response:
    """An answer with its whole body."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


Respond = Callable[[str, str], Response]
"""From a request's method and target to its answer, without waiting."""


async def serve_http(
    address: HttpAddress,
    respond: Respond,
    on_drop: Callable[[HttpDrop], None],
    *,
    task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Serve until cancelled. An address that cannot be bound is tried again forever."""
    backoff = Backoff(first=0.5, longest=10.0)
    server = HttpServer(respond, on_drop)
    last_problem = None
    started = False
    while True:
        problem: BaseException | None = None
        try:
            listeners = await open_listeners(address)
            log.info("HTTP on %s", ", ".join(map(_where, listeners)))
            backoff.reset()
            last_problem = None
            if not started:
                started = True
                task_status.started(listeners)
            await server.serve(listeners)
        except* (OSError, UnicodeError) as problems:  # a name can be no name at all for IDNA
            problem = problems.exceptions[0]
        except* Exception:
            log.exception("The HTTP server failed, which is a defect: starting it again")
        if problem and str(problem) != last_problem:
            last_problem = str(problem)
            log.error("No HTTP on %s:%d, trying again: %s", address.host, address.port, problem)
        await trio.sleep(backoff.next_delay())


async def open_listeners(address: HttpAddress) -> list[trio.SocketListener]:
    """Listen on each address that the host has; without a host, on all of IPv4 and IPv6.

    A family that this machine does not have is left out. Raises `OSError` if none is left, or if
    one of them is taken.
    """
    found = await trio.socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listeners: list[trio.SocketListener] = []
    absent: OSError | None = None
    try:
        for family, _type, protocol, _name, socket_address in found:
            try:
                listeners.append(await _listen(family, protocol, socket_address))
            except OSError as problem:
                if problem.errno not in _NO_SUCH_FAMILY:
                    raise
                absent = problem
        if absent and not listeners:
            raise absent
    except BaseException:
        for listener in listeners:
            listener.socket.close()
        raise
    return listeners


async def _listen(family: int, protocol: int, address: object) -> trio.SocketListener:
    listener = trio.socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        await listener.bind(address)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return trio.SocketListener(listener)


def _where(listener: trio.SocketListener) -> str:
    host, port = listener.socket.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@define(eq=False)
class HttpServer:
    """Its open connections, the oldest first."""

    respond: Respond
    on_drop: Callable[[HttpDrop], None]
    _open: dict[trio.CancelScope, None] = field(factory=dict, init=False)
    _pace: Pace = field(factory=lambda: Pace(ACCEPTS, ACCEPT_PERIOD), init=False)
    _last_shortage: float = field(default=float("-inf"), init=False)

    async def serve(self, listeners: list[trio.SocketListener]) -> None:
        """Accept and answer until cancelled. Raises `OSError` (in a group) if a listener breaks."""
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(self._accept, listener, nursery)

    async def _accept(self, listener: trio.SocketListener, connections: trio.Nursery) -> NoReturn:
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as problem:
                    if problem.errno not in _SHORTAGE:
                        raise
                    self._note_shortage(problem)
                    self._push_out_the_oldest()
                    await trio.sleep(0.1)
                else:
                    connections.start_soon(self.answer, stream)
                    await self._pace.step()

    def _note_shortage(self, problem: OSError) -> None:
        now = trio.current_time()
        if now - self._last_shortage > 60:
            self._last_shortage = now
            log.warning("Cannot accept HTTP connections: %s", os.strerror(problem.errno or 0))

    def _push_out_the_oldest(self) -> None:
        for oldest in list(self._open)[:1]:
            del self._open[oldest]
            oldest.cancel()
            self.on_drop(HttpDrop.CROWDED_OUT)

    async def answer(self, stream: trio.abc.HalfCloseableStream) -> None:
        """Answer one request on a connection, and close it. Raises nothing."""
        if len(self._open) >= MAX_CONNECTIONS:
            self._push_out_the_oldest()
        with trio.CancelScope() as scope:
            self._open[scope] = None
            try:
                async with stream:
                    await self._converse(stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the client went away
            except Exception:
                log.exception("An HTTP connection failed, which is a defect")
            finally:
                self._open.pop(scope, None)

    async def _converse(self, stream: trio.abc.HalfCloseableStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        method = ""
        try:
            with trio.fail_after(REQUEST_LIMIT):
                request = await _receive_request(stream, connection)
            if request is None:
                return
            method = request.method.decode("ascii")
            response = self.respond(method, request.target.decode("ascii"))
        except trio.TooSlowError:
            self.on_drop(HttpDrop.SLOW_REQUEST)
            return
        except h11.RemoteProtocolError as problem:
            self.on_drop(HttpDrop.BAD_REQUEST)
            response = Response(problem.error_status_hint, f"{problem}\n".encode())
        try:
            with trio.fail_after(RESPONSE_LIMIT):
                await stream.send_all(encode_head(connection, response))
                if method != "HEAD":
                    await stream.send_all(response.body)
                await stream.send_eof()
        except trio.TooSlowError:
            self.on_drop(HttpDrop.SLOW_RESPONSE)
            return
        await _await_close(stream)


async def _receive_request(
    stream: trio.abc.ReceiveStream, connection: h11.Connection
) -> h11.Request | None:
    """The head of the first request; None if the client closes without sending one."""
    data = await stream.receive_some(MAX_HEAD_BYTES)
    lines = 0
    while True:
        lines += data.partition(b"\r\n\r\n")[0].count(b"\n")
        if lines > MAX_HEAD_LINES:
            raise h11.RemoteProtocolError(
                f"expected at most {MAX_HEAD_LINES} lines of headers", error_status_hint=431
            )
        connection.receive_data(bytes(data))
        event = connection.next_event()
        if isinstance(event, h11.Request):
            if not event.http_version.startswith(b"1."):
                raise h11.RemoteProtocolError("expected HTTP/1.1", error_status_hint=505)
            return event
        if isinstance(event, h11.ConnectionClosed):
            return None
        await trio.sleep(READ_PAUSE)
        data = await stream.receive_some(MAX_HEAD_BYTES)


async def _await_close(stream: trio.abc.ReceiveStream) -> None:
    """Let the client close first.

    To close on bytes that it sent would make the kernel reset the connection, and the client might
    lose its answer.
    """
    ignored = 0
    with trio.move_on_after(FAREWELL_LIMIT):
        while data := await stream.receive_some(_IGNORED_READ):
            ignored += len(data)
            if ignored >= _MAX_IGNORED_BYTES:
                return
            await trio.sleep(READ_PAUSE)


def encode_head(connection: h11.Connection, response: Response) -> bytes:
    """All of an answer but its body, after which the connection ends."""
    headers = [
        ("Date", _http_date(time.time())),
        ("Content-Type", response.content_type),
        ("Content-Length", str(len(response.body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        *response.headers,
        ("Connection", "close"),
    ]
    head = connection.send(h11.Response(status_code=response.status, headers=headers))
    assert head is not None
    return head


def _http_date(unix: float) -> str:
    """IMF-fixdate of RFC 9110, whatever the locale."""
    moment = time.gmtime(unix)
    return (
        f"{_DAYS[moment.tm_wday]}, {moment.tm_mday:02} {_MONTHS[moment.tm_mon - 1]}"
        f" {moment.tm_year} {moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02} GMT"
    )
