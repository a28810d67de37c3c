"""One side of an NRI connection: it calls on one logical connection and answers on the other."""

import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import trio
from attrs import define, field
from google.protobuf.message import DecodeError

from nri_runtime import mux, ttrpc
from nri_runtime.messages import PACKAGE, Request, Response
from nri_runtime.ttrpc import Frame

_AT_A_TIME = 65536  # bytes read from the socket
_SOCKET = 0  # no logical connection has this number: bytes that go to the socket as they are

Answer = Callable[[str, bytes], Awaitable[bytes]]


class Refused(Exception):
    """A call was answered by an error status."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class TooSlow(Exception):
    """A call was not answered in time."""


class Gone(Exception):
    """The connection ended before the answer."""


@define(eq=False)
class _Waiting:
    answered: trio.Event = field(factory=trio.Event)
    frame: Frame | None = None


@define(eq=False)
class Connection:
    """Calls the service `calls` of the other side, and gives `answer` the calls of that side.

    `cut` is how what is sent is cut into frames; those of the two logical connections take turns.
    A payload of more than `longest` bytes ends the connection.
    """

    stream: trio.SocketStream
    calls: str
    answer: Answer
    cut: mux.Cut = mux.in_full_frames
    longest: int | None = None
    next_stream: int = 1
    why_closed: str = ""
    closed: trio.Event = field(factory=trio.Event)
    may_read: trio.Event = field(factory=trio.Event)
    unexpected: list[tuple[int, Frame]] = field(factory=list)
    _surprised: trio.Event = field(factory=trio.Event)
    _waiting: dict[int, _Waiting] = field(factory=dict)
    _last_asked: int = 0
    _outgoing: dict[int, deque[bytes]] = field(
        factory=lambda: {_SOCKET: deque(), mux.PLUGIN: deque(), mux.RUNTIME: deque()}
    )
    _posted: trio.Event = field(factory=trio.Event)
    _sent: trio.Event = field(factory=trio.Event)
    _running: trio.CancelScope = field(factory=trio.CancelScope)

    @property
    def calls_on(self) -> int:
        return mux.PLUGIN if self.calls == "Plugin" else mux.RUNTIME

    @property
    def serves(self) -> str:
        return "Runtime" if self.calls == "Plugin" else "Plugin"

    @property
    def answers_on(self) -> int:
        return mux.PLUGIN + mux.RUNTIME - self.calls_on

    def __attrs_post_init__(self) -> None:
        self.may_read.set()

    async def run(self) -> None:
        """Read and write until either side ends it."""
        try:
            with self._running:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    await self._read(nursery)
        finally:
            self.close("cancelled")
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self.stream)

    def close(self, why: str) -> None:
        """End it; whoever waits for an answer is told."""
        if not self.closed.is_set():
            self.why_closed = why
            self.closed.set()
            self._sent.set()
            for waiting in self._waiting.values():
                waiting.answered.set()
            self._running.cancel()

    async def call(
        self,
        method: str,
        payload: bytes,
        deadline: float = float("inf"),
        metadata: Mapping[str, str] | None = None,
        service: str | None = None,
    ) -> bytes:
        """The payload of the answer; raises `Refused`, `TooSlow` at the deadline, or `Gone`."""
        number, waiting = self.next_stream, _Waiting()
        self.next_stream += 2
        self._waiting[number] = waiting
        left = max(0.0, deadline - trio.current_time()) if deadline < float("inf") else 0.0
        call = ttrpc.request(number, service or self.calls, method, payload, left, metadata)
        self.post(self.calls_on, call)
        with trio.move_on_at(deadline):
            if not self.closed.is_set():
                await waiting.answered.wait()
        del self._waiting[number]
        if waiting.frame is not None:
            return _payload_of(waiting.frame)
        if self.closed.is_set():
            raise Gone(f"{method}: {self.why_closed}")
        raise TooSlow(f"{method}: context deadline exceeded")

    def post(self, connection: int, data: bytes) -> None:
        """Send it on that logical connection, in turn; there is no end to what may wait."""
        self._post(connection, *(mux.frame(connection, piece) for piece in self.cut(data)))

    def post_as_it_is(self, data: bytes) -> None:
        """Send it on the socket, between two frames."""
        self._post(_SOCKET, data)

    def _post(self, connection: int, *frames: bytes) -> None:
        self._outgoing[connection].extend(frames)
        self._posted.set()

    async def wait_sent(self) -> None:
        """Return when all that was posted has gone, or the connection."""
        while any(self._outgoing.values()) and not self.closed.is_set():
            if self._sent.is_set():
                self._sent = trio.Event()
            await self._sent.wait()

    async def wait_unexpected(self, count: int) -> list[Frame]:
        """Return as soon as so many frames came that nobody waited for."""
        while len(self.unexpected) < count:
            if self._surprised.is_set():
                self._surprised = trio.Event()
            await self._surprised.wait()
        return [frame for _, frame in self.unexpected]

    async def _write(self) -> None:
        for connection in itertools.cycle(self._outgoing):
            if not any(self._outgoing.values()):
                self._posted = trio.Event()
                await self._posted.wait()
            if frames := self._outgoing[connection]:
                try:
                    await self.stream.send_all(frames[0])
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self.close("connection lost")
                frames.popleft()
                self._sent.set()

    async def _read(self, nursery: trio.Nursery) -> None:
        demux = mux.Demux(self.longest)
        joiners = {mux.PLUGIN: ttrpc.Joiner(), mux.RUNTIME: ttrpc.Joiner()}
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await self.stream.receive_some(_AT_A_TIME):
                try:
                    for connection, payload in demux.feed(data):
                        if connection in joiners:
                            for frame in joiners[connection].feed(payload):
                                self._take(connection, frame, nursery)
                except mux.PayloadTooLong as error:
                    self.close(f"payload too long: {error}")
                await self.may_read.wait()
        self.close("end of file")

    def _take(self, connection: int, frame: Frame, nursery: trio.Nursery) -> None:
        if connection == self.calls_on and frame.kind == ttrpc.RESPONSE:
            if (waiting := self._waiting.get(frame.stream)) is not None:
                waiting.frame = frame
                waiting.answered.set()
                return
        elif connection == self.answers_on and frame.kind == ttrpc.REQUEST:
            rising = frame.stream % 2 == 1 and frame.stream > self._last_asked
            self._last_asked = max(frame.stream, self._last_asked)
            nursery.start_soon(self._serve, frame, rising)
            return
        self.unexpected.append((connection, frame))
        self._surprised.set()

    async def _serve(self, frame: Frame, rising: bool) -> None:
        try:
            if not rising:
                text = f"stream {frame.stream} is not odd and rising"
                raise Refused(ttrpc.INVALID_ARGUMENT, text)
            answer = ttrpc.response(frame.stream, await self._answer(frame))
        except Refused as refused:
            answer = ttrpc.response(frame.stream, b"", refused.code, str(refused))
        except Gone:  # what was called to find the answer
            return
        self.post(self.answers_on, answer)

    async def _answer(self, frame: Frame) -> bytes:
        if frame.too_long:
            raise Refused(ttrpc.RESOURCE_EXHAUSTED, f"message of {frame.length} bytes")
        try:
            call = Request.FromString(frame.data)
        except DecodeError as error:
            raise Refused(ttrpc.INVALID_ARGUMENT, str(error)) from None
        if call.service != f"{PACKAGE}.{self.serves}":
            raise Refused(ttrpc.UNIMPLEMENTED, f"service {call.service}")
        return await self.answer(call.method, call.payload)


def _payload_of(frame: Frame) -> bytes:
    if frame.too_long:
        raise Refused(ttrpc.RESOURCE_EXHAUSTED, f"message of {frame.length} bytes")
    try:
        answer = Response.FromString(frame.data)
    except DecodeError as error:
        raise Refused(ttrpc.UNKNOWN, str(error)) from None
    if answer.status.code:
        raise Refused(answer.status.code, answer.status.message)
    return bytes(answer.payload)
